"""Many rows, or rows of many keys, in one statement whose text is always the same: databases keep its plan."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    String,
    Table,
    TextClause,
    bindparam,
    cast,
    func,
    insert,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from coordinator.store.asking import Question, tell

__all__ = ["among", "drawing", "insert_rows", "is_postgresql", "listed_in", "listing", "numbers_text", "update_rows"]


_rows_text = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def among(
    connection: Connection, column: Column[Any], values: Collection[int] | Collection[str]
) -> ColumnElement[bool]:
    """Whether a column holds one of these ints, or of these texts."""
    postgresql = is_postgresql(connection)
    return listed_in(postgresql, column, None, listing(postgresql, values))


def is_postgresql(connection: Connection) -> bool:
    """Which of the two databases it is."""
    return connection.dialect.name == "postgresql"


def listed_in(postgresql: bool, column: Column[Any], name: str | None, value: Any = None) -> ColumnElement[bool]:
    """Whether a column holds one of those that the parameter `name` lists, for statements that are made once."""
    if postgresql:
        if isinstance(column.type, BigInteger):
            written = bindparam(name, value, type_=String(), unique=name is None, required=False)
            return column == func.any(cast(written, ARRAY(BigInteger())))
        kind = ARRAY(String())
        return column == func.any(bindparam(name, value, type_=kind, unique=name is None, required=False))
    listed = bindparam(name, value, type_=String(), unique=name is None, required=False)
    return column.in_(select(func.json_each(listed).table_valued("value").c.value))


def listing(postgresql: bool, values: Collection[int] | Collection[str]) -> Any:
    """The parameter of `listed_in` that lists these."""
    if not postgresql:
        return json.dumps(list(values))
    numbers = bool(values) and isinstance(next(iter(values)), int)
    return numbers_text(values) if numbers else list(values)


def numbers_text(numbers: Iterable[object]) -> str:
    """An array of numbers, None among them, as PostgreSQL writes it: what the driver does for a list takes longer than
    the statement.
    """
    return f"{{{','.join(map(str, numbers)).replace('None', 'NULL')}}}"


def insert_rows(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Inserts rows that all have the same columns."""
    if not rows:
        return
    if is_postgresql(connection):
        tell(connection, _insert_many(table, tuple(rows[0])), {"rows": _rows_text(rows)})
    else:
        connection.execute(_insert(table, tuple(rows[0])), rows)


def update_rows(connection: Connection, table: Table, keys: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    """Writes rows that all have the same columns over those with the same `keys`."""
    if not rows:
        return
    if is_postgresql(connection):
        tell(connection, _update_many(table, tuple(keys), tuple(rows[0])), {"rows": _rows_text(rows)})
    else:
        connection.execute(_update_one(table, tuple(keys), tuple(rows[0])), [_prefixed(row) for row in rows])


def drawing(postgresql: bool, table: Table, number: int) -> Question[list[int]]:
    """Numbers for new rows. On SQLite the transaction has to write, so that nobody else draws the same ones."""
    if postgresql:
        return Question(_draw(table), {"number": number}, lambda rows: [row.id for row in rows])
    return Question(_last(table), {}, lambda rows: list(range(rows[0].id + 1, rows[0].id + 1 + number)))


def _prefixed(row: dict[str, Any]) -> dict[str, Any]:
    return {f"b_{name}": value for name, value in row.items()}


@lru_cache(maxsize=64)
def _last(table: Table) -> Any:
    return select(func.coalesce(func.max(table.c.id), 0).label("id"))


@lru_cache(maxsize=64)
def _insert(table: Table, columns: tuple[str, ...]) -> Any:
    return insert(table).values({name: bindparam(name) for name in columns})


@lru_cache(maxsize=64)
def _insert_many(table: Table, columns: tuple[str, ...]) -> TextClause:
    names = ", ".join(f'"{name}"' for name in columns)
    rows = f"json_populate_recordset(NULL::{table.name}, CAST(:rows AS json))"
    return text(f"INSERT INTO {table.name} ({names}) SELECT {names} FROM {rows}")


@lru_cache(maxsize=64)
def _update_many(table: Table, keys: tuple[str, ...], columns: tuple[str, ...]) -> TextClause:
    sets = ", ".join(f'"{name}" = new."{name}"' for name in columns if name not in keys)
    same = " AND ".join(f'{table.name}."{name}" = new."{name}"' for name in keys)
    rows = f"json_populate_recordset(NULL::{table.name}, CAST(:rows AS json)) AS new"
    return text(f"UPDATE {table.name} SET {sets} FROM {rows} WHERE {same}")


@lru_cache(maxsize=64)
def _update_one(table: Table, keys: tuple[str, ...], columns: tuple[str, ...]) -> Any:
    statement = table.update().where(*(table.c[name] == bindparam(f"b_{name}") for name in keys))
    return statement.values({name: bindparam(f"b_{name}") for name in columns if name not in keys})


@lru_cache(maxsize=64)
def _draw(table: Table) -> TextClause:
    return text(f"SELECT nextval('{table.name}_id_seq') AS id FROM generate_series(1, CAST(:number AS int))")
