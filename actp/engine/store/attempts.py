"""Rows of signatures: stored before any node sees them, and never forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from actp.engine.intents import Attempt, Submission
from actp.engine.store.schema import AttemptState, attempts, one_of

__all__ = [
    "LIVE",
    "MINED",
    "add",
    "by_state",
    "doubt",
    "exists",
    "find",
    "highest_nonce",
    "last_mined",
    "mark",
    "mark_all",
    "of_intents",
    "replace_others",
    "unseal",
]

LIVE = (AttemptState.SIGNED, AttemptState.HANDED, AttemptState.ACCEPTED)
"""May still be mined, as far as is known."""

MINED = (AttemptState.SEALED, AttemptState.SAFE, AttemptState.FINALIZED)

_CHUNK = 500


def add(connection: Connection, lane_id: int, signed: Sequence[Submission], token: int, now: float) -> None:
    """Stores signatures as SIGNED, with the token of their writer."""
    connection.execute(
        insert(attempts),
        [
            {
                "intent_id": one.intent_id,
                "lane_id": lane_id,
                "nonce": one.nonce,
                "tx_hash": one.tx_hash,
                "raw": one.raw,
                "gas": one.fields.gas,
                "max_fee": one.fields.max_fee_per_gas,
                "tip": one.fields.max_priority_fee_per_gas,
                "state": AttemptState.SIGNED.value,
                "token": token,
                "signed_at": now,
                "updated_at": now,
            }
            for one in signed
        ],
    )


def exists(connection: Connection, lane_id: int, tx_hash: str) -> bool:
    """Whether this hash was ever signed."""
    query = select(attempts.c.id).where(attempts.c.lane_id == lane_id, attempts.c.tx_hash == tx_hash)
    return connection.execute(query).first() is not None


def find(connection: Connection, lane_id: int, tx_hash: str) -> Attempt | None:
    """The signature with this hash."""
    row = connection.execute(
        select(attempts).where(attempts.c.lane_id == lane_id, attempts.c.tx_hash == tx_hash)
    ).one_or_none()
    return None if row is None else _attempt(row)


def of_intents(connection: Connection, intent_ids: Sequence[int]) -> dict[int, list[Attempt]]:
    """All signatures of these intents, the oldest first."""
    found: dict[int, list[Attempt]] = {one: [] for one in intent_ids}
    for start in range(0, len(intent_ids), _CHUNK):
        part = intent_ids[start : start + _CHUNK]
        query = select(attempts).where(attempts.c.intent_id.in_(part)).order_by(attempts.c.id)
        for row in connection.execute(query):
            found[row.intent_id].append(_attempt(row))
    return found


def by_state(
    connection: Connection, lane_id: int, states: Iterable[AttemptState], *, from_nonce: int = 0
) -> list[Attempt]:
    """The signatures of a lane in these states, by nonce."""
    query = (
        select(attempts)
        .where(attempts.c.lane_id == lane_id, one_of(attempts.c.state, states), attempts.c.nonce >= from_nonce)
        .order_by(attempts.c.nonce, attempts.c.id)
    )
    return [_attempt(row) for row in connection.execute(query)]


def mark(
    connection: Connection,
    lane_id: int,
    tx_hashes: Sequence[str],
    state: AttemptState,
    now: float,
    *,
    only: Sequence[AttemptState],
    blocks: Sequence[tuple[int, str]] = (),
) -> None:
    """Gives signatures a state, if theirs is one of `only`; `blocks` are the (number, hash) that they are mined in."""
    if not tx_hashes:
        return
    values: dict[str, Any] = {"state": state.value, "updated_at": now}
    rows: list[dict[str, Any]] = [{"b_hash": tx_hash} for tx_hash in tx_hashes]
    if blocks:
        values |= {"block_number": bindparam("b_number"), "block_hash": bindparam("b_block")}
        rows = [row | {"b_number": number, "b_block": block} for row, (number, block) in zip(rows, blocks, strict=True)]
    statement = (
        update(attempts)
        .where(
            attempts.c.lane_id == lane_id,
            attempts.c.tx_hash == bindparam("b_hash"),
            one_of(attempts.c.state, only),
        )
        .values(**values)
    )
    connection.execute(statement, rows)


def mark_all(
    connection: Connection,
    lane_id: int,
    tx_hashes: Sequence[str],
    state: AttemptState,
    now: float,
    *,
    only: Sequence[AttemptState],
) -> None:
    """As `mark`, for many that are not in a block, in few statements."""
    for start in range(0, len(tx_hashes), _CHUNK):
        connection.execute(
            update(attempts)
            .where(
                attempts.c.lane_id == lane_id,
                attempts.c.tx_hash.in_(tx_hashes[start : start + _CHUNK]),
                one_of(attempts.c.state, only),
            )
            .values(state=state.value, updated_at=now)
        )


def replace_others(connection: Connection, mined: Sequence[tuple[int, str]], now: float) -> None:
    """Of each intent of (id, hash), all signatures but the mined one are REPLACED."""
    statement = (
        update(attempts)
        .where(
            attempts.c.intent_id == bindparam("b_id"),
            attempts.c.tx_hash != bindparam("b_hash"),
            one_of(attempts.c.state, LIVE),
        )
        .values(state=AttemptState.REPLACED.value, updated_at=now)
    )
    if mined:
        connection.execute(statement, [{"b_id": one, "b_hash": tx_hash} for one, tx_hash in mined])


def doubt(connection: Connection, lane_id: int, above: int, now: float) -> None:
    """Blocks above this height are gone, final or not: whoever watches the lane looks at what was in them again."""
    connection.execute(
        update(attempts)
        .where(
            attempts.c.lane_id == lane_id,
            one_of(attempts.c.state, (AttemptState.SAFE, AttemptState.FINALIZED)),
            attempts.c.block_number > above,
        )
        .values(state=AttemptState.SEALED.value, updated_at=now)
    )


def unseal(connection: Connection, intent_ids: Sequence[int], now: float) -> None:
    """The chain took these back: every signature of them may be mined again."""
    statement = (
        update(attempts)
        .where(attempts.c.intent_id == bindparam("b_id"), attempts.c.state != AttemptState.REFUSED.value)
        .values(state=AttemptState.HANDED.value, block_number=None, block_hash=None, updated_at=now)
    )
    if intent_ids:
        connection.execute(statement, [{"b_id": one} for one in intent_ids])


def _attempt(row: Any) -> Attempt:
    return Attempt(
        id=row.id,
        intent_id=row.intent_id,
        nonce=row.nonce,
        tx_hash=row.tx_hash,
        raw=bytes(row.raw),
        gas=row.gas,
        max_fee=row.max_fee,
        tip=row.tip,
        state=AttemptState(row.state),
        block_number=row.block_number,
        block_hash=row.block_hash,
        signed_at=row.signed_at,
    )


def last_mined(connection: Connection, lane_id: int) -> tuple[int, str] | None:
    """The highest nonce of a lane that was seen mined, and its hash."""
    query = (
        select(attempts.c.nonce, attempts.c.tx_hash)
        .where(attempts.c.lane_id == lane_id, one_of(attempts.c.state, MINED))
        .order_by(attempts.c.nonce.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None else (row.nonce, row.tx_hash)


def highest_nonce(connection: Connection, lane_id: int) -> int:
    """The highest nonce that a lane ever signed with, -1 if none."""
    found = connection.execute(select(func.max(attempts.c.nonce)).where(attempts.c.lane_id == lane_id)).scalar()
    return -1 if found is None else int(found)
