"""What the worker tells those who trace."""

from __future__ import annotations

from collections.abc import Iterable

from coordinator import spans
from coordinator.budget.words import Reservation
from coordinator.store.dispatches import Dispatch

__all__ = ["dispatched"]


def dispatched(granted: Iterable[tuple[Dispatch, Reservation]], now: float) -> None:
    """These were handed on by this time of the store's clock."""
    for dispatch, row in granted:
        about: dict[str, spans.Attribute | None] = {"agent": row.agent, "amount": row.amount, "reservation": row.id}
        spans.record("dispatch", row.transaction_id, dispatch.created_at, now, about)
