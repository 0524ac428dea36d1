"""The outbox row of a call whose caller waits: put in, found again, and taken back before "not sent" is said."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from actp import measures
from actp.engine.gates import Decision, Gate, Stopped
from actp.engine.intents import Intent, Job, Submission
from actp.engine.lane import Lane
from actp.engine.store import StoreError, outbox
from actp.engine.store.schema import IntentStatus
from actp.errors import ActpError, OutcomeUnknown, SendError

__all__ = ["ask", "earlier", "enqueued", "sent", "take_back"]

_SENT = (IntentStatus.OPEN, IntentStatus.MINED, IntentStatus.FAILED)
_NOT_SENT = (IntentStatus.CANCELLED, IntentStatus.DEAD, IntentStatus.HELD)


def earlier(lane: Lane, key: str, intent: Intent) -> Submission | None:
    """What was submitted under this key. Raises KeyConflict, SendError if it was not sent, OutcomeUnknown."""
    with lane.store.read() as connection:
        job = outbox.by_key(connection, lane.id, [key]).get(key)
    if job is None:
        return None
    outbox.require_same(job, intent)
    found = lane.submission(job.id)
    if job.status in _SENT and found is not None:
        return found
    if job.status is IntentStatus.UNKNOWN and found is not None:
        raise OutcomeUnknown(job.reason or "Nobody tells.", tx_hashes=found.hashes, nonce=found.nonce)
    raise SendError(
        f"The intent with the idempotency key {key!r} is {job.status.value} ({job.reason or 'no reason given'}).",
        code=f"intent_{job.status.value}",
        hint="See `actp outbox`, or use another key.",
    )


def enqueued(lane: Lane, key: str, intent: Intent, *, due_at: float) -> Job:
    """The row of a call, for a worker to take only at `due_at`. Raises StoreError, KeyConflict."""
    now = lane.store.clock.time()
    try:
        with lane.store.write() as connection:
            return outbox.enqueue(connection, lane.id, [(key, intent)], now=now, due_at=due_at)[0]
    except StoreError as error:
        # The commit may have been done though its answer was lost.
        with _doubt(error, f"the intent with the key {key!r}"):
            with lane.store.read() as connection:
                job = outbox.by_key(connection, lane.id, [key]).get(key)
            if job is not None:
                _cancel(lane, job)
        raise


def ask(gate: Gate, lane: Lane, job: Job) -> None:
    """Raises Stopped, with the job held or given up, if the gate does not let it go."""
    said = gate.decide(job)
    if said.decision is Decision.ALLOW:
        return
    held = said.decision is Decision.HOLD
    code, to = ("held", IntentStatus.HELD) if held else ("denied", IntentStatus.DEAD)
    with lane.store.write() as connection:
        now = lane.store.clock.time()
        outbox.move(connection, [job.id], [IntentStatus.QUEUED], to, now, code=code, reason=said.reason)
    if to is IntentStatus.DEAD:
        measures.TX_DEAD.add(1, code)
    hint = f"It waits as intent {job.id}, and a worker sends it after `actp outbox retry`." if held else ""
    raise Stopped(f"The call is {code}: {said.reason}", code=code, hint=hint or "Nothing was sent.")


def sent(lane: Lane, job: Job) -> Submission | None:
    """What is signed for the job, None if nothing is that may be mined."""
    now = lane.job(job.id)
    return lane.submission(job.id) if now is not None and now.status in _SENT else None


def take_back(lane: Lane, job: Job, error: BaseException) -> Submission | None:
    """Takes a call back that ended with `error`; what was signed for it if it is too late for that.

    Whoever is told that nothing was sent must not find it sent later: where that is not certain, the error says so.
    """
    with _doubt(error, f"intent {job.id}"):
        _cancel(lane, job)
        now = lane.job(job.id)
        if now is None or now.status in _NOT_SENT:
            return None
        found = lane.submission(job.id) if now.status in _SENT else None
        if found is None:
            _say_unknown(error, f"intent {job.id}")
        return found
    return None


def _cancel(lane: Lane, job: Job) -> None:
    with lane.store.write() as connection:
        outbox.move(connection, [job.id], [IntentStatus.QUEUED], IntentStatus.CANCELLED, lane.store.clock.time())


@contextmanager
def _doubt(error: BaseException, what: str) -> Iterator[None]:
    try:
        yield
    except StoreError:
        _say_unknown(error, what)


def _say_unknown(error: BaseException, what: str) -> None:
    if isinstance(error, ActpError):
        error.outcome, error.retryable = "unknown", False
        error.hint = f"It may be sent later, or be sent already: see `actp outbox` for {what} before you try again."
