"""Sealing the journal: what was committed gets a number in the chain of its wallet, and a hash over it and all before.

Decisions commit in parallel, so that rows become visible in another order than that of `seq`. Sealing looks at what is
there and has no number yet, and appends it: numbers have no gap, and none is ever given again. An entry may have a
lower `seq` than one before it.

A hash is the SHA-256 of the canonical JSON of [hash before, row]: the row with every column but the hash, as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, LargeBinary, Select, String, Text, bindparam, cast, select, update

from actp.engine.store.conflicts import insert_or_ignore
from actp.units import ZERO_HASH
from coordinator.canonical import digest
from coordinator.store.accounts import Account
from coordinator.store.budget_schema import seals
from coordinator.store.database import Ledger
from coordinator.store.schema import journal

__all__ = [
    "FIRST",
    "Row",
    "Seal",
    "alerted",
    "as_text",
    "end",
    "follows",
    "note_alerted",
    "numbered",
    "seal",
    "seal_all",
    "unsealed",
]

_MANY = 500
_TEXTS = frozenset(column.name for column in journal.c if isinstance(column.type, String | Text))


@dataclass(frozen=True, slots=True)
class Seal:
    """An entry's place in the chain, and what stands for it and everything before it."""

    number: int
    hash: str


FIRST = Seal(0, ZERO_HASH)
"""Where every chain begins."""

Row = Mapping[str, Any]
"""A row of the journal, by the names of its columns. Bytes that are no text stay bytes."""


def seal_all(ledger: Ledger, account: Account) -> int:
    """Seals whatever waits, in commits of a few hundred entries; how many those were. Any number of processes may do so
    at the same time. Raises StoreError.
    """
    sealed = 0
    while True:
        with ledger.write() as connection:
            here = seal(connection, account, limit=_MANY)
        sealed += here
        if here < _MANY:
            return sealed


def seal(connection: Connection, account: Account, *, limit: int) -> int:
    """Gives the entries that have no number theirs, the lowest `seq` first; how many those were.

    Whoever seals holds the row of the chain's end until the commit, and looks for entries after that: nobody else can
    give the same numbers.
    """
    last = _hold_end(connection, account)
    given = []
    rows = unsealed(connection, account, limit=limit)
    if not rows:
        return 0
    for row in rows:
        last = Seal(last.number + 1, follows(last.hash, {**row, "number": last.number + 1}))
        given.append({"b_seq": row["seq"], "b_number": last.number, "b_hash": last.hash})
    connection.execute(
        update(journal)
        .where(journal.c.seq == bindparam("b_seq"), journal.c.number.is_(None))
        .values(number=bindparam("b_number"), hash=bindparam("b_hash")),
        given,
    )
    connection.execute(update(seals).where(account.owns(seals)).values(number=last.number, hash=last.hash))
    return len(given)


def follows(previous: str, row: Row) -> str:
    """The hash of a row after the one with the hash `previous`."""
    return digest([previous, {name: _written(value) for name, value in row.items() if name != "hash"}])


def _written(value: object) -> str | list[str] | None:
    if isinstance(value, bytes):
        return [value.hex()]
    # Numbers of a database may be larger than those of JSON, and floats have no canonical form there; their shortest
    # text that is read back as the same float does.
    return value if value is None or isinstance(value, str) else repr(value)


def end(connection: Connection, account: Account) -> Seal | None:
    """Where the chain ends, by its own row; None if nothing was ever sealed."""
    row = connection.execute(select(seals.c.number, seals.c.hash).where(account.owns(seals))).one_or_none()
    return None if row is None else Seal(*row)


def numbered(connection: Connection, account: Account, *, after: int, limit: int) -> list[Row]:
    """Sealed entries with higher numbers, in the order of the chain."""
    query = _of(connection, account, after).limit(limit)
    return [_decoded(dict(one._mapping)) for one in connection.execute(query)]


def unsealed(connection: Connection, account: Account, *, after: int = 0, limit: int) -> list[Row]:
    """Entries that have no number yet, in the order in which they will get one if no other comes between."""
    query = _of(connection, account, None).where(journal.c.seq > after).limit(limit)
    return [_decoded(dict(one._mapping)) for one in connection.execute(query)]


def alerted(connection: Connection, account: Account) -> int:
    """Up to which number alerts were made."""
    return connection.execute(select(seals.c.alerted).where(account.owns(seals))).scalar_one_or_none() or FIRST.number


def note_alerted(connection: Connection, account: Account, before: int, number: int) -> bool:
    """Notes up to which number alerts were made; False, with nothing changed, if it no longer was `before`."""
    query = update(seals).where(account.owns(seals), seals.c.alerted == before).values(alerted=number)
    return connection.execute(query).rowcount == 1


def as_text(value: Any) -> Any:
    """The text of bytes, if they are one; anything else as it is."""
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return value


def _hold_end(connection: Connection, account: Account) -> Seal:
    query = select(seals.c.number, seals.c.hash).where(account.owns(seals)).with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None:
        first = {**account.columns, "number": FIRST.number, "hash": FIRST.hash, "alerted": FIRST.number}
        insert_or_ignore(connection, seals, [first])
        row = connection.execute(query).one()
    return Seal(*row)


def _of(connection: Connection, account: Account, after: int | None) -> Select[Any]:
    """Entries with numbers above `after`, in their order; or those without one."""
    # What somebody has put into a file of SQLite in place of a text need not be one. Read as bytes it can be compared;
    # PostgreSQL keeps only texts in its columns.
    raw = connection.dialect.name == "sqlite"
    columns = [
        cast(column, LargeBinary).label(column.name) if raw and column.name in _TEXTS else column
        for column in journal.c
    ]
    query = select(*columns).where(account.owns(journal))
    if after is None:
        return query.where(journal.c.number.is_(None)).order_by(journal.c.seq)
    return query.where(journal.c.number > after).order_by(journal.c.number)


def _decoded(row: Row) -> Row:
    return {name: as_text(value) for name, value in row.items()}
