"""What stops the engine: a pause, and a call that no longer does what it did when it was decided."""

from __future__ import annotations

import weakref

from sqlalchemy import Connection
from sqlalchemy.engine import RootTransaction

from actp.engine import Decision, Job, Refusal
from actp.engine.intents import Kind
from coordinator.lifecycle.desk import Desk
from coordinator.simulation import simulate_all
from coordinator.store import exposures, operations, pauses
from coordinator.types import Call

__all__ = ["Freshness", "PauseHold"]

_FRESH_FOR = 60.0


class PauseHold:
    """The engine's `Hold`: asked in the commit that stores signed bytes, so that none is signed after a pause."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._asked: weakref.ref[RootTransaction] | None = None
        self._paused: dict[str, pauses.Pause] = {}

    def reason(self, connection: Connection, job: Job) -> str | None:
        """Why this job may not go out."""
        transaction = connection.get_transaction()
        # One commit signs many jobs, and holds the row of the lane, which a pause waits for: asking once is enough.
        if self._asked is None or transaction is None or self._asked() is not transaction:
            self._paused = pauses.active(connection, self._desk.account)
            self._asked = None if transaction is None else weakref.ref(transaction)
        if not self._paused:
            return None
        treasury = self._paused.get(pauses.TREASURY)
        if treasury is not None:
            return treasury.reason
        found = operations.by_outbox(connection, [job.id]).get(job.id)
        pause = None if found is None else self._paused.get(found.agent)
        return None if pause is None else pause.reason


class Freshness:
    """The engine's `Gate`: nothing is signed but what an operation under way was decided to be. A call whose gas is
    known from its simulation is not simulated again before it is signed, unless that was too long ago because it had
    to wait.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._under_way: set[int] = set()
        """The engine's numbers of operations under way that were not asked about since they were read."""

    def decide(self, job: Job) -> Refusal:
        """See `actp.engine.gates.Gate`."""
        if job.kind is Kind.FILL:
            return Refusal(Decision.ALLOW)
        if not self._is_under_way(job):
            return Refusal(Decision.DENY, "No operation that is under way stands behind it: hand its intent in again.")
        intent = job.intent
        waited = self._desk.ledger.now() - job.created_at
        if intent.gas is None or intent.to is None or waited < _FRESH_FOR or not job.key.startswith("op-"):
            return Refusal(Decision.ALLOW)
        call = Call(intent.to, intent.data, intent.value)
        (again,) = simulate_all(self._desk.transport, self._desk.wallet, [call])
        if again.ok:
            return Refusal(Decision.ALLOW)
        return Refusal(Decision.DENY, again.reason or again.code or "Its simulation fails by now.")

    def _is_under_way(self, job: Job) -> bool:
        """Whether it is an operation's that has not ended: a dead letter that is driven again is one that has."""
        if job.id not in self._under_way:
            with self._desk.ledger.read() as connection:
                self._under_way = set(exposures.under_way_in_outbox(connection, self._desk.account))
        known = job.id in self._under_way
        self._under_way.discard(job.id)
        return known
