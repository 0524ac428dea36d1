"""Every limit that rules put on a scope."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from coordinator.budget.rulebook import AgentRules, RuleBook
from coordinator.budget.words import REQUESTS, Period, Scope, ScopeKind
from coordinator.types import ETH

__all__ = ["UNCATEGORIZED", "Limit", "Rule", "limits", "limits_of", "treasury_scope"]

UNCATEGORIZED = ""
"""The category of requests that name none, where rules do not say what they are: counted, and never limited."""


class Rule(StrEnum):
    """What a denial names."""

    UNKNOWN_AGENT = "unknown_agent"
    PROVIDER_ALLOW_LIST = "provider_allow_list"
    OWN_TREASURY = "own_treasury"
    UNKNOWN_CATEGORY = "unknown_category"
    CATEGORY_ALLOW_LIST = "category_allow_list"
    NO_LIMIT = "no_limit"
    SPENDING_LIMIT = "spending_limit"
    DAILY_LIMIT = "daily_limit"
    WEEKLY_LIMIT = "weekly_limit"
    MONTHLY_LIMIT = "monthly_limit"
    AGENT_BUDGET = "agent_budget"
    CATEGORY_BUDGET = "category_budget"
    TOTAL_BUDGET = "total_budget"
    AGENT_RATE = "agent_rate"
    TOTAL_RATE = "total_rate"
    GAS_BUDGET = "gas_budget"
    TREASURY_BALANCE = "treasury_balance"
    TREASURY_GAS = "treasury_gas"
    APPROVER = "approver"


@dataclass(frozen=True, slots=True)
class Limit:
    """A scope's limit, None if it is only counted."""

    scope: Scope
    limit: int | None
    rule: Rule


def treasury_scope(unit: str) -> Scope:
    """The scope of what lies in the wallet, of a token or of ETH."""
    return Scope(ScopeKind.TREASURY, "", Period.EVER, unit)


def limits(book: RuleBook, token: str) -> Iterator[Limit]:
    """The limits of all scopes that the rules speak of; the treasury's balance is none of them."""
    for agent in book.agents.values():
        yield from _of_agent(agent, token)
        yield from _rate(ScopeKind.AGENT, agent.id, agent.rate, Rule.AGENT_RATE)
    for name in (*book.categories, UNCATEGORIZED):
        yield from _of_category(book, name, token)
    yield from _of_all(book, token)
    yield from _rate(ScopeKind.TOTAL, "", book.rate, Rule.TOTAL_RATE)
    yield from _of_gas(book)


def limits_of(book: RuleBook, agent: AgentRules, category: str, token: str) -> tuple[Limit, ...]:
    """The limits that a request has to keep, in the order in which a denial names the first that is passed."""
    return (
        *_of_agent(agent, token),
        *_of_category(book, category, token),
        *_of_all(book, token),
        *_rate(ScopeKind.AGENT, agent.id, agent.rate, Rule.AGENT_RATE),
        *_rate(ScopeKind.TOTAL, "", book.rate, Rule.TOTAL_RATE),
        *_of_gas(book),
    )


def _of_agent(agent: AgentRules, token: str) -> Iterator[Limit]:
    kind, key = ScopeKind.AGENT, agent.id
    if agent.daily_limit is not None:
        yield Limit(Scope(kind, key, agent.daily_period, token), agent.daily_limit, Rule.DAILY_LIMIT)
    if agent.weekly_limit is not None:
        yield Limit(Scope(kind, key, Period.WEEK, token), agent.weekly_limit, Rule.WEEKLY_LIMIT)
    if agent.monthly_limit is not None:
        yield Limit(Scope(kind, key, Period.MONTH, token), agent.monthly_limit, Rule.MONTHLY_LIMIT)
    yield Limit(Scope(kind, key, Period.EVER, token), agent.budget, Rule.AGENT_BUDGET)


def _of_category(book: RuleBook, name: str, token: str) -> Iterator[Limit]:
    kind, rules = ScopeKind.CATEGORY, book.categories.get(name)
    budget, period = (None, Period.EVER) if rules is None else (rules.budget, rules.period)
    if period is not Period.EVER:
        yield Limit(Scope(kind, name, period, token), budget, Rule.CATEGORY_BUDGET)
        budget = None  # what was ever spent on it is counted all the same
    yield Limit(Scope(kind, name, Period.EVER, token), budget, Rule.CATEGORY_BUDGET)


def _of_all(book: RuleBook, token: str) -> Iterator[Limit]:
    yield Limit(Scope(ScopeKind.TOTAL, "", Period.EVER, token), book.total_budget, Rule.TOTAL_BUDGET)


def _rate(kind: ScopeKind, key: str, rate: Mapping[Period, int], rule: Rule) -> Iterator[Limit]:
    for period, most in rate.items():
        yield Limit(Scope(kind, key, period, REQUESTS), most, rule)


def _of_gas(book: RuleBook) -> Iterator[Limit]:
    if book.gas is not None:
        yield Limit(Scope(ScopeKind.GAS, "", book.gas.period, ETH), book.gas.budget, Rule.GAS_BUDGET)
