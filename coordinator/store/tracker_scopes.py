"""Rows of what trackers count: scopes, their cells, and what else there is to know of them.

A scope is known as long as it has a limit or a history; the numbers of those that are forgotten are not used again.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, select

from actp.engine.store.conflicts import insert_or_ignore
from coordinator.budget.words import FOR_EVER, LARGEST, Period
from coordinator.store.accounts import Account
from coordinator.store.asking import ask
from coordinator.store.budget_schema import cells, scopes
from coordinator.store.bulk import among, drawing, insert_rows, is_postgresql, update_rows
from coordinator.store.tracker_schema import tracked, trackers

__all__ = ["KIND", "ScopeState", "by_ids", "by_keys", "known", "owner_of", "require", "write"]

KIND = "tracked"
"""What `co_scopes` calls the scopes of trackers."""


@dataclass(slots=True)
class ScopeState:
    """A scope with its counters. `known` says whether it has a limit or a history: if not, the rest means nothing, and
    `id` is None if it never had any. `retold`: what is known of it beside its cell is not as it was read.
    """

    key: str
    name: str
    id: int | None = None
    known: bool = False
    unit: str = ""
    limit: int | None = None
    cap: int = LARGEST
    spent: int = 0
    reserved: int = 0
    overruns: int = 0
    late: int = 0
    retold: bool = False


def owner_of(root: str) -> Account:
    """Who owns the scopes of a root: it does, as wallets own those of treasuries, but on no chain."""
    return Account(0, f"root:{sha256(root.encode()).hexdigest()[:37]}")


def require(connection: Connection, owner: Account, root: str) -> str:
    """What tokens of this root call it, noted if it is new: the same name for all, and in no other database."""
    insert_or_ignore(connection, trackers, [owner.columns | {"root": root, "name": secrets.token_hex(16)}])
    return str(connection.execute(select(trackers.c.name).where(owner.owns(trackers))).scalar_one())


def by_keys(connection: Connection, owner: Account, keys: Collection[str]) -> dict[str, ScopeState]:
    """The scopes of these keys that have rows, known or not."""
    return {one.key: one for one in _read(connection, owner, among(connection, scopes.c.key, sorted(keys)))}


def by_ids(connection: Connection, owner: Account, ids: Collection[int]) -> list[ScopeState]:
    """The scopes of these numbers."""
    return _read(connection, owner, among(connection, scopes.c.id, sorted(ids)))


def known(connection: Connection, owner: Account) -> list[ScopeState]:
    """All with a limit or a history."""
    return _read(connection, owner, tracked.c.scope_id.is_not(None))


def write(connection: Connection, owner: Account, changed: Sequence[ScopeState]) -> None:
    """Writes scopes that were read; those without a number get one. Only where who writes is alone: on SQLite."""
    made = [one for one in changed if one.id is None and one.known]
    kept = [one for one in changed if one.id is not None]
    _number(connection, made)
    insert_rows(connection, scopes, [owner.columns | _scope_row(one) for one in made])
    insert_rows(connection, cells, [_cell_row(one) for one in made])
    update_rows(connection, cells, ("scope_id", "window_start"), [_cell_row(one) for one in kept])
    retold = [one for one in kept if one.retold]
    if retold:
        update_rows(connection, scopes, ("id",), [{"id": one.id, "unit": one.unit} for one in retold])
        ids = [one.id for one in retold if one.id is not None]
        connection.execute(delete(tracked).where(among(connection, tracked.c.scope_id, ids)))
    insert_rows(connection, tracked, [_tracked_row(one) for one in (*made, *retold) if one.known])


def _read(connection: Connection, owner: Account, condition: ColumnElement[bool]) -> list[ScopeState]:
    query = (
        select(
            scopes.c.key, tracked.c.name, scopes.c.id, scopes.c.unit, cells.c.lim, cells.c.cap, cells.c.spent,
            cells.c.reserved, tracked.c.overruns, tracked.c.late,
        )
        .join(cells, and_(cells.c.scope_id == scopes.c.id, cells.c.window_start == FOR_EVER))
        .outerjoin(tracked, tracked.c.scope_id == scopes.c.id)
        .where(owner.owns(scopes), scopes.c.kind == KIND, condition)
    )  # fmt: skip
    found = []
    for key, name, id, unit, limit, cap, spent, reserved, overruns, late in connection.execute(query):
        state = ScopeState(key, name or "", id, name is not None, unit, limit, cap, spent, reserved)
        state.overruns, state.late = overruns or 0, late or 0
        found.append(state)
    return found


def _number(connection: Connection, made: Sequence[ScopeState]) -> None:
    if made:
        drawn = ask(connection, drawing(is_postgresql(connection), scopes, len(made)))
        for one, id in zip(made, drawn, strict=True):
            one.id = id


def _scope_row(one: ScopeState) -> dict[str, Any]:
    return {"id": one.id, "kind": KIND, "key": one.key, "period": Period.EVER.value, "unit": one.unit}


def _cell_row(one: ScopeState) -> dict[str, Any]:
    return {
        "scope_id": one.id,
        "window_start": FOR_EVER,
        "lim": one.limit,
        "cap": one.cap,
        "spent": one.spent,
        "reserved": one.reserved,
    }


def _tracked_row(one: ScopeState) -> dict[str, Any]:
    return {"scope_id": one.id, "name": one.name, "overruns": one.overruns, "late": one.late}
