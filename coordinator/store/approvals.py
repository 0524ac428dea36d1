"""Rows of approvals: one question per operation at a time, answered once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from coordinator.store.accounts import Account
from coordinator.store.schema import approvals

__all__ = ["Approval", "ApprovalState", "answer", "ask", "by_operation", "expire", "overdue", "waiting"]

_CHUNK = 500


class ApprovalState(StrEnum):
    """What became of a question."""

    WAITING = "waiting"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Approval:
    """A question for a yes, and its answer."""

    operation_id: int
    state: ApprovalState
    asked_at: float
    expires_at: float
    by: str | None = None
    reason: str | None = None
    answered_at: float | None = None


def ask(
    connection: Connection, account: Account, operation_ids: Sequence[int], *, now: float, expires_at: float
) -> None:
    """Puts the question for these operations, anew if an earlier answer counts no more."""
    if operation_ids:
        for start in range(0, len(operation_ids), _CHUNK):
            connection.execute(
                delete(approvals).where(approvals.c.operation_id.in_(operation_ids[start : start + _CHUNK]))
            )
        connection.execute(
            insert(approvals),
            [
                {
                    "operation_id": one,
                    **account.columns,
                    "state": ApprovalState.WAITING.value,
                    "asked_at": now,
                    "expires_at": expires_at,
                }
                for one in operation_ids
            ],
        )


def answer(
    connection: Connection, operation_id: int, state: ApprovalState, *, by: str, reason: str, now: float
) -> bool:
    """Answers a question that waits and is not overdue; False if there is none."""
    changed = connection.execute(
        update(approvals)
        .where(
            approvals.c.operation_id == operation_id,
            approvals.c.state == ApprovalState.WAITING.value,
            approvals.c.expires_at > now,
        )
        .values(state=state.value, by=by, reason=reason, answered_at=now)
    )
    return changed.rowcount == 1


def expire(connection: Connection, operation_ids: Sequence[int], now: float) -> None:
    """Closes questions that nobody has answered in time."""
    for start in range(0, len(operation_ids), _CHUNK):
        part = operation_ids[start : start + _CHUNK]
        connection.execute(
            update(approvals)
            .where(approvals.c.operation_id.in_(part), approvals.c.state == ApprovalState.WAITING.value)
            .values(state=ApprovalState.EXPIRED.value, answered_at=now)
        )


def by_operation(connection: Connection, operation_ids: Sequence[int]) -> dict[int, Approval]:
    """The questions about these operations."""
    found = {}
    for start in range(0, len(operation_ids), _CHUNK):
        query = select(approvals).where(approvals.c.operation_id.in_(operation_ids[start : start + _CHUNK]))
        found.update({one.operation_id: one for one in map(_approval, connection.execute(query))})
    return found


def waiting(connection: Connection, account: Account, *, limit: int = 1000) -> list[Approval]:
    """The questions that wait, the oldest first."""
    query = (
        select(approvals)
        .where(account.owns(approvals), approvals.c.state == ApprovalState.WAITING.value)
        .order_by(approvals.c.expires_at, approvals.c.operation_id)
        .limit(limit)
    )
    return [_approval(row) for row in connection.execute(query)]


def overdue(connection: Connection, account: Account, now: float, *, limit: int = 1000) -> list[int]:
    """The operations whose question nobody has answered in time."""
    query = (
        select(approvals.c.operation_id)
        .where(
            account.owns(approvals),
            approvals.c.state == ApprovalState.WAITING.value,
            approvals.c.expires_at <= now,
        )
        .order_by(approvals.c.expires_at)
        .limit(limit)
    )
    return list(connection.execute(query).scalars())


def _approval(row: Row[Any]) -> Approval:
    return Approval(
        row.operation_id, ApprovalState(row.state), row.asked_at, row.expires_at, row.by, row.reason, row.answered_at
    )
