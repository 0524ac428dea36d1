"""What stops the engine: a pause, and a decision that is no longer of today."""

from __future__ import annotations

import time
import weakref

from sqlalchemy import Connection
from sqlalchemy.engine import RootTransaction

from actp.engine import Decision, Job, Refusal
from actp.engine.intents import Kind
from actp.engine.store import attempts
from coordinator.lifecycle.desk import Desk
from coordinator.simulation import simulate_all
from coordinator.store import exposures, operations, pauses
from coordinator.types import Call

__all__ = ["Freshness", "PauseHold"]

_FRESH_FOR = 60.0
_READ_FOR = 0.25


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
    """The engine's `Gate`: nothing is signed but what an operation under way was decided to be, a moment ago. What had
    to wait since, for the end of a pause or for a node, is held, so that it is simulated and judged again.

    What was signed once keeps its decision, as those bytes may be mined yet: it is only simulated again.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._known: dict[int, float | None] = {}
        """When operations were decided, by the engine's numbers, which were not asked about since this was read."""
        self._read_at = float("-inf")

    def decide(self, job: Job) -> Refusal:
        """See `actp.engine.gates.Gate`."""
        if job.kind is Kind.FILL:
            return Refusal(Decision.ALLOW)
        if not self._is_under_way(job):
            return Refusal(Decision.DENY, "No operation that is under way stands behind it: hand its intent in again.")
        # Either way, as clocks of several machines differ, and one may be set back.
        waited = abs(self._desk.ledger.now() - (self._known.pop(job.id) or 0.0))
        if waited < _FRESH_FOR:
            return Refusal(Decision.ALLOW)
        if not self._was_signed(job):
            return Refusal(Decision.HOLD, "It was decided more than a minute ago, and is simulated and judged again.")
        intent = job.intent
        if intent.gas is None or intent.to is None:
            return Refusal(Decision.ALLOW)  # the engine simulates it
        call = Call(intent.to, intent.data, intent.value)
        (again,) = simulate_all(self._desk.transport, self._desk.wallet, [call])
        if again.ok:
            return Refusal(Decision.ALLOW)
        return Refusal(Decision.DENY, again.reason or again.code or "Its simulation fails by now.")

    def _is_under_way(self, job: Job) -> bool:
        """Whether it is an operation's that has not ended: a dead letter that is driven again is one that has."""
        # Hundreds are asked about in one go, and what was read for those before has changed since.
        if job.id not in self._known or time.monotonic() - self._read_at >= _READ_FOR:
            self._read_at = time.monotonic()
            with self._desk.ledger.read() as connection:
                self._known = exposures.under_way_in_outbox(connection, self._desk.account)
        return job.id in self._known

    def _was_signed(self, job: Job) -> bool:
        with self._desk.ledger.read() as connection:
            return bool(attempts.of_intents(connection, [job.id])[job.id])
