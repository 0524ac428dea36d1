"""Rows of escrows: what this wallet has locked, as far as is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, select, update

from actp.engine.store.conflicts import insert_or_ignore
from coordinator.store.accounts import Account
from coordinator.store.schema import escrows

__all__ = ["Locked", "add", "all_open", "due", "forget_of", "listed", "look_again", "look_again_at_all", "note"]


_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Locked:
    """An escrow that this wallet has funded. `locked` is what still lay in it at `checked_at`."""

    transaction_id: str
    operation_id: int
    asset: str
    contract: str
    counterparty: str | None
    amount: int
    locked: int
    open: bool
    checked_at: float


def add(connection: Connection, account: Account, made: Sequence[Locked]) -> None:
    """Writes escrows that were funded."""
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
        .values(locked=bindparam("b_locked"), open=bindparam("b_open"), checked_at=now)
    )
    connection.execute(
        statement, [{"b_id": one, "b_locked": str(locked), "b_open": still} for one, locked, still in seen]
    )


def look_again(connection: Connection, account: Account, transaction_ids: Sequence[str]) -> None:
    """What is known of these may be wrong by now: the chain has to be asked."""
    if transaction_ids:
        statement = (
            update(escrows)
            .where(account.owns(escrows), escrows.c.transaction_id == bindparam("b_id"))
            .values(open=True, checked_at=0.0)
        )
        connection.execute(statement, [{"b_id": one} for one in transaction_ids])


def look_again_at_all(connection: Connection, account: Account) -> None:
    """Somebody paid the wallet: it may have come out of any of its escrows."""
    connection.execute(update(escrows).where(account.owns(escrows), escrows.c.open.is_(True)).values(checked_at=0.0))


def all_open(connection: Connection, account: Account) -> list[Locked]:
    """Every escrow in which something may still lie."""
    query = select(escrows).where(account.owns(escrows), escrows.c.open.is_(True))
    return [_locked(row) for row in connection.execute(query)]


def due(connection: Connection, account: Account, before: float, *, limit: int = 100) -> list[Locked]:
    """Open escrows at which nobody has looked since a time, the longest first."""
    query = (
        select(escrows)
        .where(account.owns(escrows), escrows.c.open.is_(True), escrows.c.checked_at < before)
        .order_by(escrows.c.checked_at, escrows.c.transaction_id)
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
    )
