"""The engine's row of an operation: put in once it is allowed, put back with what it is by then, taken out again."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from actp.engine.store import outbox
from actp.engine.store.schema import IntentStatus
from coordinator.errors import LedgerConflict
from coordinator.lifecycle.cases import Case, job_of
from coordinator.lifecycle.desk import Desk
from coordinator.types import Operation

__all__ = ["hand_over", "take_out"]

_UNSIGNED = (IntentStatus.HELD, IntentStatus.QUEUED)


def hand_over(connection: Connection, desk: Desk, allowed: Sequence[Case], now: float) -> list[int]:
    """Puts what is allowed into the engine's hands; its numbers there, in order. An operation has one row there for
    ever, so that whatever was signed for it is found under it.

    Raises LedgerConflict if somebody has ended a row meanwhile.
    """
    new = [case for case in allowed if case.operation.outbox_id is None]
    jobs = desk.outbox.submit_all([job_of(case) for case in new], connection=connection) if new else []
    numbers = {case.operation.id: job.id for case, job in zip(new, jobs, strict=True)}
    for case in allowed:
        number = case.operation.outbox_id
        if number is not None:
            if not outbox.requeue(connection, number, job_of(case)[1], now):
                raise LedgerConflict(
                    f"The engine's row of operation {case.operation.id} waits no more.",
                    hint="Nothing was changed: what became of it is read again.",
                    retryable=True,
                )
            numbers[case.operation.id] = number
    return [numbers[case.operation.id] for case in allowed]


def take_out(connection: Connection, ended: Sequence[Operation], now: float) -> None:
    """Operations that ended before anything was signed for them leave nothing that somebody could drive again."""
    for one in ended:
        if one.outbox_id is not None:
            outbox.move(
                connection, [one.outbox_id], _UNSIGNED, IntentStatus.CANCELLED, now, code=one.code, reason=one.reason
            )
