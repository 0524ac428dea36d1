"""Rows of reservations of trackers."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, literal_column, select

from coordinator.store.accounts import Account
from coordinator.store.bulk import among, insert_rows, update_rows
from coordinator.store.formats import text
from coordinator.store.tracker_schema import holds

__all__ = [
    "COMMITTED",
    "EXPIRED",
    "MOST_FORGOTTEN",
    "OPEN",
    "RELEASED",
    "Hold",
    "due",
    "find",
    "forget",
    "insert",
    "open_ones",
    "write",
]

OPEN = "open"
EXPIRED = "expired"
COMMITTED = "committed"
RELEASED = "released"

MOST_FORGOTTEN = 10_000
"""So many are deleted at once, at most."""
# In the words of the indexes: with a parameter in its place a plan that is kept could not use them.
_IS_OPEN = holds.c.state == literal_column(f"'{OPEN}'")
_HAS_ENDED = holds.c.state != literal_column(f"'{OPEN}'")


@dataclass(slots=True)
class Hold:
    """A reservation. `late`: it was ended after it had expired. `over_at` is when it expires, or was ended if later."""

    token: str
    scope_ids: tuple[int, ...]
    amount: int
    unit: str
    expires_at: float
    over_at: float
    state: str = OPEN
    actual: int | None = None
    late: bool = False


_COLUMNS = tuple(holds.c[name] for name in Hold.__slots__)


def find(connection: Connection, owner: Account, tokens: Collection[str]) -> dict[str, Hold]:
    """Those of these that there are."""
    if not tokens:
        return {}
    query = select(*_COLUMNS).where(owner.owns(holds), among(connection, holds.c.token, sorted(tokens)))
    return {row.token: _hold(row) for row in connection.execute(query)}


def due(connection: Connection, owner: Account, now: float) -> list[Hold]:
    """The open ones whose time is up."""
    query = select(*_COLUMNS).where(owner.owns(holds), _IS_OPEN, holds.c.expires_at <= now)
    return [_hold(row) for row in connection.execute(query)]


def open_ones(connection: Connection, owner: Account) -> list[Hold]:
    """All that are not ended, by when they expire; also those whose time is up."""
    query = select(*_COLUMNS).where(owner.owns(holds), _IS_OPEN).order_by(holds.c.expires_at, holds.c.token)
    return [_hold(row) for row in connection.execute(query)]


def insert(connection: Connection, owner: Account, made: Sequence[Hold]) -> None:
    """Writes new ones."""
    insert_rows(connection, holds, [owner.columns | _row(one) for one in made])


def write(connection: Connection, changed: Sequence[Hold]) -> None:
    """Writes those that were read."""
    names = ("token", "state", "actual", "late", "over_at")
    update_rows(connection, holds, ("token",), [{name: getattr(one, name) for name in names} for one in changed])


def forget(connection: Connection, owner: Account, before: float) -> int:
    """Deletes those that were over before then, at most `MOST_FORGOTTEN`; how many."""
    old = select(holds.c.token).where(owner.owns(holds), _HAS_ENDED, holds.c.over_at < before).limit(MOST_FORGOTTEN)
    return connection.execute(delete(holds).where(holds.c.token.in_(old))).rowcount


def _row(one: Hold) -> dict[str, Any]:
    return {name: getattr(one, name) for name in Hold.__slots__} | {"scope_ids": text(list(one.scope_ids))}


def _hold(row: Any) -> Hold:
    token, scope_ids, *rest = row
    return Hold(token, tuple(json.loads(scope_ids)), *rest)
