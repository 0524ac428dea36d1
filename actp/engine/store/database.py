"""Opening a database, and its transactions: each write is one commit."""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event, insert, inspect, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError

from actp.engine.clock import Clock, SystemClock
from actp.engine.store.errors import OtherChain, StoreError, translated
from actp.engine.store.schema import HEAD, chains, metadata
from actp.errors import ConfigError

__all__ = ["Store", "memory_store", "missing_driver", "open_store", "parse_url"]

_BUSY_SECONDS = 5.0
_IDLE_SECONDS = 15
_OTHER = {
    "genesis": "A development chain that was started again is another chain: give it a store of its own.",
    "kernel": "Calls of one deployment must not be taken for those of another: give each a store of its own.",
    "kernel_code_hash": "Other contracts are at the same address: this is another deployment, or another chain that "
    "began with the same block. Give it a store of its own.",
}
_READ = "actp_read"
_LIKE_A_URL = re.compile(r"://|@|=|^\s*[a-z][a-z0-9+.]+:", re.IGNORECASE)


class Store:
    """One database. Any number of threads and processes may use it; make it with `open_store`.

    `durable` tells whether it outlives this process.
    """

    def __init__(self, engine: Engine, *, durable: bool, clock: Clock) -> None:
        self.engine = engine
        self.durable = durable
        self.clock = clock
        self.lanes: dict[tuple[int, str], Any] = {}
        """What `actp.engine.lane` knows in this process about the store's accounts."""

    def __repr__(self) -> str:
        return f"Store({self.label})"

    @property
    def label(self) -> str:
        """What to call it in messages: never a password."""
        url = self.engine.url
        return "in memory" if not self.durable else f"{url.get_backend_name()}:{url.database}"

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is committed at the end, or not at all. Raises StoreError, StoreBusy, StoreFull."""
        with translated(self.label), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads, and waits for no writer, at most for its commit. Raises StoreError."""
        with translated(self.label), self.engine.connect().execution_options(**{_READ: True}) as connection:
            yield connection

    def bind(
        self, chain_id: int, genesis: str, *, kernel: str | None = None, kernel_code_hash: str | None = None
    ) -> None:
        """Notes which chain (and kernel) the id stands for. Raises OtherChain if it stood for another one before."""
        given = {"genesis": genesis, "kernel": kernel, "kernel_code_hash": kernel_code_hash}
        with self.read() as connection:
            known = connection.execute(select(chains).where(chains.c.chain_id == chain_id)).one_or_none()
        if known is None:
            try:
                with self.write() as connection:
                    connection.execute(insert(chains).values(chain_id=chain_id, **given))
            except IntegrityError:
                self.bind(chain_id, genesis, kernel=kernel, kernel_code_hash=kernel_code_hash)
            return
        self._compare(chain_id, dict(known._mapping), given)
        fresh = {name: value for name, value in given.items() if value is not None and known._mapping[name] is None}
        if fresh:
            with self.write() as connection:
                connection.execute(chains.update().where(chains.c.chain_id == chain_id).values(**fresh))

    def genesis(self, chain_id: int) -> str | None:
        """Hash of the first block of the chain that the id stands for here; None if the store does not know it."""
        with self.read() as connection:
            found: str | None = connection.execute(
                select(chains.c.genesis).where(chains.c.chain_id == chain_id)
            ).scalar_one_or_none()
        return found

    def _compare(self, chain_id: int, known: dict[str, Any], given: dict[str, str | None]) -> None:
        for name, value in given.items():
            stored = known[name]
            if value is not None and stored is not None and str(value).lower() != str(stored).lower():
                raise OtherChain(
                    f"The store {self.label} knows chain {chain_id} with {name.replace('_', ' ')} {stored}, and now it "
                    f"has {value}.",
                    hint=_OTHER[name],
                )

    def close(self) -> None:
        """Closes all connections. A store in memory is gone with them."""
        self.engine.dispose()


def open_store(url: str | Path, *, clock: Clock | None = None) -> Store:
    """The store at an SQLAlchemy URL or a file's path; made, or brought to this version, if need be.

    `sqlite:///file`, `sqlite://` (in memory) or `postgresql://user@host/name`, for which the extra `postgres` is
    needed. Raises ConfigError for a URL that is none, StoreError if the database cannot be used.
    """
    parsed = parse_url(url)
    durable = parsed.get_backend_name() != "sqlite" or parsed.database not in (None, "", ":memory:")
    with missing_driver():
        engine = _sqlite(parsed, durable) if parsed.get_backend_name() == "sqlite" else _postgresql(parsed)
    store = Store(engine, durable=durable, clock=clock or SystemClock())
    try:
        _prepare(store)
    except BaseException:
        engine.dispose()
        raise
    return store


