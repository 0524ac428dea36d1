"""Rows of scopes: what limits apply to. Made when they are first charged to, never deleted."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Select, select, update

from actp.engine.store.conflicts import insert_or_ignore
from coordinator.budget.words import Period, Scope, ScopeKind
from coordinator.store.accounts import Account, owned
from coordinator.store.asking import Question
from coordinator.store.budget_schema import scopes
from coordinator.store.bulk import among, is_postgresql, listed_in, listing

__all__ = ["ScopeRow", "by_ids", "find", "freeze", "freezes", "listed", "require", "unfreeze"]

_KINDS = {one.value: one for one in ScopeKind}
_PERIODS = {one.value: one for one in Period}
_COLUMNS = tuple(scopes.c[name] for name in ("id", "kind", "key", "period", "unit", "frozen"))


@dataclass(frozen=True, slots=True)
class ScopeRow:
    """A scope and its number. `frozen` says why nothing more may be charged to it."""

    id: int
    scope: Scope
    frozen: str | None = None


def find(connection: Connection, account: Account, wanted: Collection[Scope]) -> dict[Scope, ScopeRow]:
    """Those of these scopes that were ever charged to."""
    postgresql = is_postgresql(connection)
    parameters = account.columns | {"keys": listing(postgresql, sorted({one.key for one in wanted}))}
    rows = map(_scope, connection.execute(_by_keys(postgresql), parameters))
    return {row.scope: row for row in rows if row.scope in wanted}


def require(connection: Connection, account: Account, wanted: Iterable[Scope]) -> dict[Scope, ScopeRow]:
    """These scopes, made if need be."""
    needed = set(wanted)
    found = find(connection, account, needed)
    missing = needed - found.keys()
    if not missing:
        return found
    _make(connection, account, sorted(missing))
    return find(connection, account, needed)


def by_ids(connection: Connection, ids: Collection[int]) -> dict[int, ScopeRow]:
    """The scopes of these numbers."""
    postgresql = is_postgresql(connection)
    rows = connection.execute(_by_ids(postgresql), {"ids": listing(postgresql, sorted(set(ids)))})
    return {row.id: row for row in map(_scope, rows)}


def freezes(postgresql: bool, ids: Collection[int]) -> Question[dict[int, str]]:
    """Why nothing may be charged to those of these that are frozen."""
    parameters = {"ids": listing(postgresql, sorted(set(ids)))}
    return Question(_frozen(postgresql), parameters, lambda rows: {row.id: row.frozen for row in rows})


def listed(connection: Connection, account: Account) -> list[ScopeRow]:
    """All scopes of a wallet."""
    query = select(*_COLUMNS).where(account.owns(scopes)).order_by(scopes.c.id)
    return [_scope(row) for row in connection.execute(query)]


def freeze(connection: Connection, ids: Collection[int], reason: str) -> list[int]:
    """Nothing more may be charged to these; those that were not frozen before."""
    changed = (
        update(scopes)
        .where(among(connection, scopes.c.id, sorted(ids)), scopes.c.frozen.is_(None))
        .values(frozen=reason)
        .returning(scopes.c.id)
    )
    return sorted(connection.execute(changed).scalars())


def unfreeze(connection: Connection, scope_id: int) -> bool:
    """Lets requests charge a scope again; False if they could."""
    changed = update(scopes).where(scopes.c.id == scope_id, scopes.c.frozen.is_not(None)).values(frozen=None)
    return connection.execute(changed).rowcount == 1


@lru_cache(maxsize=2)
def _by_keys(postgresql: bool) -> Select[Any]:
    return select(*_COLUMNS).where(owned(scopes), listed_in(postgresql, scopes.c.key, "keys"))


@lru_cache(maxsize=2)
def _by_ids(postgresql: bool) -> Select[Any]:
    return select(*_COLUMNS).where(listed_in(postgresql, scopes.c.id, "ids"))


@lru_cache(maxsize=2)
def _frozen(postgresql: bool) -> Select[Any]:
    mine = listed_in(postgresql, scopes.c.id, "ids")
    return select(scopes.c.id, scopes.c.frozen).where(mine, scopes.c.frozen.is_not(None))


def _make(connection: Connection, account: Account, wanted: Collection[Scope]) -> None:
    rows = [
        {
            **account.columns,
            "kind": one.kind.value,
            "key": one.key,
            "period": one.period.value,
            "unit": one.unit,
            "frozen": None,
        }
        for one in wanted
    ]
    insert_or_ignore(connection, scopes, rows)


def _scope(row: Any) -> ScopeRow:
    number, kind, key, period, unit, frozen = row
    return ScopeRow(number, Scope(_KINDS[kind], key, _PERIODS[period], unit), frozen)
