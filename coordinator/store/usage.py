"""How much of which budget is used: cells beside their scopes, read only."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from coordinator.budget.cells import Cell
from coordinator.budget.words import Period, Scope, ScopeKind
from coordinator.store.accounts import Account
from coordinator.store.budget_schema import cells, scopes
from coordinator.store.bulk import among
from coordinator.store.scopes import ScopeRow

__all__ = ["Usage", "of_cells", "of_wallet", "selecting", "usage_of"]


@dataclass(frozen=True, slots=True)
class Usage:
    """A cell, and what it is a window of."""

    row: ScopeRow
    cell: Cell

    @property
    def scope(self) -> Scope:
        """What the limit applies to."""
        return self.row.scope


def of_wallet(connection: Connection, account: Account, *, since: int | None = None) -> list[Usage]:
    """The cells of a wallet, by scope and window; if `since` is given, those of windows that began then or later, and
    of those that never end.
    """
    if since is None:
        return _read(connection, account)
    return _read(connection, account, (cells.c.window_start == 0) | (cells.c.window_start >= since))


def of_cells(connection: Connection, account: Account, wanted: Collection[tuple[int, int]]) -> list[Usage]:
    """These cells, (scope, window), of a wallet."""
    found = _read(
        connection,
        account,
        among(connection, cells.c.scope_id, sorted({scope_id for scope_id, _ in wanted})),
        among(connection, cells.c.window_start, sorted({window for _, window in wanted})),
    )
    return [one for one in found if (one.cell.scope_id, one.cell.window_start) in wanted]


def selecting(account: Account, *conditions: Any) -> Select[Any]:
    """The query for the cells of a wallet for which these hold; `usage_of` reads its rows."""
    names = ("kind", "key", "period", "unit", "frozen")
    return (
        select(cells, *(scopes.c[name] for name in names))
        .join(scopes, scopes.c.id == cells.c.scope_id)
        .where(account.owns(scopes), *conditions)
    )


def usage_of(row: Row[Any]) -> Usage:
    """A row of `selecting`."""
    scope = Scope(ScopeKind(row.kind), row.key, Period(row.period), row.unit)
    buckets = None if row.buckets is None else {int(hour): held for hour, held in json.loads(row.buckets).items()}
    cell = Cell(row.scope_id, row.window_start, row.lim, row.cap, row.spent, row.reserved, buckets)
    return Usage(ScopeRow(row.scope_id, scope, row.frozen), cell)


def _read(connection: Connection, account: Account, *conditions: Any) -> list[Usage]:
    query = selecting(account, *conditions).order_by(cells.c.scope_id, cells.c.window_start)
    return [usage_of(row) for row in connection.execute(query)]
