"""Putting calls into an outbox, from any process, also within a transaction of one's own; and looking after them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection

from actp.engine import crash
from actp.engine.crash import CrashPoint
from actp.engine.intents import Attempt, Intent, Job
from actp.engine.store import Store, attempts, leases, outbox
from actp.engine.store.schema import IntentStatus
from actp.errors import InvalidInput

__all__ = ["Outbox"]

_LONGEST_KEY = 200


class Outbox:
    """The outbox of one account on one chain. Who enqueues needs neither its key nor a node: a `Worker` sends.

    Where a `connection` is given, that open transaction is used: what was enqueued is sent after its commit, and is not
    there after its rollback. It must lead to the store's database.
    """

    def __init__(self, store: Store, chain_id: int, address: str) -> None:
        self.store = store
        with store.write() as connection:
            self.lane_id = leases.require_lane(connection, chain_id, address).id

    def submit(self, intent: Intent, idempotency_key: str, *, connection: Connection | None = None) -> Job:
        """Puts one call in, once per key. Raises KeyConflict if the key was used for another call, StoreError."""
        return self.submit_all([(idempotency_key, intent)], connection=connection)[0]

    def submit_all(self, wanted: Sequence[tuple[str, Intent]], *, connection: Connection | None = None) -> list[Job]:
        """Puts many calls in, as (idempotency key, intent) pairs, in one commit."""
        for key, _ in wanted:
            if not 0 < len(key) <= _LONGEST_KEY:
                raise InvalidInput(f"An idempotency key has 1 to {_LONGEST_KEY} characters.")
        now = self.store.clock.time()
        with self._within(connection) as current:
            jobs = outbox.enqueue(current, self.lane_id, wanted, now=now, due_at=now)
        crash.point(CrashPoint.AFTER_ENQUEUE)
        return jobs

    def find(self, idempotency_key: str) -> Job | None:
        """The job of this key."""
        with self.store.read() as connection:
            return outbox.by_key(connection, self.lane_id, [idempotency_key]).get(idempotency_key)

    def attempts_of(self, job: Job) -> list[Attempt]:
        """Every signature of a job, the oldest first."""
        with self.store.read() as connection:
            return attempts.of_intents(connection, [job.id])[job.id]

    def count(self) -> dict[IntentStatus, int]:
        """How many jobs there are in each status."""
        with self.store.read() as connection:
            return outbox.count(connection, self.lane_id)

    @contextmanager
    def _within(self, connection: Connection | None) -> Iterator[Connection]:
        if connection is not None:
            yield connection
            return
        with self.store.write() as own:
            yield own