@contextmanager
def missing_driver() -> Iterator[None]:
    """Raises ConfigError where the package that speaks to the database is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"The database driver {error.name} is not installed.", hint="pip install 'actp-escrow[postgres]'"
        ) from error


def parse_url(url: str | Path) -> URL:
    """The URL of a store, or of the file at a path. Raises ConfigError, which does not show it."""
    if isinstance(url, Path) or Path(url).is_file() or _is_path(url):
        return URL.create("sqlite", database=str(url))
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError):
        backend = ""
    if backend not in ("sqlite", "postgresql"):
        # The URL is not shown: it may hold a password.
        raise ConfigError(
            "The store's URL is not one of SQLite or PostgreSQL.",
            hint="Write the path of a file, sqlite:///path/to/file, or postgresql://user@host/name.",
        )
    return parsed.set(drivername="postgresql+psycopg") if backend == "postgresql" else parsed


def _is_path(text: str) -> bool:
    """Whether text names a file that may not be there yet: by its ending, or by folders. A URL that is misspelt, or a
    mere word, must not become the name of a new store, least of all with a password in it.
    """
    path = Path(text)
    return bool(path.name and (path.suffix or path.name != text)) and _LIKE_A_URL.search(text) is None


def journal_mode(version: tuple[int, int, int]) -> str:
    """How an SQLite file of this version is written. Before 3.51.3 (3.50.7, 3.44.6) the write-ahead log can be damaged
    when two connections checkpoint at the same moment (sqlite.org/wal.html, "the WAL-reset bug"): such a version keeps
    a rollback journal, with which a commit takes an fsync more and waits for readers.
    """
    mended = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    return "WAL" if mended else "TRUNCATE"


def _sqlite(url: URL, durable: bool) -> Engine:
    options: dict[str, Any] = {"connect_args": {"check_same_thread": False, "timeout": _BUSY_SECONDS}}
    if durable:
        engine = create_engine(url, **options)
    else:
        # One connection is the database: who uses it has it alone, and it is never closed in between.
        engine = create_engine(
            "sqlite://", poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=_BUSY_SECONDS * 6, **options
        )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # the driver must not begin or commit by itself
        connection.execute(f"PRAGMA busy_timeout = {int(_BUSY_SECONDS * 1000)}")
        connection.execute("PRAGMA foreign_keys = ON")
        if durable:
            connection.execute(f"PRAGMA journal_mode = {journal_mode(sqlite3.sqlite_version_info)}")
            connection.execute("PRAGMA synchronous = FULL")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads first and writes later could not get the lock in between without starting again.
        reads = connection.get_execution_options().get(_READ)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def _postgresql(url: URL) -> Engine:
    given = url.query.get("options", "")
    # A process that stands still within a transaction, or whose host is gone, must not keep its locks for ever: its
    # lease ends after 30 s, and then its heir has to write. What the URL says comes last, and so counts.
    limits = f"-c lock_timeout={int(_BUSY_SECONDS)}s -c idle_in_transaction_session_timeout={_IDLE_SECONDS}s"
    options = " ".join((limits, *((given,) if isinstance(given, str) else given)))
    return create_engine(
        url,
        pool_pre_ping=True,
        pool_timeout=_BUSY_SECONDS,
        connect_args={
            "connect_timeout": 5,
            "keepalives_idle": 10,
            "tcp_user_timeout": _IDLE_SECONDS * 1_000,
            "options": options,
        },
    )


def _prepare(store: Store) -> None:
    """Makes the tables, or upgrades them. Alembic is loaded only if there is something to upgrade."""
    with translated(store.label), store.engine.connect() as connection:
        tables = set(inspect(connection).get_table_names())
        revision = (
            connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
            if ("alembic_version" in tables)
            else None
        )
    if revision == HEAD:
        return
    if tables - {"alembic_version"} and revision is None:
        raise StoreError(
            f"The database {store.label} holds tables, and none of them says that it is a store of this program.",
            hint="Give the store a database of its own.",
        )
    if revision is not None:
        from actp.engine.store.migrate import upgrade

        upgrade(store.engine)
        return
    with store.write() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(4216820)")
        if "alembic_version" in inspect(connection).get_table_names():
            return  # another process was faster
        metadata.create_all(connection)
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
        connection.exec_driver_sql(f"INSERT INTO alembic_version (version_num) VALUES ('{HEAD}')")


_stores: dict[tuple[int, str], Store] = {}
_stores_lock = threading.Lock()


def memory_store(chain_id: int, genesis: str) -> Store:
    """The store in memory that all senders of this process share for one chain."""
    with _stores_lock:
        store = _stores.get((chain_id, genesis))
        if store is None:
            store = _stores[chain_id, genesis] = open_store("sqlite://")
            store.bind(chain_id, genesis)
        return store
