"""Which process decides in batches for a wallet, where several serve one PostgreSQL.

Two writers of batches are slower than one, and both slower than none when little comes in. So one process leads: it
has an advisory lock on a connection of its own, which the server closes when nothing was heard of it for a while, and
with the lock an epoch. Every batch holds the row of the epoch until its commit: a leader that stood still while
somebody else took over finds another epoch there, and writes nothing.
"""

from __future__ import annotations

import hashlib
import logging
import threading

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from actp.errors import ActpError
from coordinator.store import Ledger, writers
from coordinator.store.accounts import Account

__all__ = ["Leadership"]

_log = logging.getLogger(__name__)


class Leadership:
    """A thread that leads, or tries to. `epoch` is that of this process while it leads, else None."""

    def __init__(self, ledger: Ledger, account: Account, *, heartbeat_seconds: float, silent_seconds: float) -> None:
        self.epoch: int | None = None
        self._ledger = ledger
        self._account = account
        self._beat = heartbeat_seconds
        self._silence = silent_seconds
        name = f"{account.chain_id}/{account.wallet}".encode()
        self._key = int.from_bytes(hashlib.sha256(name).digest()[:8], signed=True)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._connection: Connection | None = None

    def start(self) -> None:
        """Begins to try. What was started already goes on."""
        with self._starting:
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._run, name="budget-leader", daemon=True)
                self._thread.start()

    def lose(self, epoch: int | None) -> None:
        """Somebody has seen that this epoch is over."""
        if self.epoch == epoch:
            self.epoch = None

    def close(self) -> None:
        """Stops leading, so that another process can at once."""
        self._stop.set()
        with self._starting:
            thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while True:
            try:
                self._step()
            except (SQLAlchemyError, ActpError) as error:
                _log.info("not leading the batches of %s: %s", self._account.wallet, type(error).__name__)
                self._let_go()
            if self._stop.wait(self._beat):
                break
        self._let_go()

    def _step(self) -> None:
        if self._connection is None:
            connection = self._ledger.store.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            connection.detach()
            self._connection = connection
            connection.exec_driver_sql(f"SET idle_session_timeout = {int(self._silence * 1_000)}")
        if self.epoch is not None:
            self._connection.exec_driver_sql("SELECT 1")
            return
        # Asked again although it may be held: the lock counts how often, and ends with the connection.
        self._connection.exec_driver_sql("SELECT pg_advisory_unlock_all()")
        if self._connection.exec_driver_sql("SELECT pg_try_advisory_lock(%s)", (self._key,)).scalar():
            with self._ledger.write() as connection:
                epoch = writers.take_over(connection, self._account)
            self.epoch = epoch

    def _let_go(self) -> None:
        self.epoch = None
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
