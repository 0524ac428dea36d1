"""Rows of actions: who does what about an escrow that is due. Two who look at the same time never both do it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update

from coordinator.errors import LedgerConflict
from coordinator.store.bulk import among, insert_rows, update_rows
from coordinator.store.index_schema import actions
from coordinator.store.index_words import ActionState, Due

__all__ = ["Action", "back_off", "claim", "claimed", "done", "failing", "of", "release"]

_FIRST_PAUSE = 30.0
_LONGEST_PAUSE = 3_600.0
_MOST_DOUBLED = 7
_RESTS = 120.0
"""Seconds in which events have to say what was done before it is tried again."""


@dataclass(frozen=True, slots=True)
class Action:
    """What somebody does, or has tried to do, about an escrow. `attempts` failed, the last one for the reason `code`;
    `next_at` (the store's time) is when it may be tried again.
    """

    kernel_id: int
    transaction_id: str
    kind: Due
    state: ActionState
    operation_id: int | None
    attempts: int
    next_at: float
    code: str | None
    reason: str | None
    updated_at: float


def claim(
    connection: Connection,
    kernel_id: int,
    kind: Due,
    transaction_ids: Sequence[str],
    operation_id: int | None,
    now: float,
) -> None:
    """One operation is to do this about all of these escrows; in the commit that makes its row. Raises LedgerConflict,
    now or when the transaction is committed, if anybody does it about any of them already, or did so a moment ago: then
    roll back.
    """
    known = _known(connection, kernel_id, kind, transaction_ids)
    if known:
        taken = connection.execute(
            update(actions)
            .where(
                *_mine(connection, kernel_id, kind, list(known)),
                actions.c.state != ActionState.CLAIMED.value,
                actions.c.next_at <= now,
            )
            .values(state=ActionState.CLAIMED.value, operation_id=operation_id, updated_at=now)
        )
        if taken.rowcount != len(known):
            raise LedgerConflict(
                f"Somebody does what is due ({kind.value}) about one of these escrows.",
                hint="Nothing was changed. Look again at what is due.",
                retryable=True,
            )
    new = [one for one in dict.fromkeys(transaction_ids) if one not in known]
    state = ActionState.CLAIMED
    insert_rows(connection, actions, [_row(kernel_id, one, kind, state, operation_id, now) for one in new])


def back_off(
    connection: Connection,
    kernel_id: int,
    kind: Due,
    transaction_ids: Sequence[str],
    now: float,
    *,
    code: str,
    reason: str = "",
) -> None:
    """It did not work: each is tried again later, after a pause that doubles with each failure, up to an hour."""
    known = _known(connection, kernel_id, kind, transaction_ids)
    new: list[dict[str, Any]] = []
    old: list[dict[str, Any]] = []
    for one in dict.fromkeys(transaction_ids):
        before = known.get(one)
        failed = 0 if before is None else before.attempts
        row = {
            **_row(kernel_id, one, kind, ActionState.FAILED, None if before is None else before.operation_id, now),
            "attempts": failed + 1,
            "next_at": now + min(_FIRST_PAUSE * 2 ** min(failed, _MOST_DOUBLED), _LONGEST_PAUSE),
            "code": code,
            "reason": reason,
        }
        (new if before is None else old).append(row)
    insert_rows(connection, actions, new)
    update_rows(connection, actions, ("kernel_id", "transaction_id", "kind"), old)


def done(connection: Connection, kernel_id: int, kind: Due, transaction_ids: Sequence[str], now: float) -> None:
    """It worked. If a reorganisation takes it back, it is due again after a rest."""
    if transaction_ids:
        values = {"state": ActionState.DONE.value, "attempts": 0, "next_at": now + _RESTS, "updated_at": now}
        connection.execute(
            update(actions)
            .where(*_mine(connection, kernel_id, kind, transaction_ids))
            .values(**values, code=None, reason=None)
        )


def release(
    connection: Connection, kernel_id: int, kind: Due, transaction_ids: Sequence[str], *, until: float | None = None
) -> None:
    """Nothing was done, and nothing was wrong with it: anybody may claim it, at once or when it is `until`. How often
    it had failed before is kept, or what spoils its batch would be in a whole batch again.
    """
    if transaction_ids:
        mine = _mine(connection, kernel_id, kind, transaction_ids)
        if until is None:
            connection.execute(delete(actions).where(*mine, actions.c.attempts == 0))
        connection.execute(update(actions).where(*mine).values(state=ActionState.FAILED.value, next_at=until or 0.0))


def claimed(connection: Connection, kernel_id: int, *, operation_id: int | None = None) -> list[Action]:
    """What somebody is doing: everything, or what one operation does."""
    query = select(actions).where(actions.c.kernel_id == kernel_id, actions.c.state == ActionState.CLAIMED.value)
    if operation_id is not None:
        query = query.where(actions.c.operation_id == operation_id)
    return [_action(row) for row in connection.execute(query.order_by(actions.c.operation_id))]


def of(connection: Connection, kernel_id: int, transaction_id: str) -> list[Action]:
    """What somebody does, or has tried to do, about one escrow."""
    query = select(actions).where(actions.c.kernel_id == kernel_id, actions.c.transaction_id == transaction_id)
    return [_action(row) for row in connection.execute(query.order_by(actions.c.kind))]


def failing(connection: Connection, kernel_id: int, *, limit: int = 100) -> list[Action]:
    """What did not work, and is to be tried again: the soonest first."""
    query = (
        select(actions)
        .where(actions.c.kernel_id == kernel_id, actions.c.state == ActionState.FAILED.value)
        .order_by(actions.c.next_at)
        .limit(limit)
    )
    return [_action(row) for row in connection.execute(query)]


# ---------------------------------------------------------------- internals


def _mine(connection: Connection, kernel_id: int, kind: Due, transaction_ids: Collection[str]) -> tuple[Any, ...]:
    return (
        actions.c.kernel_id == kernel_id,
        actions.c.kind == kind.value,
        among(connection, actions.c.transaction_id, transaction_ids),
    )


def _known(connection: Connection, kernel_id: int, kind: Due, transaction_ids: Collection[str]) -> dict[str, Action]:
    if not transaction_ids:
        return {}
    query = select(actions).where(*_mine(connection, kernel_id, kind, transaction_ids))
    return {row.transaction_id: _action(row) for row in connection.execute(query)}


def _row(
    kernel_id: int, transaction_id: str, kind: Due, state: ActionState, operation_id: int | None, now: float
) -> dict[str, Any]:
    return {
        "kernel_id": kernel_id, "transaction_id": transaction_id, "kind": kind.value, "state": state.value,
        "operation_id": operation_id, "attempts": 0, "next_at": 0.0, "code": None, "reason": None, "updated_at": now,
    }  # fmt: skip


def _action(row: Row[Any]) -> Action:
    return Action(
        row.kernel_id,
        row.transaction_id,
        Due(row.kind),
        ActionState(row.state),
        row.operation_id,
        row.attempts,
        row.next_at,
        row.code,
        row.reason,
        row.updated_at,
    )
