"""What a worker has done, as lines of its log: said after the commit, at the level INFO, without what is private."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from actp.units import format_usdc
from coordinator.budget.words import Reservation, ReservationState

__all__ = ["came_back", "changes", "handed_on"]

_SHOWN = 10
"""How many characters of a transaction's id are enough to find it."""


def changes(before: Mapping[int, ReservationState], moved: Iterable[Reservation]) -> list[str]:
    """A line for each change of state. `moved` are reservations as they became, one after another; `before` are their
    states before the first one.
    """
    states = dict(before)
    lines = []
    for one in moved:
        was, states[one.id] = states[one.id], one.state
        if was is not one.state:
            lines.append(f"{_named(one)}: {was.value} -> {one.state.value}, {_details(one)}")
    return lines


def came_back(moved: Iterable[Reservation]) -> list[str]:
    """A line for each escrow that has ended, with what it gave back."""
    return [f"{_named(one)}: {format_usdc(one.returned)} USDC came back of {_details(one)}" for one in moved]


def handed_on(agent: str, operation_id: int, numbers: list[int]) -> str:
    """A line for grants that have become one operation."""
    named = ", ".join(map(str, numbers))
    return f"request{'' if len(numbers) == 1 else 's'} {named} of {agent}: handed on as operation {operation_id}"


def _named(one: Reservation) -> str:
    return f"request {one.id} of {one.agent}"


def _details(one: Reservation) -> str:
    operation = "" if one.operation_id is None else f", operation {one.operation_id}"
    return f"{format_usdc(one.amount)} USDC, transaction {one.transaction_id[:_SHOWN]}...{operation}"
