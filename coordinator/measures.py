"""What the coordinator counts and times, and what can be read of its ledger. coordinator/metrics/README.md says what
each is good for. Dollars here are floats: the edge at which amounts leave the program, and nothing is computed from
them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from actp.observing import Counter, Gauge, Histogram, Reading

__all__ = [
    "ALERTS",
    "ALL",
    "APPROVALS_ANSWERED",
    "APPROVALS_WAITING",
    "BUDGET_DECISIONS",
    "BUDGET_OVERRUNS",
    "BUDGET_REJECTIONS",
    "BUDGET_REMAINING",
    "BUDGET_RESERVED",
    "BUDGET_SECONDS",
    "ENGINE_INTENTS",
    "FROZEN_SCOPES",
    "GAS_REMAINING",
    "GAS_RESERVED",
    "GUARD_BREACHES",
    "GUARD_VERDICTS",
    "INDEX_BLOCK",
    "INDEX_LAG",
    "LEDGER_DRIFT",
    "MOST_SCOPES",
    "OPERATIONS",
    "OTHER",
    "PAUSES",
    "REQUESTS",
    "SETTLEMENT_DUE",
    "SETTLEMENT_LATENESS",
    "STORE_UP",
    "TREASURY_BALANCE",
    "TREASURY_ETH",
    "TREASURY_OBSERVED",
    "TREASURY_PROMISED",
    "ScopeUse",
    "budget_readings",
    "overrun",
    "rejected",
    "settled",
]

MOST_SCOPES = 50
"""How many scopes have gauges of their own: those that are used most. The others are one, OTHER."""
OTHER = "other"

_MICRO = 1_000_000
_HOURS = (0.0, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 4 * 3600.0, 24 * 3600.0)

BUDGET_DECISIONS = Counter("actp_budget_decisions", "Requests that this process has decided", ("outcome",))
BUDGET_REJECTIONS = Counter("actp_budget_rejections", "Requests and reservations refused here", ("scope", "reason"))
BUDGET_OVERRUNS = Counter("actp_budget_overrun", "Commits above what was reserved, recorded in full", ("scope",))
BUDGET_SECONDS = Histogram("actp_budget_decision_seconds", "Deciding what came in at the same time, in one commit")
GUARD_VERDICTS = Counter("actp_guard_verdicts", "Eth transactions that the delta guard has judged", ("verdict",))
GUARD_BREACHES = Counter("actp_guard_breaches", "What the delta guard found and nobody ordered", ("kind",))
SETTLEMENT_LATENESS = Histogram(
    "actp_settlement_lateness_seconds", "From when it could be done to the block that has it", ("kind",), _HOURS
)

BUDGET_REMAINING = Gauge("actp_budget_remaining_usd", "What may still be asked for", ("scope",), lowest=True)
BUDGET_RESERVED = Gauge("actp_budget_reserved_usd", "Held for what is under way", ("scope",))
GAS_REMAINING = Gauge("actp_gas_budget_remaining_eth", "What fees may still cost, where rules limit them", lowest=True)
GAS_RESERVED = Gauge("actp_gas_budget_reserved_eth", "Held for fees, where rules limit them")
TREASURY_BALANCE = Gauge("actp_treasury_balance_usd", "What lay in the treasury when it was looked at")
TREASURY_PROMISED = Gauge("actp_treasury_promised_usd", "What of it is promised to grants")
TREASURY_ETH = Gauge("actp_treasury_balance_eth", "The treasury's ETH when it was looked at")
TREASURY_OBSERVED = Gauge("actp_treasury_observed_timestamp_seconds", "When the treasury was looked at, unix time")
REQUESTS = Gauge("actp_requests", "Requests that hold budget, by how far they are", ("state",))
APPROVALS_WAITING = Gauge("actp_approvals_waiting", "Questions that wait for a yes", ("about",))
APPROVALS_ANSWERED = Gauge(
    "actp_approvals_answered", "Questions that have ended, of all time", ("about", "answer"), grows=True
)
OPERATIONS = Gauge("actp_operations", "Operations that have not ended, by stage", ("stage",))
PAUSES = Gauge("actp_pauses", "Pauses that hold", ("who",))
FROZEN_SCOPES = Gauge("actp_frozen_scopes", "Budgets that nothing may be charged to until somebody looks")
ALERTS = Gauge("actp_alerts", "Alerts that wait to be sent, or that nobody could be told (dead)", ("state",))
ENGINE_INTENTS = Gauge(
    "actp_engine_intents", "Rows of the engine's outbox that are not over, or lack a person", ("status",)
)
LEDGER_DRIFT = Gauge("actp_ledger_drift_usd", "How much ledger and chain differed at the last comparison")
SETTLEMENT_DUE = Gauge("actp_settlement_due", "Escrows about which anybody could do something now", ("kind",))
INDEX_BLOCK = Gauge("actp_index_block", "Up to which block the index has read", ("kernel",), lowest=True)
INDEX_LAG = Gauge("actp_index_lag_blocks", "By how many blocks that was behind the newest one", ("kernel",))
STORE_UP = Gauge("actp_store_up", "1 if the ledger could be read for this scrape, else 0", lowest=True)

ALL: tuple[Counter | Histogram | Gauge, ...] = (
    BUDGET_DECISIONS,
    BUDGET_REJECTIONS,
    BUDGET_OVERRUNS,
    BUDGET_SECONDS,
    GUARD_VERDICTS,
    GUARD_BREACHES,
    SETTLEMENT_LATENESS,
    BUDGET_REMAINING,
    BUDGET_RESERVED,
    GAS_REMAINING,
    GAS_RESERVED,
    TREASURY_BALANCE,
    TREASURY_PROMISED,
    TREASURY_ETH,
    TREASURY_OBSERVED,
    REQUESTS,
    APPROVALS_WAITING,
    APPROVALS_ANSWERED,
    OPERATIONS,
    PAUSES,
    FROZEN_SCOPES,
    ALERTS,
    ENGINE_INTENTS,
    LEDGER_DRIFT,
    SETTLEMENT_DUE,
    INDEX_BLOCK,
    INDEX_LAG,
    STORE_UP,
)
"""Everything above."""


def rejected(scope: str, reason: str) -> None:
    """A budget of this scope has refused something, for a reason out of a fixed list."""
    BUDGET_REJECTIONS.add(1, scope, reason)


def overrun(scope: str) -> None:
    """More was spent on this scope than was reserved for it."""
    BUDGET_OVERRUNS.add(1, scope)


def settled(kind: str, late_seconds: float) -> None:
    """Something that was due was done so many seconds later. `kind` says what, out of a fixed list."""
    SETTLEMENT_LATENESS.observe(max(0.0, late_seconds), kind)


class ScopeUse(NamedTuple):
    """How much of a budget is used, in millionths of a dollar, as base units of USDC are. Without a `limit` nothing
    remains, and nothing lacks.
    """

    scope: str
    limit: int | None
    spent: int
    reserved: int

    @property
    def remaining(self) -> int | None:
        """What may still be asked for; negative after an overrun."""
        return None if self.limit is None else self.limit - self.spent - self.reserved


def budget_readings(found: Iterable[ScopeUse], remaining: int = 0, reserved: int = 0) -> Iterator[Reading]:
    """The gauges of budgets: of the MOST_SCOPES that are used most, and of all others together, to which `remaining`
    and `reserved` belong as well.
    """
    ranked = sorted(found, key=lambda one: (-(one.spent + one.reserved), one.scope))
    for one in ranked[:MOST_SCOPES]:
        if one.remaining is not None:
            yield Reading(BUDGET_REMAINING, one.remaining / _MICRO, (one.scope,))
        yield Reading(BUDGET_RESERVED, one.reserved / _MICRO, (one.scope,))
    remaining += sum(one.remaining or 0 for one in ranked[MOST_SCOPES:])
    reserved += sum(one.reserved for one in ranked[MOST_SCOPES:])
    if len(ranked) > MOST_SCOPES or remaining or reserved:
        yield Reading(BUDGET_REMAINING, remaining / _MICRO, (OTHER,))
        yield Reading(BUDGET_RESERVED, reserved / _MICRO, (OTHER,))
