"""Approvals that nobody has answered in time give back what they hold."""

from __future__ import annotations

from sqlalchemy import Connection

from coordinator.authority.ending import Change, move_all
from coordinator.budget.words import ReservationState
from coordinator.crash import CrashPoint, point
from coordinator.store import asks
from coordinator.store.accounts import Account
from coordinator.store.asks import AskState

__all__ = ["EXPIRED", "expire", "expire_one"]

EXPIRED = "approval_expired"
"""The rule of a denial because nobody has answered in time."""

_REASON = "Nobody has approved it in time"


def expire(connection: Connection, account: Account, now: float) -> int:
    """Ends what is overdue; how many those were. At most a few hundred at a time."""
    late = asks.overdue(connection, account, now)
    _end(connection, account, late, now)
    return len(late)


def expire_one(connection: Connection, account: Account, reservation_id: int, now: float) -> None:
    """Ends one that is overdue, whose question is locked."""
    _end(connection, account, [reservation_id], now)


def _end(connection: Connection, account: Account, late: list[int], now: float) -> None:
    if late:
        changes = [Change(one, ReservationState.EXPIRED, reason=_REASON, rule=EXPIRED) for one in late]
        move_all(connection, account, changes, now)
        asks.close(connection, late, AskState.EXPIRED)
        point(CrashPoint.BEFORE_EXPIRY)
