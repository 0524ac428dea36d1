"""What is not sent now: tried again later, held for an approval, or a dead letter."""

from __future__ import annotations

from actp.engine.intents import Job
from actp.engine.lane import Lane
from actp.engine.policy import Policy
from actp.engine.preparing import SetAside
from actp.engine.store import outbox
from actp.engine.store.schema import IntentStatus

__all__ = ["postpone", "set_aside"]


def set_aside(lane: Lane, policy: Policy, one: SetAside) -> None:
    """Puts a job where it belongs. Needs the turn. Raises StoreError, LeaseLost."""
    if one.held or one.final:
        _move(lane, one.job, IntentStatus.HELD if one.held else IntentStatus.DEAD, one.code, one.reason)
    else:
        postpone(lane, policy, one.job.id, one.code, one.reason)


def postpone(lane: Lane, policy: Policy, intent_id: int, code: str, reason: str, *, endless: bool = False) -> None:
    """Puts a job off; after the last try it is a dead letter, unless `endless`."""
    job = lane.job(intent_id)
    if job is None:
        return
    if not endless and job.tries + 1 >= policy.tries:
        _move(lane, job, IntentStatus.DEAD, code, reason)
        return
    now = lane.store.clock.time()
    with lane.store.write() as connection:
        lane.lease.fence(connection)
        outbox.postpone(
            connection, intent_id, now + policy.pause_after(job.tries), now, code=code, reason=reason, nonce_free=False
        )


def _move(lane: Lane, job: Job, to: IntentStatus, code: str, reason: str) -> None:
    now = lane.store.clock.time()
    with lane.store.write() as connection:
        lane.lease.fence(connection)
        outbox.move(connection, [job.id], [IntentStatus.QUEUED], to, now, code=code, reason=reason)
