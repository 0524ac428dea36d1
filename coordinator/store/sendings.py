"""What the engine's rows say about operations: read here, and written by the engine alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, or_, select

from actp.engine.store.attempts import MINED
from actp.engine.store.schema import AttemptState, IntentStatus, attempts, intents
from coordinator.store.accounts import Account
from coordinator.store.schema import operations
from coordinator.types import BlockRef, Stage

__all__ = ["Sending", "Signed", "changed", "finalized", "mined_within", "raw_of", "signed_from", "taken_back"]

_CHUNK = 500
_ENDED = (IntentStatus.MINED, IntentStatus.FAILED, IntentStatus.DEAD, IntentStatus.CANCELLED, IntentStatus.UNDONE)
_GIVEN_UP = (IntentStatus.DEAD.value, IntentStatus.CANCELLED.value)
_WAITING = (IntentStatus.QUEUED.value, IntentStatus.OPEN.value, IntentStatus.UNKNOWN.value)
_AGAIN = (Stage.SIMULATING, Stage.APPROVAL_GATE)
"""Where an operation is that the engine has a row of, and that is judged again."""


@dataclass(frozen=True, slots=True)
class Sending:
    """How far the engine is with an operation. `block` and `tx_hash` are there once it is mined."""

    operation_id: int
    status: IntentStatus
    code: str | None
    reason: str | None
    tx_hash: str | None
    block: BlockRef | None


@dataclass(frozen=True, slots=True)
class Signed:
    """A nonce that was signed with, every hash under which it may be mined, and the operation if it is one, with the
    time at which that was decided.
    """

    operation_id: int | None
    decided_at: float | None
    nonce: int
    tx_hashes: tuple[str, ...]


def changed(connection: Connection, account: Account, *, mined: bool, limit: int = 2000) -> list[Sending]:
    """The operations of which the engine knows more than their stage, code and reason say; of those that are mined and
    submitted only if `mined`.
    """
    ended = [one.value for one in _ENDED if mined or one not in (IntentStatus.MINED, IntentStatus.FAILED)]
    signing = [one.value for one in (IntentStatus.HELD, IntentStatus.OPEN, *_ENDED)]
    explained = or_(
        operations.c.code.is_distinct_from(intents.c.code), operations.c.reason.is_distinct_from(intents.c.reason)
    )
    query = (
        select(
            operations.c.id,
            intents.c.status,
            intents.c.code,
            intents.c.reason,
            intents.c.tx_hash,
            attempts.c.block_number,
            attempts.c.block_hash,
        )
        .join(intents, intents.c.id == operations.c.outbox_id)
        .outerjoin(attempts, and_(attempts.c.lane_id == intents.c.lane_id, attempts.c.tx_hash == intents.c.tx_hash))
        .where(
            account.owns(operations),
            operations.c.final.is_(False),
            operations.c.stage.in_([one.value for one in (*_AGAIN, Stage.SIGNING, Stage.SUBMITTING)]),
            or_(
                and_(operations.c.stage == Stage.SIGNING.value, intents.c.status.in_(signing)),
                and_(operations.c.stage == Stage.SUBMITTING.value, intents.c.status.in_(ended)),
                and_(operations.c.stage.in_([one.value for one in _AGAIN]), intents.c.status.in_(_GIVEN_UP)),
                and_(
                    operations.c.stage.in_([Stage.SIGNING.value, Stage.SUBMITTING.value]),
                    intents.c.status.in_(_WAITING),
                    explained,
                ),
            ),
        )
        .order_by(operations.c.id)
        .limit(limit)
    )
    return [
        Sending(one, IntentStatus(status), code, reason, tx_hash, _block(number, block_hash))
        for one, status, code, reason, tx_hash, number, block_hash in connection.execute(query)
    ]


def signed_from(connection: Connection, lane_id: int, nonce: int) -> list[Signed]:
    """Everything that was signed with this nonce or a higher one, by nonce."""
    query = (
        select(intents.c.nonce, attempts.c.tx_hash, operations.c.id, operations.c.decided_at)
        .join(attempts, attempts.c.intent_id == intents.c.id)
        .outerjoin(operations, operations.c.outbox_id == intents.c.id)
        .where(intents.c.lane_id == lane_id, intents.c.nonce >= nonce, attempts.c.nonce == intents.c.nonce)
        .order_by(intents.c.nonce, attempts.c.id)
    )
    hashes: dict[int, list[str]] = {}
    owner: dict[int, tuple[int | None, float | None]] = {}
    for used, tx_hash, operation_id, decided_at in connection.execute(query):
        hashes.setdefault(used, []).append(tx_hash)
        owner[used] = operation_id, decided_at
    return [Signed(*owner[used], used, tuple(of)) for used, of in hashes.items()]


def mined_within(connection: Connection, lane_id: int, nonce: int, height: int) -> bool:
    """Whether the engine has seen this nonce or a higher one mined in a block not above this height."""
    query = (
        select(attempts.c.id)
        .where(
            attempts.c.lane_id == lane_id,
            attempts.c.state.in_([one.value for one in MINED]),
            attempts.c.nonce >= nonce,
            attempts.c.block_number <= height,
        )
        .limit(1)
    )
    return connection.execute(query).first() is not None


def raw_of(connection: Connection, lane_id: int, tx_hashes: Sequence[str]) -> dict[str, tuple[int, bytes]]:
    """Nonce and signed bytes by hash."""
    found: dict[str, tuple[int, bytes]] = {}
    for start in range(0, len(tx_hashes), _CHUNK):
        query = select(attempts.c.tx_hash, attempts.c.nonce, attempts.c.raw).where(
            attempts.c.lane_id == lane_id, attempts.c.tx_hash.in_(tx_hashes[start : start + _CHUNK])
        )
        found.update({tx_hash: (nonce, bytes(raw)) for tx_hash, nonce, raw in connection.execute(query)})
    return found


def finalized(
    connection: Connection, account: Account, lane_id: int, *, limit: int = 1000
) -> list[tuple[int, BlockRef]]:
    """Operations that ended in blocks that are final by now, the oldest first."""
    oldest = (
        select(operations.c.id, operations.c.tx_hash, operations.c.block_number, operations.c.block_hash)
        .where(
            account.owns(operations),
            operations.c.final.is_(False),
            operations.c.stage.in_([Stage.CONFIRMED.value, Stage.FAILED.value]),
            operations.c.block_hash.is_not(None),
        )
        .order_by(operations.c.id)
        .limit(limit)
        .subquery()
    )
    query = (
        select(oldest.c.id, oldest.c.block_number, oldest.c.block_hash)
        .join(attempts, and_(attempts.c.lane_id == lane_id, attempts.c.tx_hash == oldest.c.tx_hash))
        .where(attempts.c.state == AttemptState.FINALIZED.value, attempts.c.block_hash == oldest.c.block_hash)
        .order_by(oldest.c.id)
    )
    return [(one, BlockRef(number, block_hash)) for one, number, block_hash in connection.execute(query)]


def taken_back(connection: Connection, account: Account, *, limit: int = 1000) -> list[int]:
    """Operations that ended in blocks which, as the engine knows by now, are gone."""
    query = (
        select(operations.c.id)
        .join(intents, intents.c.id == operations.c.outbox_id)
        .outerjoin(attempts, and_(attempts.c.lane_id == intents.c.lane_id, attempts.c.tx_hash == operations.c.tx_hash))
        .where(
            account.owns(operations),
            operations.c.final.is_(False),
            operations.c.stage.in_([Stage.CONFIRMED.value, Stage.FAILED.value]),
            operations.c.block_hash.is_not(None),
            or_(
                intents.c.status.not_in([IntentStatus.MINED.value, IntentStatus.FAILED.value]),
                attempts.c.block_hash.is_distinct_from(operations.c.block_hash),
            ),
        )
        .order_by(operations.c.id)
        .limit(limit)
    )
    return list(connection.execute(query).scalars())


def _block(number: int | None, block_hash: str | None) -> BlockRef | None:
    return None if number is None or block_hash is None else BlockRef(number, block_hash)
