"""Rows of the outbox: put in once per key, taken in order, given up in view."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, func, or_, select, update

from actp.engine.intents import Intent, Job, Kind
from actp.engine.store.conflicts import insert_or_ignore
from actp.engine.store.schema import IntentStatus, attempts, intents, one_of
from actp.errors import InvalidInput

__all__ = [
    "KeyConflict",
    "by_id",
    "by_ids",
    "by_key",
    "count",
    "due",
    "enqueue",
    "explain",
    "explain_due",
    "forget",
    "hasten",
    "listed",
    "move",
    "open_jobs",
    "open_with",
    "postpone",
    "queued_fills",
    "requeue",
    "require_same",
    "retry",
    "settle",
]

_KINDS = {kind.value: kind for kind in Kind}
_STATUSES = {status.value: status for status in IntentStatus}

_CHUNK = 500
"""Databases bind only so many values in one statement."""
_TOLERATED_SKEW = 60.0
"""Seconds by which the clocks of two machines may differ."""


class KeyConflict(InvalidInput):
    """The idempotency key was used before, for another call."""

    default_code = "key_conflict"


def enqueue(
    connection: Connection,
    lane_id: int,
    wanted: Sequence[tuple[str, Intent]],
    *,
    now: float,
    due_at: float,
    kind: Kind = Kind.CALL,
) -> list[Job]:
    """The jobs for these (idempotency key, intent) pairs: new ones, or those that were there before.

    Raises KeyConflict if a key was used for another call.
    """
    rows = [
        {
            "lane_id": lane_id,
            "idempotency_key": key,
            "body_hash": intent.body_hash,
            "kind": kind.value,
            "to": intent.to,
            "data": intent.data,
            "value": str(intent.value),
            "gas": intent.gas,
            "status": IntentStatus.QUEUED.value,
            "tries": 0,
            "due_at": due_at,
            "created_at": now,
            "updated_at": now,
        }
        for key, intent in wanted
    ]
    insert_or_ignore(connection, intents, rows)
    intent_of = dict(wanted)
    found = by_key(connection, lane_id, [key for key, _ in wanted])
    jobs = []
    for key, _ in wanted:
        job = found[key]
        require_same(job, intent_of[key])
        jobs.append(job)
    return jobs


def require_same(job: Job, intent: Intent) -> None:
    """Raises KeyConflict unless the job is for this call."""
    if job.body_hash != intent.body_hash:
        raise KeyConflict(
            f"The idempotency key {job.key!r} was used before, for another call.",
            hint="Use a new key for a new call, and the same key only to ask again for the same one.",
        )


def by_key(connection: Connection, lane_id: int, keys: Sequence[str]) -> dict[str, Job]:
    """The jobs of a lane with these idempotency keys."""
    found: dict[str, Job] = {}
    for start in range(0, len(keys), _CHUNK):
        part = keys[start : start + _CHUNK]
        query = select(intents).where(intents.c.lane_id == lane_id, intents.c.idempotency_key.in_(part))
        found.update({job.key: job for job in map(_job, connection.execute(query))})
    return found


def by_id(connection: Connection, intent_id: int) -> Job | None:
    """The job of this number."""
    row = connection.execute(select(intents).where(intents.c.id == intent_id)).one_or_none()
    return None if row is None else _job(row)


def by_ids(connection: Connection, intent_ids: Sequence[int]) -> dict[int, Job]:
    """The jobs of these numbers."""
    found: dict[int, Job] = {}
    for start in range(0, len(intent_ids), _CHUNK):
        query = select(intents).where(intents.c.id.in_(intent_ids[start : start + _CHUNK]))
        found.update({job.id: job for job in map(_job, connection.execute(query))})
    return found


def due(connection: Connection, lane_id: int, now: float, limit: int) -> list[Job]:
    """What may be signed now, in the order in which it came."""
    query = select(intents).where(intents.c.lane_id == lane_id, _is_due(now)).order_by(intents.c.id).limit(limit)
    return [_job(row) for row in connection.execute(query)]


def _is_due(now: float) -> ColumnElement[bool]:
    # What was written in the future was written before the clock was set back: its time may be hours away.
    set_back = intents.c.updated_at > now + _TOLERATED_SKEW
    return and_(intents.c.status == IntentStatus.QUEUED.value, or_(intents.c.due_at <= now, set_back))


def queued_fills(connection: Connection, lane_id: int) -> int:
    """How many transfers of nothing wait to fill a gap."""
    query = select(func.count()).where(
        intents.c.lane_id == lane_id,
        intents.c.status == IntentStatus.QUEUED.value,
        intents.c.kind == Kind.FILL.value,
    )
    return int(connection.execute(query).scalar_one())


def open_jobs(connection: Connection, lane_id: int) -> list[Job]:
    """What has a nonce and is not known to be mined, by nonce."""
    query = (
        select(intents)
        .where(intents.c.lane_id == lane_id, intents.c.status == IntentStatus.OPEN.value)
        .order_by(intents.c.nonce)
    )
    return [_job(row) for row in connection.execute(query)]


def listed(
    connection: Connection, statuses: Iterable[IntentStatus] = (), *, lane_id: int | None = None, limit: int = 100
) -> list[Job]:
    """The newest jobs, of these statuses if any are named."""
    query = select(intents).order_by(intents.c.id.desc()).limit(limit)
    wanted = [status.value for status in statuses]
    if wanted:
        query = query.where(intents.c.status.in_(wanted))
    if lane_id is not None:
        query = query.where(intents.c.lane_id == lane_id)
    return [_job(row) for row in connection.execute(query)]


def count(connection: Connection, lane_id: int) -> dict[IntentStatus, int]:
    """How many jobs of a lane there are in each status."""
    query = select(intents.c.status, func.count()).where(intents.c.lane_id == lane_id).group_by(intents.c.status)
    return {IntentStatus(status): number for status, number in connection.execute(query)}


def move(
    connection: Connection,
    intent_ids: Sequence[int],
    from_statuses: Sequence[IntentStatus],
    to: IntentStatus,
    now: float,
    **values: Any,
) -> int:
    """Gives jobs another status, if they still have one of the old ones; how many that were."""
    if not intent_ids:
        return 0
    statement = (
        update(intents)
        .where(intents.c.id == bindparam("b_id"), one_of(intents.c.status, from_statuses))
        .values(status=to.value, updated_at=now, **values)
    )
    return sum(connection.execute(statement, {"b_id": intent_id}).rowcount for intent_id in intent_ids)


def retry(connection: Connection, intent_id: int, now: float, *, not_paid: bool = False) -> bool:
    """Puts a job that is DEAD or HELD back into the queue, as if it were new; False if it is neither. `not_paid` does
    so with an UNKNOWN one too: somebody has made sure that none of its signatures is mined.
    """
    wanted = (IntentStatus.DEAD, IntentStatus.HELD, *((IntentStatus.UNKNOWN,) if not_paid else ()))
    changed = connection.execute(
        update(intents)
        .where(intents.c.id == intent_id, one_of(intents.c.status, wanted))
        .values(
            status=IntentStatus.QUEUED.value, nonce=None, tries=0, due_at=now, updated_at=now, code=None, reason=None
        )
    )
    return changed.rowcount == 1


def requeue(connection: Connection, intent_id: int, intent: Intent, now: float) -> bool:
    """Puts a job that is HELD, or QUEUED, back into the queue as if it were new, for what its call is by now; False if
    it is neither.
    """
    changed = connection.execute(
        update(intents)
        .where(intents.c.id == intent_id, one_of(intents.c.status, (IntentStatus.HELD, IntentStatus.QUEUED)))
        .values(
            {
                "to": intent.to, "data": intent.data, "value": str(intent.value), "gas": intent.gas,
                "body_hash": intent.body_hash, "status": IntentStatus.QUEUED.value, "nonce": None, "tries": 0,
                "due_at": now, "updated_at": now, "code": None, "reason": None,
            }
        )
    )  # fmt: skip
    return changed.rowcount == 1


def hasten(connection: Connection, intent_id: int, now: float) -> None:
    """Makes a queued job due."""
    connection.execute(
        update(intents)
        .where(intents.c.id == intent_id, intents.c.status == IntentStatus.QUEUED.value, intents.c.due_at > now)
        .values(due_at=now)
    )


def open_with(connection: Connection, nonces: Sequence[tuple[int, int]], now: float) -> bool:
    """Gives queued jobs their nonces, as (id, nonce) pairs; False if one of them is no longer queued."""
    statement = (
        update(intents)
        .where(intents.c.id == bindparam("b_id"), intents.c.status == IntentStatus.QUEUED.value)
        .values(status=IntentStatus.OPEN.value, nonce=bindparam("b_nonce"), updated_at=now, code=None, reason=None)
    )
    done = connection.execute(statement, [{"b_id": one, "b_nonce": nonce} for one, nonce in nonces])
    return done.rowcount == len(nonces)


def settle(connection: Connection, mined: Sequence[tuple[int, str, bool]], now: float) -> None:
    """Writes down how open jobs ended, as (id, hash, succeeded) triples."""
    statement = (
        update(intents)
        .where(intents.c.id == bindparam("b_id"), intents.c.status == IntentStatus.OPEN.value)
        .values(status=bindparam("b_status"), tx_hash=bindparam("b_hash"), updated_at=now, code=None, reason=None)
    )
    if mined:
        connection.execute(
            statement,
            [
                {
                    "b_id": one,
                    "b_hash": tx_hash,
                    "b_status": (IntentStatus.MINED if good else IntentStatus.FAILED).value,
                }
                for one, tx_hash, good in mined
            ],
        )


def forget(connection: Connection, lane_id: int, below: int) -> None:
    """Deletes what was mined with nonces below this, and its signatures."""
    old = select(intents.c.id).where(
        intents.c.lane_id == lane_id,
        intents.c.nonce < below,
        one_of(intents.c.status, (IntentStatus.MINED, IntentStatus.FAILED)),
    )
    connection.execute(delete(attempts).where(attempts.c.intent_id.in_(old)))
    connection.execute(
        delete(intents).where(
            intents.c.lane_id == lane_id,
            intents.c.nonce < below,
            one_of(intents.c.status, (IntentStatus.MINED, IntentStatus.FAILED)),
        )
    )


def explain(connection: Connection, intent_id: int, now: float, *, code: str | None, reason: str | None) -> None:
    """Notes why an open job is not getting on, or that it is."""
    connection.execute(
        update(intents)
        .where(intents.c.id == intent_id, intents.c.status == IntentStatus.OPEN.value)
        .values(code=code, reason=reason, updated_at=now)
    )


def explain_due(connection: Connection, lane_id: int, now: float, *, code: str, reason: str) -> None:
    """Notes why what is due in a lane is not sent, where nothing says so yet. It stays due."""
    connection.execute(
        update(intents)
        .where(intents.c.lane_id == lane_id, _is_due(now), intents.c.code.is_distinct_from(code))
        .values(code=code, reason=reason, updated_at=now)
    )


def postpone(
    connection: Connection, intent_id: int, due_at: float, now: float, *, code: str, reason: str, nonce_free: bool,
    counts: bool = True,
) -> int:  # fmt: skip
    """Puts a job back into the queue for later, one try older if that `counts`."""
    values: dict[str, Any] = {"nonce": None} if nonce_free else {}
    return connection.execute(
        update(intents)
        .where(
            intents.c.id == intent_id,
            one_of(intents.c.status, (IntentStatus.QUEUED, IntentStatus.HELD, IntentStatus.OPEN)),
        )
        .values(
            status=IntentStatus.QUEUED.value, tries=intents.c.tries + int(counts), due_at=due_at, updated_at=now,
            code=code, reason=reason, **values,
        )
    ).rowcount  # fmt: skip


def _job(row: Any) -> Job:
    # By position, because thousands of rows are read while a node waits for them.
    (
        number, lane_id, key, body_hash, kind, to, data, value, gas, status, nonce, tries, due_at, created_at,
        updated_at, code, reason, tx_hash,
    ) = row  # fmt: skip
    return Job(
        number, lane_id, key, body_hash, _KINDS[kind], Intent(to, bytes(data), int(value), gas), _STATUSES[status],
        nonce, tries, due_at, created_at, updated_at, code, reason, tx_hash,
    )  # fmt: skip
