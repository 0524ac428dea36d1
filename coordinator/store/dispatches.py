"""Rows of dispatches: what was granted and has to be handed to the lifecycle. Written in the commit of the grant."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, literal_column, select, update

from coordinator.errors import LedgerConflict
from coordinator.store.accounts import Account
from coordinator.store.budget_schema import dispatches
from coordinator.store.bulk import among, insert_rows

__all__ = ["WAITING", "Dispatch", "add", "again", "by_reservations", "count_waiting", "drop", "hand", "waiting"]

WAITING = "waiting"
_HANDED = "handed"
_DROPPED = "dropped"
_IS_WAITING = dispatches.c.state == literal_column(f"'{WAITING}'")
"""As a text, because that is what the index on it says."""


@dataclass(frozen=True, slots=True)
class Dispatch:
    """A grant: waiting, handed (then `operation_id` carries it out), or dropped. `alone`: not in a batch."""

    id: int
    reservation_id: int
    agent: str
    state: str
    alone: bool
    operation_id: int | None
    created_at: float


def add(connection: Connection, account: Account, granted: Sequence[tuple[int, str]], now: float) -> None:
    """Writes grants: (reservation, agent)."""
    insert_rows(
        connection,
        dispatches,
        [
            {
                "reservation_id": reservation_id,
                **account.columns,
                "agent": agent,
                "state": WAITING,
                "alone": False,
                "operation_id": None,
                "created_at": now,
            }
            for reservation_id, agent in granted
        ],
    )


def waiting(
    connection: Connection, account: Account, *, without_agents: Collection[str] = (), limit: int = 1000
) -> list[Dispatch]:
    """Grants that nobody has handed on, the oldest first, without those of some agents."""
    query = select(dispatches).where(account.owns(dispatches), _IS_WAITING).order_by(dispatches.c.id).limit(limit)
    if without_agents:
        query = query.where(dispatches.c.agent.not_in(sorted(without_agents)))
    return [_dispatch(row) for row in connection.execute(query)]


def count_waiting(connection: Connection, account: Account) -> int:
    """How many grants nobody has handed on."""
    query = select(func.count()).where(account.owns(dispatches), _IS_WAITING)
    return int(connection.execute(query).scalar_one())


def by_reservations(connection: Connection, reservation_ids: Collection[int]) -> dict[int, Dispatch]:
    """The grants of these reservations."""
    query = select(dispatches).where(among(connection, dispatches.c.reservation_id, sorted(set(reservation_ids))))
    return {one.reservation_id: one for one in map(_dispatch, connection.execute(query))}


def hand(connection: Connection, operations: Mapping[int, int]) -> None:
    """These grants are carried out by these operations (grant's number: operation).

    Raises LedgerConflict if one of them no longer waits.
    """
    by_operation: dict[int, list[int]] = {}
    for number, operation_id in operations.items():
        by_operation.setdefault(operation_id, []).append(number)
    for operation_id, numbers in by_operation.items():
        changed = connection.execute(
            update(dispatches)
            .where(among(connection, dispatches.c.id, numbers), dispatches.c.state == WAITING)
            .values(state=_HANDED, operation_id=operation_id)
        )
        if changed.rowcount != len(numbers):
            raise LedgerConflict(
                "Another process has handed on one of these grants.",
                hint="Nothing was changed: what is left is read again.",
                retryable=True,
            )


def again(connection: Connection, reservation_ids: Collection[int], *, alone: bool) -> None:
    """Grants whose operation did nothing wait again."""
    connection.execute(
        update(dispatches)
        .where(among(connection, dispatches.c.reservation_id, sorted(reservation_ids)))
        .values(state=WAITING, operation_id=None, alone=alone)
    )


def drop(connection: Connection, reservation_ids: Collection[int]) -> None:
    """Grants that wait and are no longer to be carried out."""
    connection.execute(
        update(dispatches)
        .where(among(connection, dispatches.c.reservation_id, sorted(reservation_ids)), dispatches.c.state == WAITING)
        .values(state=_DROPPED)
    )


def _dispatch(row: Row[Any]) -> Dispatch:
    return Dispatch(row.id, row.reservation_id, row.agent, row.state, row.alone, row.operation_id, row.created_at)
