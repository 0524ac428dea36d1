"""Looking at a store as it is: nothing is made, upgraded, sent or kept locked.

with peeking("sqlite:///outbox.db") as peek:
    peek.revision, peek.lanes(84532)
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, Engine, NullPool, create_engine, func, inspect, select
from sqlalchemy.engine import URL

from actp.engine.store.database import missing_driver, parse_url
from actp.engine.store.errors import StoreError, newer, translated
from actp.engine.store.schema import HEAD, IntentStatus, chains, intents, lanes
from actp.errors import ConfigError

__all__ = ["LaneState", "Peek", "peeking", "redacted"]

_BUSY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class LaneState:
    """One account's outbox, and who writes for it. Times are seconds since 1970.

    `stuck` are those that are signed and do not get on, `waiting_code` is why the oldest queued one is not sent.
    """

    address: str
    holder: str | None
    beat_at: float
    counts: dict[IntentStatus, int]
    stuck: int
    oldest_queued_at: float | None
    waiting_code: str | None


class Peek:
    """What a look at a store tells. Get it with `peeking`."""

    def __init__(self, engine: Engine, label: str) -> None:
        self._engine = engine
        self.label = label
        with self._look() as connection:
            names = set(inspect(connection).get_table_names())
            found = None
            if "alembic_version" in names:
                found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        if found is None:
            raise StoreError(
                f"The database {label} holds no store of this program.",
                hint="Check the URL. A store makes its tables when it is first used, by a client or a worker.",
            )
        self.revision = str(found)
        """The version of its tables; `HEAD` is this program's."""

    def revision_in(self, table: str) -> str | None:
        """The version of the tables that others keep in the same database, which this table of theirs has; None if it
        is not there.
        """
        with self._look() as connection:
            if not inspect(connection).has_table(table):
                return None
            found = connection.exec_driver_sql(f"SELECT version_num FROM {table}").scalar()
        return None if found is None else str(found)

    @property
    def current(self) -> bool:
        """Whether its tables are those of this program. Raises StoreError if they are of a newer one."""
        if self.revision > HEAD:
            raise newer(f"The store {self.label}", self.revision, HEAD)
        return self.revision == HEAD

    def require_writable(self) -> None:
        """Raises StoreError if it cannot be written, StoreBusy if somebody keeps it locked for a second, StoreFull."""
        with self._look() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_BUSY_SECONDS}s'")
            connection.exec_driver_sql("UPDATE lanes SET beats = beats WHERE 1 = 0")

    def bound_to(self, chain_id: int) -> tuple[str, str | None] | None:
        """First block and kernel that it knows a chain by, None if it does not know the chain."""
        with self._look() as connection:
            row = connection.execute(
                select(chains.c.genesis, chains.c.kernel).where(chains.c.chain_id == chain_id)
            ).one_or_none()
        return None if row is None else (row.genesis, row.kernel)

    def lanes(self, chain_id: int, address: str | None = None) -> list[LaneState]:
        """All accounts of a chain, or one."""
        query = select(lanes).where(lanes.c.chain_id == chain_id).order_by(lanes.c.id)
        if address is not None:
            query = query.where(func.lower(lanes.c.address) == address.lower())
        with self._look() as connection:
            return [
                LaneState(row.address, row.holder, row.beat_at, *_outbox(connection, row.id))
                for row in connection.execute(query).all()
            ]

    @contextmanager
    def _look(self) -> Iterator[Connection]:
        with translated(self.label), self._engine.connect() as connection:
            yield connection
            connection.rollback()


@contextmanager
def peeking(url: str | Path) -> Iterator[Peek]:
    """A look at the store at this URL. Raises ConfigError for a URL that is none, StoreError if it cannot be read, or
    is no store.
    """
    parsed = parse_url(url)
    with missing_driver():
        engine = _engine(parsed)
    try:
        yield Peek(engine, redacted(url))
    finally:
        engine.dispose()


def redacted(url: str | Path) -> str:
    """A store's URL as it may be shown: without user, password and options. Raises ConfigError for what is none."""
    parsed = parse_url(url)
    port = "" if parsed.port is None else f":{parsed.port}"
    return f"{parsed.get_backend_name()}://{parsed.host or ''}{port}/{parsed.database or ''}"


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": 5})
    file = url.database
    if not file or file == ":memory:":
        raise ConfigError("A store in memory is its process' own.", hint="Name the file that the store is in.")
    if file.startswith("file:"):
        return create_engine(url, poolclass=NullPool, connect_args={"timeout": _BUSY_SECONDS, "isolation_level": None})
    if not Path(file).exists():
        raise StoreError(f"There is no store at {file} yet.", hint="Check the path in the URL.")

    def connect() -> sqlite3.Connection:
        # Not made if it vanishes now.
        return sqlite3.connect(f"file:{quote(file)}?mode=rw", uri=True, timeout=_BUSY_SECONDS, isolation_level=None)

    return create_engine("sqlite://", poolclass=NullPool, creator=connect)


def _outbox(connection: Connection, lane_id: int) -> tuple[dict[IntentStatus, int], int, float | None, str | None]:
    mine = intents.c.lane_id == lane_id
    grouped: Sequence[tuple[str, int]] = [
        (row[0], row[1])
        for row in connection.execute(select(intents.c.status, func.count()).where(mine).group_by(intents.c.status))
    ]
    stuck = connection.execute(
        select(func.count()).where(mine, intents.c.status == IntentStatus.OPEN.value, intents.c.code.is_not(None))
    ).scalar_one()
    oldest = connection.execute(
        select(intents.c.created_at, intents.c.code)
        .where(mine, intents.c.status == IntentStatus.QUEUED.value)
        .order_by(intents.c.created_at)
        .limit(1)
    ).one_or_none()
    known = {one.value: one for one in IntentStatus}
    counts = {known[status]: number for status, number in grouped if status in known}
    return (counts, stuck, None, None) if oldest is None else (counts, stuck, oldest.created_at, oldest.code)
