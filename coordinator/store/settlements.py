"""Rows of actions beside the operations that carry them out: what has ended, what has begun again, what nobody ends."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, exists, func, or_, select, update

from coordinator.store.accounts import Account
from coordinator.store.bulk import among, update_rows
from coordinator.store.index_schema import actions
from coordinator.store.index_words import ActionState, Due
from coordinator.store.schema import operations
from coordinator.types import Stage

__all__ = ["Claim", "attempts", "claim_again", "count_claimed", "ended", "put_off", "stale"]

_ENDED = (Stage.CONFIRMED.value, Stage.FAILED.value)
_UNDER_WAY = (Stage.SIMULATING.value, Stage.SIGNING.value, Stage.SUBMITTING.value)


@dataclass(frozen=True, slots=True)
class Claim:
    """What an operation was to do about one escrow, and how far that operation is. `block`, with the hash `block_hash`,
    is where it was mined; `failed_at`, `code` and `reason` say why it failed; `claimed_at` is the store's time.
    """

    transaction_id: str
    kind: Due
    attempts: int
    operation_id: int
    stage: Stage
    failed_at: Stage | None
    code: str | None
    reason: str | None
    tx_hash: str | None
    block: int | None
    block_hash: str | None
    claimed_at: float


def ended(connection: Connection, kernel_id: int, *, limit: int) -> list[Claim]:
    """Claims at a kernel whose operation has ended, the oldest operations first; all of an operation, or none."""
    joined = actions.join(operations, operations.c.id == actions.c.operation_id)
    where = (
        actions.c.kernel_id == kernel_id,
        actions.c.state == ActionState.CLAIMED.value,
        operations.c.stage.in_(_ENDED),
    )
    numbers = (
        select(operations.c.id).select_from(joined).where(*where).distinct().order_by(operations.c.id).limit(limit)
    )
    query = (
        select(
            actions.c.transaction_id,
            actions.c.kind,
            actions.c.attempts,
            actions.c.operation_id,
            operations.c.stage,
            operations.c.failed_at,
            operations.c.code,
            operations.c.reason,
            operations.c.tx_hash,
            operations.c.block_number,
            operations.c.block_hash,
            actions.c.updated_at,
        )
        .select_from(joined)
        .where(*where, operations.c.id.in_(numbers))
        .order_by(operations.c.id, actions.c.transaction_id)
    )
    return [_claim(row) for row in connection.execute(query).all()]


def claim_again(connection: Connection, account: Account, now: float) -> int:
    """Claims what was done by an operation of this wallet, or had failed in it, that a reorganisation has put back on
    its way; how many. Nobody is to begin anew what is signed already.
    """
    open_ones = select(operations.c.id).where(
        account.owns(operations), operations.c.stage.in_(_UNDER_WAY), operations.c.final.is_(False)
    )
    query = (
        update(actions)
        .where(actions.c.operation_id.in_(open_ones), actions.c.state != ActionState.CLAIMED.value)
        .values(state=ActionState.CLAIMED.value, updated_at=now)
    )
    return int(connection.execute(query).rowcount)


def stale(
    connection: Connection, kernel_id: int, account: Account, *, before: float, limit: int
) -> list[tuple[Due, str]]:
    """Claims that were made before a time and have not ended, of wallets other than this one, or without operation."""
    mine = exists().where(operations.c.id == actions.c.operation_id, account.owns(operations))
    over = exists().where(operations.c.id == actions.c.operation_id, operations.c.stage.in_(_ENDED))
    query = (
        select(actions.c.kind, actions.c.transaction_id)
        .where(
            actions.c.kernel_id == kernel_id,
            actions.c.state == ActionState.CLAIMED.value,
            actions.c.updated_at < before,
            or_(actions.c.operation_id.is_(None), ~mine & ~over),
        )
        .limit(limit)
    )
    return [(Due(row.kind), row.transaction_id) for row in connection.execute(query)]


def attempts(connection: Connection, kernel_id: int, transaction_ids: Collection[str]) -> dict[tuple[Due, str], int]:
    """How often what is to be done about these escrows has failed, where it has."""
    if not transaction_ids:
        return {}
    query = select(actions.c.kind, actions.c.transaction_id, actions.c.attempts).where(
        actions.c.kernel_id == kernel_id,
        among(connection, actions.c.transaction_id, transaction_ids),
        actions.c.attempts > 0,
    )
    return {(Due(row.kind), row.transaction_id): row.attempts for row in connection.execute(query)}


def count_claimed(connection: Connection, kernel_id: int, account: Account) -> int:
    """How many claims operations of this wallet hold."""
    joined = actions.join(operations, operations.c.id == actions.c.operation_id)
    query = (
        select(func.count())
        .select_from(joined)
        .where(
            actions.c.kernel_id == kernel_id,
            actions.c.state == ActionState.CLAIMED.value,
            account.owns(operations),
        )
    )
    return int(connection.execute(query).scalar_one())


def put_off(
    connection: Connection, kernel_id: int, kind: Due, until: Sequence[tuple[Claim, float]], now: float, code: str,
    reason: str,
) -> None:  # fmt: skip
    """What was claimed did not work: each is tried again at its time."""
    rows: list[dict[str, Any]] = [
        {
            "kernel_id": kernel_id,
            "transaction_id": claim.transaction_id,
            "kind": kind.value,
            "state": ActionState.FAILED.value,
            "attempts": claim.attempts + 1,
            "next_at": at,
            "code": code,
            "reason": reason,
            "updated_at": now,
        }
        for claim, at in until
    ]
    update_rows(connection, actions, ("kernel_id", "transaction_id", "kind"), rows)


def _claim(row: Any) -> Claim:
    return Claim(
        row.transaction_id,
        Due(row.kind),
        row.attempts,
        row.operation_id,
        Stage(row.stage),
        None if row.failed_at is None else Stage(row.failed_at),
        row.code,
        row.reason,
        row.tx_hash,
        row.block_number,
        row.block_hash,
        row.updated_at,
    )
