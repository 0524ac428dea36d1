"""Rows of asks and votes: requests that wait for a yes, and who said what."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select, update

from coordinator.store.accounts import Account
from coordinator.store.asking import Question, ask
from coordinator.store.budget_schema import asks, votes
from coordinator.store.bulk import among, insert_rows, is_postgresql, listed_in, listing

__all__ = [
    "AskRow",
    "AskState",
    "Vote",
    "add",
    "by_approval",
    "by_reservations",
    "close",
    "overdue",
    "vote",
    "votes_of",
    "waiting",
]


class AskState(StrEnum):
    """What became of a question."""

    WAITING = "waiting"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class AskRow:
    """A question for so many yeses about a reservation."""

    reservation_id: int
    approval_id: str
    required: int
    state: AskState
    asked_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class Vote:
    """What one approver said."""

    reservation_id: int
    approver: str
    yes: bool
    reason: str
    at: float


def add(connection: Connection, account: Account, made: Sequence[AskRow]) -> None:
    """Puts questions."""
    insert_rows(
        connection,
        asks,
        [
            {
                "reservation_id": one.reservation_id,
                **account.columns,
                "approval_id": one.approval_id,
                "required": one.required,
                "state": one.state.value,
                "asked_at": one.asked_at,
                "expires_at": one.expires_at,
            }
            for one in made
        ],
    )


def by_approval(connection: Connection, account: Account, approval_id: str, *, lock: bool = False) -> AskRow | None:
    """The question of this name; locked until the commit if asked for."""
    query = select(asks).where(account.owns(asks), asks.c.approval_id == approval_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else _ask(row)


def by_reservations(connection: Connection, reservation_ids: Collection[int]) -> dict[int, AskRow]:
    """The questions about these reservations."""
    postgresql = is_postgresql(connection)
    parameters = {"ids": listing(postgresql, sorted(set(reservation_ids)))}
    question = Question(_of(postgresql), parameters, lambda rows: {row.reservation_id: _ask(row) for row in rows})
    return ask(connection, question)


def close(
    connection: Connection, reservation_ids: Collection[int], state: AskState, *, required: int | None = None
) -> None:
    """Ends questions."""
    values: dict[str, Any] = {"state": state.value} | ({} if required is None else {"required": required})
    statement = update(asks).where(among(connection, asks.c.reservation_id, sorted(reservation_ids)))
    connection.execute(statement.values(**values))


def vote(connection: Connection, one: Vote) -> None:
    """Writes down what somebody said. Each approver has one vote."""
    connection.execute(
        insert(votes).values(
            reservation_id=one.reservation_id, approver=one.approver, yes=one.yes, reason=one.reason, at=one.at
        )
    )


def votes_of(connection: Connection, reservation_id: int) -> list[Vote]:
    """What was said about a reservation, the oldest first."""
    query = select(votes).where(votes.c.reservation_id == reservation_id).order_by(votes.c.at, votes.c.approver)
    return [Vote(row.reservation_id, row.approver, row.yes, row.reason, row.at) for row in connection.execute(query)]


def waiting(connection: Connection, account: Account, *, limit: int = 1000) -> list[AskRow]:
    """The questions that wait, the most urgent first."""
    query = (
        select(asks)
        .where(account.owns(asks), asks.c.state == AskState.WAITING.value)
        .order_by(asks.c.expires_at, asks.c.reservation_id)
        .limit(limit)
    )
    return [_ask(row) for row in connection.execute(query)]


def overdue(connection: Connection, account: Account, now: float, *, limit: int = 500) -> list[int]:
    """The reservations whose question nobody has answered in time; locked until the commit."""
    query = (
        select(asks.c.reservation_id)
        .where(account.owns(asks), asks.c.state == AskState.WAITING.value, asks.c.expires_at <= now)
        .order_by(asks.c.reservation_id)
        .limit(limit)
        .with_for_update()
    )
    return list(connection.execute(query).scalars())


@lru_cache(maxsize=2)
def _of(postgresql: bool) -> Select[Any]:
    return select(asks).where(listed_in(postgresql, asks.c.reservation_id, "ids"))


def _ask(row: Row[Any]) -> AskRow:
    return AskRow(row.reservation_id, row.approval_id, row.required, AskState(row.state), row.asked_at, row.expires_at)
