"""The coordinator's tables in an engine's database, and their transactions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import IntegrityError

from actp.engine.clock import SystemClock
from actp.engine.store import Store
from coordinator.errors import LedgerConflict
from coordinator.store.functions import create_functions
from coordinator.store.schema import HEAD, VERSION_TABLE
from coordinator.store.tracker_schema import metadata

__all__ = ["Ledger", "has_ledger", "open_ledger"]

_LOCK = 4216821
_CLOCK = text("SELECT extract(epoch FROM clock_timestamp())::float8")


class Ledger:
    """The coordinator's side of a store. Any number of threads and processes may use it; get it with `open_ledger`."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def __repr__(self) -> str:
        return f"Ledger({self.store.label})"

    def now(self) -> float:
        """Seconds since 1970, by the store's clock."""
        return self.store.clock.time()

    @property
    def shares_clock(self) -> bool:
        """Whether the database's clock counts, and not this process's: several of them use it, and their clocks differ.
        A test's clock comes before both.
        """
        return self.store.engine.dialect.name == "postgresql" and isinstance(self.store.clock, SystemClock)

    def now_by(self, connection: Connection) -> float:
        """Seconds since 1970 by the clock that decides what limits apply."""
        if not self.shares_clock:
            return self.now()
        return float(connection.execute(_CLOCK).scalar_one())

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is committed at the end, or not at all. Raises LedgerConflict, StoreError."""
        try:
            with self.store.write() as connection:
                yield connection
        except IntegrityError as error:
            # Not chained: SQLAlchemy's text shows the statement's values.
            raise LedgerConflict(
                "Another process has written the same row of the ledger.",
                hint="Nothing was changed. Try again.",
                retryable=True,
            ) from error.orig

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads, and waits for no writer. Raises StoreError."""
        with self.store.read() as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A transaction that only reads, and in which all statements see the same moment. Raises StoreError."""
        with self.store.read() as connection:
            if connection.dialect.name == "postgresql":  # on SQLite every transaction is one
                connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection


def has_ledger(store: Store) -> bool:
    """Whether the coordinator's tables, of whatever version, are in this store. Raises StoreError."""
    with store.read() as connection:
        return _revision(connection) is not None


def open_ledger(store: Store) -> Ledger:
    """The coordinator's tables in this store, made, or brought to this version, if need be. Raises StoreError."""
    with store.read() as connection:
        revision = _revision(connection)
    if revision is None:
        _make(store)
    elif revision != HEAD:
        from coordinator.store.migrate import upgrade

        upgrade(store)
    return Ledger(store)


def _make(store: Store) -> None:
    with store.write() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        if _revision(connection) is not None:
            return  # another process was faster
        metadata.create_all(connection)
        create_functions(connection)
        connection.exec_driver_sql(f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
        connection.exec_driver_sql(f"INSERT INTO {VERSION_TABLE} (version_num) VALUES ('{HEAD}')")


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar()
    return None if found is None else str(found)
