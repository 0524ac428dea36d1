"""Budgets that a fleet shares: reserve before a call, commit what it cost. Start in README.md.

tracker = LocalBudgetTracker()
await tracker.set_budget("session:eval", "50")
token = await tracker.reserve(["session:eval", "workflow:one"], "0.25")
await tracker.commit(token, "0.21")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coordinator.tracker.awaiting import AsyncTracker, LocalBudgetTracker, RedisBudgetTracker
from coordinator.tracker.decorating import guarded
from coordinator.tracker.errors import (
    BudgetExceededError,
    ForeignToken,
    NotCharged,
    SpendingStopped,
    TokenUsed,
    TrackerError,
    TrackerUnavailable,
    UnitMismatch,
    UnknownToken,
)
from coordinator.tracker.guarding import Budget, Call, Unrecorded
from coordinator.tracker.local import LocalTracker
from coordinator.tracker.opening import open_budget, open_tracker
from coordinator.tracker.redis import RedisTracker
from coordinator.tracker.stopping import Stop
from coordinator.tracker.words import (
    Amount,
    BudgetTracker,
    Committed,
    Reason,
    Reservation,
    ReservationToken,
    TokenState,
    Tracker,
    Unit,
    Usage,
)

if TYPE_CHECKING:
    from coordinator.tracker.ledger import LedgerBudgetTracker as LedgerBudgetTracker
    from coordinator.tracker.ledger import LedgerTracker as LedgerTracker

__all__ = [
    "Amount",
    "AsyncTracker",
    "Budget",
    "BudgetExceededError",
    "BudgetTracker",
    "Call",
    "Committed",
    "ForeignToken",
    "LedgerBudgetTracker",
    "LedgerTracker",
    "LocalBudgetTracker",
    "LocalTracker",
    "NotCharged",
    "Reason",
    "RedisBudgetTracker",
    "RedisTracker",
    "Reservation",
    "ReservationToken",
    "SpendingStopped",
    "Stop",
    "TokenState",
    "TokenUsed",
    "Tracker",
    "TrackerError",
    "TrackerUnavailable",
    "Unit",
    "UnitMismatch",
    "UnknownToken",
    "Unrecorded",
    "Usage",
    "guarded",
    "open_budget",
    "open_tracker",
]


def __getattr__(name: str) -> Any:
    # What these need takes half a second to import, and most programs do not need it.
    if name not in ("LedgerBudgetTracker", "LedgerTracker"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from coordinator.tracker import ledger

    return getattr(ledger, name)
