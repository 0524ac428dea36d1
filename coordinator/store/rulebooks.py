"""Rows of rulebooks: every version of the rules that ever held."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from coordinator.budget.rulebook import RuleBook
from coordinator.canonical import canonical
from coordinator.store.accounts import Account
from coordinator.store.budget_schema import rulebooks

__all__ = ["Enacted", "add", "agents_since", "listed", "read"]


@dataclass(frozen=True, slots=True)
class Enacted:
    """Rules, and who made them hold when."""

    book: RuleBook
    at: float
    by: str


def add(connection: Connection, account: Account, book: RuleBook, version: int, by: str, now: float) -> None:
    """Writes a version. If it is taken meanwhile, `Ledger.write` raises LedgerConflict."""
    row = {
        "version": version,
        "content": canonical(book.to_json()).decode(),
        "content_hash": book.content_hash,
        "at": now,
        "by": by,
    }
    connection.execute(insert(rulebooks).values(**account.columns, **row))


def read(connection: Connection, account: Account, version: int) -> Enacted | None:
    """A version of the rules."""
    query = select(rulebooks).where(account.owns(rulebooks), rulebooks.c.version == version)
    row = connection.execute(query).one_or_none()
    return None if row is None else _enacted(row)


def listed(connection: Connection, account: Account, *, limit: int = 100) -> list[Enacted]:
    """The newest versions, the newest first."""
    query = select(rulebooks).where(account.owns(rulebooks)).order_by(rulebooks.c.version.desc()).limit(limit)
    return [_enacted(row) for row in connection.execute(query)]


def agents_since(connection: Connection, account: Account, after: int) -> tuple[int, frozenset[str]]:
    """The newest version, and the agents of all versions after `after`."""
    query = (
        select(rulebooks.c.version, rulebooks.c.content)
        .where(account.owns(rulebooks), rulebooks.c.version > after)
        .order_by(rulebooks.c.version)
    )
    names: set[str] = set()
    for version, content in connection.execute(query):
        after = version
        names.update(RuleBook.from_json(json.loads(content), version).agents)
    return after, frozenset(names)


def _enacted(row: Row[Any]) -> Enacted:
    return Enacted(RuleBook.from_json(json.loads(row.content), row.version), row.at, row.by)
