"""What is not sent now: tried again later, held for an approval, or a dead letter."""

from __future__ import annotations

from actp import measures
from actp.engine.intents import Job
from actp.engine.lane import Lane
from actp.engine.policy import Policy
from actp.engine.preparing import SetAside
from actp.engine.store import outbox
from actp.engine.store.schema import IntentStatus

__all__ = ["explain_due", "explain_open", "postpone", "set_aside"]


def set_aside(lane: Lane, policy: Policy, one: SetAside) -> None:
    """Puts a job where it belongs. Needs the turn. Raises StoreError, LeaseLost."""
    if one.held or one.final:
        _move(lane, one.job, IntentStatus.HELD if one.held else IntentStatus.DEAD, one.code, one.reason)
    else:
        postpone(lane, policy, one.job.id, one.code, one.reason, endless=one.endless)


def postpone(lane: Lane, policy: Policy, intent_id: int, code: str, reason: str, *, endless: bool = False) -> None:
    """Puts a job off; after the last try it is a dead letter. What is `endless` is no fault of the job, and counts as
    no try.
    """
    job = lane.job(intent_id)
    if job is None:
        return
    if not endless and job.tries + 1 >= policy.tries:
        _move(lane, job, IntentStatus.DEAD, code, reason)
        return
    now = lane.store.clock.time()
    due_at = now + (policy.wait_for if endless else policy.pause_after(job.tries))
    with lane.writing() as connection:
        outbox.postpone(
            connection, intent_id, due_at, now, code=code, reason=reason, nonce_free=False, counts=not endless
        )


def explain_due(lane: Lane, code: str, reason: str) -> None:
    """Says in the rows of all that is due why nothing is sent now; it stays due. Needs the turn."""
    with lane.writing() as connection:
        outbox.explain_due(connection, lane.id, lane.store.clock.time(), code=code, reason=reason)


def explain_open(lane: Lane, intent_id: int, code: str | None, reason: str | None) -> None:
    """Says in the row of a job why it stays as it was signed, or no longer. Needs the turn."""
    job = lane.job(intent_id)
    if job is None or (job.code, job.reason) == (code, reason):
        return
    with lane.writing() as connection:
        outbox.explain(connection, intent_id, lane.store.clock.time(), code=code, reason=reason)


def _move(lane: Lane, job: Job, to: IntentStatus, code: str, reason: str) -> None:
    now = lane.store.clock.time()
    with lane.writing() as connection:
        outbox.move(connection, [job.id], [IntentStatus.QUEUED], to, now, code=code, reason=reason)
    if to is IntentStatus.DEAD:
        measures.TX_DEAD.add(1, code)
