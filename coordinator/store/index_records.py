"""What indexing has come across: events that nobody here knows, and rows that were put right."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from coordinator.store.bulk import insert_rows
from coordinator.store.formats import text
from coordinator.store.index_schema import repairs, unknown

__all__ = ["Repair", "Unknown", "add_repairs", "count_unknown", "repairs_of", "unknown_of"]


@dataclass(frozen=True, slots=True)
class Unknown:
    """Events of one kind, by their first topic ("" if they have none), that this program does not know."""

    topic: str
    number: int
    first_block: int
    first_tx: str


@dataclass(frozen=True, slots=True)
class Repair:
    """An escrow whose row was not what the chain's state said: by column, what the row had and what the state says
    (None for a row that was missing, or an escrow that does not exist).
    """

    transaction_id: str
    differences: Mapping[str, tuple[Any, Any]]


def count_unknown(connection: Connection, kernel_id: int, seen: Sequence[Unknown]) -> list[Unknown]:
    """Adds to the counts of these kinds; returns those that were never seen before."""
    query = select(unknown.c.topic, unknown.c.number).where(unknown.c.kernel_id == kernel_id)
    known: dict[str, int] = {row.topic: row.number for row in connection.execute(query)} if seen else {}
    new = [one for one in seen if one.topic not in known]
    for one in seen:
        mine = (unknown.c.kernel_id == kernel_id, unknown.c.topic == one.topic)
        if one.topic in known:
            connection.execute(update(unknown).where(*mine).values(number=known[one.topic] + one.number))
        else:
            row = {"topic": one.topic, "number": one.number, "first_block": one.first_block, "first_tx": one.first_tx}
            connection.execute(insert(unknown).values(kernel_id=kernel_id, **row))
    return new


def unknown_of(connection: Connection, kernel_id: int) -> list[Unknown]:
    """The kinds of events of a kernel that this program does not know."""
    query = select(unknown).where(unknown.c.kernel_id == kernel_id).order_by(unknown.c.first_block, unknown.c.topic)
    return [Unknown(row.topic, row.number, row.first_block, row.first_tx) for row in connection.execute(query)]


def add_repairs(connection: Connection, kernel_id: int, block: int, done: Sequence[Repair], now: float) -> None:
    """Writes down what was put right, as of which block."""
    rows = [
        {
            "kernel_id": kernel_id, "transaction_id": one.transaction_id, "block_number": block,
            "differences": text({name: list(pair) for name, pair in one.differences.items()}), "at": now,
        }
        for one in done
    ]  # fmt: skip
    insert_rows(connection, repairs, rows)


def repairs_of(
    connection: Connection, kernel_id: int, *, transaction_id: str | None = None, limit: int = 100
) -> list[Repair]:
    """What was put right, the newest first: of a kernel, or of one escrow."""
    query = select(repairs).where(repairs.c.kernel_id == kernel_id).order_by(repairs.c.id.desc()).limit(limit)
    if transaction_id is not None:
        query = query.where(repairs.c.transaction_id == transaction_id)
    return [
        Repair(row.transaction_id, {name: (was, now) for name, (was, now) in json.loads(row.differences).items()})
        for row in connection.execute(query)
    ]
