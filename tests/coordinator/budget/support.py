"""Rules and requests for tests of the budget's pure parts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from coordinator.budget.judging import Treasury
from coordinator.budget.rulebook import AgentRules, CategoryRules, RuleBook
from coordinator.budget.words import Ask, Charge, Period
from coordinator.types import ETH

USDC = 1_000_000
PROVIDER = "0x" + "05" * 20
OTHER_PROVIDER = "0x" + "06" * 20
WALLET = "0x" + "07" * 20
TOKEN = "0x" + "08" * 20
TREASURY = Treasury(WALLET, TOKEN, 21_000)

ANN = AgentRules(
    id="ann", name="Ann", spending_limit=100 * USDC, daily_limit=300 * USDC, requires_approval=50 * USDC
)  # fmt: skip
BOOK = RuleBook(
    total_budget=1_000 * USDC,
    agents={"ann": ANN},
    categories={"data": CategoryRules(300 * USDC), "api": CategoryRules(200 * USDC, Period.MONTH)},
    version=7,
)


def ask(amount: int = 10 * USDC, **changed: Any) -> Ask:
    """A request of Ann."""
    usual: dict[str, Any] = {
        "agent": "ann",
        "key": "k",
        "provider": PROVIDER,
        "amount": amount,
        "category": "",
        "purpose": "A thing",
        "body_hash": "0x" + "00" * 32,
        "number": 1,
        "transaction_id": "0x" + "01" * 32,
    }
    return Ask(**{**usual, **changed})


def book(**changed: Any) -> RuleBook:
    """BOOK with other rules; those of `ann` replace hers."""
    ann = replace(ANN, **changed.pop("ann", {}))
    return replace(BOOK, **{"agents": {"ann": ann}, **changed})


def charged(charges: tuple[Charge, ...]) -> list[tuple[str, str, str, str, int, int | None, str]]:
    """Charges in short: kind, key, period, unit, amount, limit and rule."""
    units = {TOKEN: "USDC", ETH: "ETH"}
    return [
        (str(one.scope.kind), one.scope.key, str(one.scope.period), units.get(one.scope.unit, one.scope.unit),
         one.amount, one.limit, str(one.rule))
        for one in charges
    ]  # fmt: skip
