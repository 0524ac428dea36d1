"""Rows of cells: the only rows that every decision changes. Who reads them to write them locks them, in one order."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Select, func, select

from coordinator.budget.cells import Cell
from coordinator.errors import LedgerConflict
from coordinator.store.asking import Question, ask_together
from coordinator.store.budget_schema import cells
from coordinator.store.bulk import insert_rows, is_postgresql, listed_in, listing, update_rows
from coordinator.store.formats import text

__all__ = ["CellKey", "buckets_text", "insert", "lock", "locked", "locking", "write"]

CellKey = tuple[int, int]
"""Scope and start of the window."""

_COLUMNS = tuple(cells.c[name] for name in ("scope_id", "window_start", "lim", "cap", "spent", "reserved", "buckets"))


def lock(connection: Connection, keys: Collection[CellKey]) -> dict[CellKey, Cell]:
    """Those of these cells that there are, locked until the commit. Raises LedgerConflict if one was made meanwhile."""
    return locked(ask_together(connection, locking(is_postgresql(connection), keys)))


def locking(postgresql: bool, keys: Collection[CellKey]) -> list[Question[Any]]:
    """Questions to be asked in this order, and whose answers `locked` understands."""
    wanted = set(keys)
    parameters = {
        "scope_ids": listing(postgresql, sorted({scope_id for scope_id, _ in wanted})),
        "windows": listing(postgresql, sorted({window for _, window in wanted})),
    }

    def read(rows: Sequence[Any]) -> tuple[int, dict[CellKey, Cell]]:
        return len(rows), {key: _cell(row) for row in rows if (key := (row[0], row[1])) in wanted}

    def count(rows: Sequence[Any]) -> int:
        return int(rows[0].number)

    statements = _statements(postgresql)
    return [Question(one, parameters, meaning) for one, meaning in zip(statements, (read, count), strict=False)]


def locked(answers: Sequence[Any]) -> dict[CellKey, Cell]:
    """The cells that are locked now. Raises LedgerConflict as `lock`."""
    (number, found), *there = answers
    cells_found: dict[CellKey, Cell] = found
    # What was made while this waited for a lock is not in the view of a statement that began before. Locking it now
    # would be out of order, and two who do that wait for one another.
    if there and there[0] != number:
        raise LedgerConflict(
            "Another process has made one of these cells.", hint="Nothing was changed. Try again.", retryable=True
        )
    return cells_found


@lru_cache(maxsize=2)
def _statements(postgresql: bool) -> tuple[Select[Any], ...]:
    """To lock cells, and, where somebody else may write at the same time, to see how many there are then."""
    mine = (
        listed_in(postgresql, cells.c.scope_id, "scope_ids"),
        listed_in(postgresql, cells.c.window_start, "windows"),
    )
    locks = select(*_COLUMNS).where(*mine).order_by(cells.c.scope_id, cells.c.window_start).with_for_update()
    return (locks, select(func.count().label("number")).where(*mine)) if postgresql else (locks,)


def insert(connection: Connection, made: Sequence[Cell]) -> None:
    """Writes new cells. If another process has made one of them meanwhile, `Ledger.write` raises LedgerConflict."""
    insert_rows(connection, cells, [_row(one) for one in made])


def write(connection: Connection, changed: Sequence[Cell]) -> None:
    """Writes cells that were locked."""
    update_rows(connection, cells, ("scope_id", "window_start"), [_row(one) for one in changed])


def _row(one: Cell) -> dict[str, Any]:
    return {
        "scope_id": one.scope_id,
        "window_start": one.window_start,
        "lim": one.lim,
        "cap": one.cap,
        "spent": one.spent,
        "reserved": one.reserved,
        "buckets": buckets_text(one),
    }


def buckets_text(one: Cell) -> str | None:
    """The hours of a rolling window as their column has them."""
    return None if one.buckets is None else text({str(hour): held for hour, held in one.buckets.items()})


def _cell(row: Any) -> Cell:
    scope_id, window_start, lim, cap, spent, reserved, buckets = row
    return Cell(
        scope_id,
        window_start,
        lim,
        cap,
        spent,
        reserved,
        None if buckets is None else {int(hour): held for hour, held in json.loads(buckets).items()},
    )
