"""Rows of escrows: what this wallet has locked, as far as is known, and which of them to ask the chain about next.

Each open one is looked at once a minute, and sooner if something has happened that may have changed it; never before
those that are due for longer. One about which the chain gives no answer waits twice as long each time, up to an hour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, case, delete, select, update

from actp.engine.store.conflicts import insert_or_ignore
from coordinator.store.accounts import Account
from coordinator.store.schema import escrows

__all__ = [
    "Locked",
    "add",
    "all_open",
    "due",
    "forget_of",
    "listed",
    "look_again",
    "look_again_at_all",
    "note",
    "put_off",
]


_CHUNK = 500
_CHECK_AFTER = 60.0
_LONGEST = 3_600.0
_MOST_DOUBLED = 6
"""So many times doubled, a minute is more than the longest wait."""


@dataclass(frozen=True, slots=True)
class Locked:
    """An escrow that this wallet has put something into. `locked` is what still lay in it at `checked_at`, which is 0
    if that may have changed since. `unanswered` is how often in a row the chain gave no answer about it.
    """

    transaction_id: str
    operation_id: int
    asset: str
    contract: str
    counterparty: str | None
    amount: int
    locked: int
    open: bool
    checked_at: float
    unanswered: int = 0


def add(connection: Connection, account: Account, made: Sequence[Locked]) -> None:
    """Writes escrows that were funded, except those that this wallet has put something into before."""
    if made:
        insert_or_ignore(
            connection,
            escrows,
            [
                {
                    **account.columns,
                    "transaction_id": one.transaction_id,
                    "operation_id": one.operation_id,
                    "asset": one.asset,
                    "contract": one.contract,
                    "counterparty": one.counterparty,
                    "amount": str(one.amount),
                    "locked": str(one.locked),
                    "open": one.open,
                    "checked_at": one.checked_at,
                    "due_at": one.checked_at + _CHECK_AFTER,
                    "unanswered": one.unanswered,
                }
                for one in made
            ],
        )


def forget_of(connection: Connection, account: Account, operation_ids: Sequence[int]) -> None:
    """The blocks in which these operations funded escrows are gone."""
    for start in range(0, len(operation_ids), _CHUNK):
        part = operation_ids[start : start + _CHUNK]
        connection.execute(delete(escrows).where(account.owns(escrows), escrows.c.operation_id.in_(part)))


def note(connection: Connection, account: Account, seen: Sequence[tuple[str, int, bool]], now: float) -> None:
    """Writes down what the chain says: (transaction id, locked, open)."""
    if not seen:
        return
    statement = (
        update(escrows)
        .where(account.owns(escrows), escrows.c.transaction_id == bindparam("b_id"))
        .values(
            locked=bindparam("b_locked"),
            open=bindparam("b_open"),
            checked_at=now,
            due_at=now + _CHECK_AFTER,
            unanswered=0,
        )
    )
    connection.execute(
        statement, [{"b_id": one, "b_locked": str(locked), "b_open": still} for one, locked, still in seen]
    )


def put_off(connection: Connection, account: Account, asked: Sequence[Locked], now: float) -> None:
    """The chain has given no answer about these: what is known of them stays, and others come first."""
    if not asked:
        return
    statement = (
        update(escrows)
        .where(account.owns(escrows), escrows.c.transaction_id == bindparam("b_id"))
        .values(unanswered=bindparam("b_unanswered"), due_at=bindparam("b_due_at"))
    )
    rows = []
    for one in asked:
        wait = min(_CHECK_AFTER * 2 ** min(one.unanswered, _MOST_DOUBLED), _LONGEST)
        rows.append({"b_id": one.transaction_id, "b_unanswered": one.unanswered + 1, "b_due_at": now + wait})
    connection.execute(statement, rows)


def look_again(connection: Connection, account: Account, transaction_ids: Sequence[str], now: float) -> None:
    """What is known of these may be wrong by now: the chain has to be asked."""
    if transaction_ids:
        statement = (
            update(escrows)
            .where(account.owns(escrows), escrows.c.transaction_id == bindparam("b_id"))
            .values(open=True, checked_at=0.0, due_at=_at_last(now), unanswered=0)
        )
        connection.execute(statement, [{"b_id": one} for one in transaction_ids])


def look_again_at_all(connection: Connection, account: Account, now: float) -> None:
    """Somebody paid the wallet: it may have come out of any of its escrows. Those about which the chain gives no answer
    keep their place.
    """
    due_at = case((escrows.c.unanswered > 0, escrows.c.due_at), else_=_at_last(now))
    statement = update(escrows).where(account.owns(escrows), escrows.c.open.is_(True))
    connection.execute(statement.values(checked_at=0.0, due_at=due_at))


def _at_last(now: float) -> ColumnElement[float]:
    # What is due already keeps its place: else a wallet that is paid all the time would see the same few of its
    # escrows again and again.
    return case((escrows.c.due_at > now, now), else_=escrows.c.due_at)


def all_open(connection: Connection, account: Account) -> list[Locked]:
    """Every escrow in which something may still lie."""
    query = select(escrows).where(account.owns(escrows), escrows.c.open.is_(True))
    return [_locked(row) for row in connection.execute(query)]


def due(connection: Connection, account: Account, now: float, *, limit: int = 100) -> list[Locked]:
    """Open escrows at which it is time to look, those first that are due for the longest."""
    query = (
        select(escrows)
        .where(account.owns(escrows), escrows.c.open.is_(True), escrows.c.due_at <= now)
        .order_by(escrows.c.due_at, escrows.c.transaction_id)
        .limit(limit)
    )
    return [_locked(row) for row in connection.execute(query)]


def listed(connection: Connection, account: Account, *, limit: int = 1000) -> list[Locked]:
    """The newest escrows, closed ones too."""
    query = select(escrows).where(account.owns(escrows)).order_by(escrows.c.operation_id.desc()).limit(limit)
    return [_locked(row) for row in connection.execute(query)]


def _locked(row: Row[Any]) -> Locked:
    return Locked(
        row.transaction_id,
        row.operation_id,
        row.asset,
        row.contract,
        row.counterparty,
        int(row.amount),
        int(row.locked),
        bool(row.open),
        row.checked_at,
        row.unanswered,
    )
