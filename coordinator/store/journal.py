"""Rows of the journal: what happened, in order. Never changed, never deleted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, insert, select

from coordinator.store.accounts import Account
from coordinator.store.formats import text
from coordinator.store.schema import journal
from coordinator.types import Stage

__all__ = ["Entry", "Written", "add", "listed"]


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened, to an operation or (without one) to an agent or the treasury."""

    event: str
    agent: str
    operation_id: int | None = None
    before: Stage | None = None
    after: Stage | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Written:
    """An entry as it is in the journal."""

    seq: int
    at: float
    entry: Entry


def add(connection: Connection, account: Account, entries: Sequence[Entry], now: float) -> None:
    """Writes entries, in order."""
    if entries:
        connection.execute(
            insert(journal),
            [
                {
                    "operation_id": one.operation_id,
                    **account.columns,
                    "agent": one.agent,
                    "at": now,
                    "event": one.event,
                    "before": None if one.before is None else one.before.value,
                    "after": None if one.after is None else one.after.value,
                    "detail": text(one.detail) if one.detail else "{}",
                }
                for one in entries
            ],
        )


def listed(
    connection: Connection, account: Account, *, operation_id: int | None = None, after: int = 0, limit: int = 1000
) -> list[Written]:
    """The entries after a number, the oldest first; of one operation if one is named."""
    query = select(journal).where(account.owns(journal), journal.c.seq > after).order_by(journal.c.seq).limit(limit)
    if operation_id is not None:
        query = query.where(journal.c.operation_id == operation_id)
    return [
        Written(
            row.seq,
            row.at,
            Entry(
                row.event,
                row.agent,
                row.operation_id,
                None if row.before is None else Stage(row.before),
                None if row.after is None else Stage(row.after),
                json.loads(row.detail),
            ),
        )
        for row in connection.execute(query)
    ]
