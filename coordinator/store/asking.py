"""Several questions in one round trip, and a transaction of two of them: a batch is mostly waiting for the database.

On PostgreSQL the statements are sent one behind the other before the first is answered, and each sees what was
committed before it began. On SQLite there is no way to save, and they are asked in turn.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Executable
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError

__all__ = ["Question", "ask", "ask_together", "call", "commit_at_once", "pipelined", "tell"]

_T = TypeVar("_T")
_Told = tuple[str, Mapping[str, Any]]
_BEGIN: _Told = ("BEGIN", {})
_COMMIT: _Told = ("COMMIT", {})
_BEGUN = "co_begun"
_PARAMETER = re.compile(r"%\((\w+)\)s")


@dataclass(frozen=True, slots=True)
class Question(Generic[_T]):
    """A statement, of which there are few and each is made once; its parameters; and what its rows mean."""

    statement: Executable
    parameters: Mapping[str, Any]
    meaning: Callable[[Sequence[Any]], _T]


def ask(connection: Connection, question: Question[_T]) -> _T:
    """The answer to one question."""
    (answer,) = ask_together(connection, [question])
    found: _T = answer
    return found


def ask_together(connection: Connection, questions: Sequence[Question[Any]]) -> list[Any]:
    """The answers, in order. Within `pipelined` the first is answered before the others are asked, and all others by
    what is committed at one moment then: they are one statement.
    """
    begun = _begun(connection)
    if begun is None:
        return [one.meaning(connection.execute(one.statement, one.parameters).all()) for one in questions]
    first, *others = questions
    told: list[_Told] = [(_written(first.statement, connection.dialect), first.parameters)]
    if others:
        named = {f"{name}_{i}": value for i, one in enumerate(others) for name, value in one.parameters.items()}
        told.append((_as_one(tuple(one.statement for one in others), connection.dialect), named))
    if not begun.done:
        told.insert(0, _BEGIN)
        begun.done = True
    with _wrapped(connection):
        cursors = _send(connection, begun.pipeline, told)[-len(questions[:2]) :]
        answers = [first.meaning(cursors[0].fetchall())]
        columns = cursors[1].fetchone() if others else ()
    for one, rows in zip(others, columns, strict=True):
        answers.append(one.meaning([SimpleNamespace(**row) for row in rows or ()]))
    return answers


def call(connection: Connection, statement: str, parameters: Sequence[Any]) -> tuple[Any, ...]:
    """The only row of a statement of PostgreSQL's driver, on a connection that commits each statement: what SQLAlchemy
    does around that takes half as long as the call itself. Raises as SQLAlchemy does.
    """
    with _wrapped(connection):
        row: tuple[Any, ...] = _driver(connection).execute(statement, parameters).fetchone()
    return row


def tell(connection: Connection, statement: Executable, parameters: Mapping[str, Any]) -> None:
    """Executes a statement that has no rows; within `pipelined` with the commit, and not earlier."""
    begun = _begun(connection)
    if begun is None:
        connection.execute(statement, parameters)
    else:
        begun.later.append((_written(statement, connection.dialect), parameters))


def commit_at_once(
    connection: Connection, statements: Sequence[tuple[Executable, Mapping[str, Any]]]
) -> tuple[Any, ...] | None:
    """A whole transaction on PostgreSQL in one round trip: the first row of its last statement. Each statement sees
    what was committed before it began. On a connection that commits each statement otherwise. Raises as SQLAlchemy
    does.
    """
    told = [(_written(statement, connection.dialect), parameters) for statement, parameters in statements]
    driver = _driver(connection)
    try:
        with _wrapped(connection), driver.pipeline() as pipeline:
            try:
                cursors = _send(connection, pipeline, [_BEGIN, *told, _COMMIT])
                row: tuple[Any, ...] | None = cursors[-2].fetchone()
            except BaseException:
                _drain(connection, pipeline)
                raise
    finally:
        with _wrapped(connection):
            driver.rollback()  # of what has failed; asks nothing if there is nothing left
    return row


@contextmanager
def pipelined(connection: Connection) -> Iterator[None]:
    """A transaction on PostgreSQL that begins with its first questions, and whose writes are sent with its commit: two
    round trips, if everything is asked together. On a connection that commits each statement otherwise, and for nothing
    but `ask_together` and `tell`. Raises as SQLAlchemy does.
    """
    try:
        # The driver ends a pipeline by asking for a flush, after which the server no longer throws out who stands still
        # within a transaction: so it ends after the commit.
        with _wrapped(connection), _driver(connection).pipeline() as pipeline:
            begun = _Begun(pipeline)
            connection.execution_options(**{_BEGUN: begun})
            try:
                yield
                if begun.done:
                    # All at once: nor is anybody thrown out while the server waits for the rest of what was sent.
                    _send(connection, begun.pipeline, [*begun.later, _COMMIT])
            except BaseException:
                _drain(connection, pipeline)
                raise
    finally:
        connection.execution_options(**{_BEGUN: None})
        with _wrapped(connection):
            _driver(connection).rollback()  # of what has failed; asks nothing if there is nothing left


@dataclass(slots=True)
class _Begun:
    """A transaction: whether the database has heard of it, and what it will hear last."""

    pipeline: Any
    done: bool = False
    later: list[_Told] = field(default_factory=list)


def _begun(connection: Connection) -> _Begun | None:
    found: _Begun | None = connection.get_execution_options().get(_BEGUN)
    return found


def _send(connection: Connection, pipeline: Any, told: Sequence[_Told]) -> list[Any]:
    """Sends statements one behind the other, and then waits for all answers: their cursors."""
    driver = _driver(connection)
    cursors = [driver.execute(statement, parameters or None, prepare=True) for statement, parameters in told]
    pipeline.sync()
    return cursors


def _drain(connection: Connection, pipeline: Any) -> None:
    """Hears the answers that nobody waits for any more, so that the next question gets its own."""
    try:
        pipeline.sync()
    except connection.dialect.dbapi.Error:  # type: ignore[union-attr]
        return  # what went wrong first is on its way already


def _driver(connection: Connection) -> Any:
    return connection.connection.dbapi_connection


@contextmanager
def _wrapped(connection: Connection) -> Iterator[None]:
    """The driver's errors as SQLAlchemy's."""
    base = connection.dialect.dbapi.Error  # type: ignore[union-attr]
    try:
        yield
    except base as error:
        raise DBAPIError.instance(None, None, error, base, hide_parameters=True, dialect=connection.dialect) from error


@lru_cache(maxsize=64)
def _as_one(statements: tuple[Executable, ...], dialect: Dialect) -> str:
    """One statement with a column for each, which lists its rows as objects."""
    parts = [
        _PARAMETER.sub(rf"%(\1_{index})s", _written(statement, dialect)) for index, statement in enumerate(statements)
    ]
    return "SELECT " + ", ".join(f"(SELECT json_agg(q) FROM ({part}) AS q)" for part in parts)


@lru_cache(maxsize=64)
def _written(statement: Executable, dialect: Dialect) -> str:
    return str(statement.compile(dialect=dialect))  # type: ignore[attr-defined]
