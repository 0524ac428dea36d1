"""The sentences of denials. Amounts in them are whole units with their decimals, exactly: 150000000 is "150.0"."""

from __future__ import annotations

from coordinator.budget.limits import Rule

__all__ = ["EXCEEDABLE", "decimals", "exceeded", "per_transaction"]

_SENTENCES = {
    Rule.DAILY_LIMIT: ("Would exceed daily limit. Spent: {}, Limit: {}", 6),
    Rule.WEEKLY_LIMIT: ("Would exceed weekly limit. Spent: {}, Limit: {}", 6),
    Rule.MONTHLY_LIMIT: ("Would exceed monthly limit. Spent: {}, Limit: {}", 6),
    Rule.AGENT_BUDGET: ("Would exceed agent budget. Spent: {}, Budget: {}", 6),
    Rule.CATEGORY_BUDGET: ("Would exceed category budget. Spent: {}, Budget: {}", 6),
    Rule.TOTAL_BUDGET: ("Would exceed total budget. Spent: {}, Budget: {}", 6),
    Rule.AGENT_RATE: ("Would exceed the agent's number of requests. Made: {}, Limit: {}", 0),
    Rule.TOTAL_RATE: ("Would exceed the number of requests of all agents. Made: {}, Limit: {}", 0),
    Rule.GAS_BUDGET: ("Would exceed gas budget. Spent: {} ETH, Budget: {} ETH", 18),
    Rule.TREASURY_BALANCE: ("Would exceed treasury balance. Promised: {}, Balance: {}", 6),
    Rule.TREASURY_GAS: ("Would exceed the treasury's ETH for gas. Promised: {} ETH, Balance: {} ETH", 18),
}

EXCEEDABLE = frozenset(_SENTENCES)
"""Rules of which `exceeded` can say everything."""


def exceeded(rule: str, used: int, limit: int) -> str:
    """Why a charge does not fit: what is spent or promised of it by now, and its limit."""
    sentence, places = _SENTENCES[Rule(rule)]
    return sentence.format(decimals(used, places), decimals(limit, places))


def per_transaction(amount: int, limit: int) -> str:
    """Why a single request is too large."""
    return f"Amount {decimals(amount)} exceeds per-tx limit {decimals(limit)}"


def decimals(amount: int, places: int = 6) -> str:
    """Base units as whole ones: at least one decimal, none lost, no exponent; counts (no places) as they are."""
    if not places:
        return str(amount)
    whole, fraction = divmod(amount, 10**places)
    return f"{whole}.{f'{fraction:0{places}d}'.rstrip('0') or '0'}"
