"""Rows of the journal: what happened, in order. Never changed, never deleted; `seals` numbers them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from coordinator.budget.words import ReservationState
from coordinator.store.accounts import Account
from coordinator.store.bulk import insert_rows
from coordinator.store.formats import text
from coordinator.store.schema import journal
from coordinator.types import Stage

__all__ = ["DISPUTE_OPENED", "Entry", "Written", "add", "listed"]

DISPUTE_OPENED = "dispute_opened"
"""The event of a dispute that anybody has opened; its detail has `transactionId`, and `by` whom if that is known."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened, to an operation, to a reservation, or (without either) to an agent or the treasury.

    `before` and `after` are stages of the operation or states of the reservation. What changes cells says how in its
    detail: `cells` is [[scope, window, change of spent, change of reserved, bucket]], `limits` is [[scope, window, lim,
    cap]] as they are from now on.
    """

    event: str
    agent: str
    operation_id: int | None = None
    before: Stage | ReservationState | None = None
    after: Stage | ReservationState | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    reservation_id: int | None = None
    booked: str = ""
    """More of the detail, to be written: members of a JSON object as their text."""

    @property
    def text(self) -> str:
        """The detail as its column has it."""
        if not self.booked:
            return text(self.detail) if self.detail else "{}"
        return f"{text(self.detail)[:-1]},{self.booked}}}" if self.detail else f"{{{self.booked}}}"


@dataclass(frozen=True, slots=True)
class Written:
    """An entry as it is in the journal."""

    seq: int
    at: float
    entry: Entry


def add(connection: Connection, account: Account, entries: Sequence[Entry], now: float) -> None:
    """Writes entries, in order."""
    insert_rows(
        connection,
        journal,
        [
            {
                "operation_id": one.operation_id,
                "reservation_id": one.reservation_id,
                **account.columns,
                "agent": one.agent,
                "at": now,
                "event": one.event,
                "before": None if one.before is None else one.before.value,
                "after": None if one.after is None else one.after.value,
                "detail": one.text,
            }
            for one in entries
        ],
    )


def listed(
    connection: Connection,
    account: Account,
    *,
    operation_id: int | None = None,
    reservation_id: int | None = None,
    after: int = 0,
    newest: bool = False,
    limit: int = 1000,
) -> list[Written]:
    """The entries after a `seq`, the oldest first; of one operation or reservation if one is named. Where there are too
    many it is the first ones, or, if asked for, the newest.
    """
    order = journal.c.seq.desc() if newest else journal.c.seq
    query = select(journal).where(account.owns(journal), journal.c.seq > after).order_by(order).limit(limit)
    if operation_id is not None:
        query = query.where(journal.c.operation_id == operation_id)
    if reservation_id is not None:
        query = query.where(journal.c.reservation_id == reservation_id)
    found = [
        Written(
            row.seq,
            row.at,
            Entry(
                row.event,
                row.agent,
                row.operation_id,
                _state(row, row.before),
                _state(row, row.after),
                json.loads(row.detail),
                row.reservation_id,
            ),
        )
        for row in connection.execute(query)
    ]
    return found[::-1] if newest else found


def _state(row: Any, value: str | None) -> Stage | ReservationState | None:
    if value is None:
        return None
    return Stage(value) if row.reservation_id is None else ReservationState(value)
