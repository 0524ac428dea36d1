"""Rows of operations: put in once per key, read in order. Their stage changes in `moving` alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update

from actp.engine.store.conflicts import insert_or_ignore
from coordinator.store.accounts import Account
from coordinator.store.schema import operations
from coordinator.types import BlockRef, IntentType, Operation, Stage

__all__ = [
    "Draft",
    "add",
    "annotate",
    "by_id",
    "by_ids",
    "by_keys",
    "by_outbox",
    "count",
    "count_in",
    "in_stages",
    "listed",
    "make_final",
    "mined_above",
    "newest_of",
    "transaction_ids",
    "unanswered",
    "undecided",
]

_CHUNK = 500
"""Databases bind only so many values in one statement."""

_COLUMNS = tuple(
    operations.c[name]
    for name in (
        "id", "trace_id", "chain_id", "wallet", "agent", "key", "type", "intent", "body_hash", "stage", "created_at",
        "updated_at", "failed_at", "code", "reason", "transaction_id", "outbox_id", "tx_hash", "block_number",
        "block_hash", "confirmed_at", "result", "decided_at",
    )
)  # fmt: skip
_QUERIES = [one.value for one in IntentType if one.query]
_TYPES = {one.value: one for one in IntentType}
_STAGES = {one.value: one for one in Stage}


@dataclass(frozen=True, slots=True)
class Draft:
    """An operation that is not a row yet. `intent` is canonical JSON, `body_hash` its digest."""

    trace_id: str
    agent: str
    key: str
    type: IntentType
    intent: str
    body_hash: str
    transaction_id: str | None = None


def add(connection: Connection, account: Account, drafts: Sequence[Draft], now: float) -> list[Operation]:
    """The operations of these drafts, in order: new ones as PENDING, or those that have the key already.

    Whether those are the same is for the caller to see.
    """
    rows = [
        {
            "trace_id": one.trace_id,
            **account.columns,
            "agent": one.agent,
            "key": one.key,
            "type": one.type.value,
            "intent": one.intent,
            "body_hash": one.body_hash,
            "transaction_id": one.transaction_id,
            "stage": Stage.PENDING.value,
            "created_at": now,
            "updated_at": now,
            "final": False,
        }
        for one in drafts
    ]
    if rows:
        insert_or_ignore(connection, operations, rows)
    found = by_keys(connection, account, [(one.agent, one.key) for one in drafts])
    return [found[one.agent, one.key] for one in drafts]


def by_keys(
    connection: Connection, account: Account, keys: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], Operation]:
    """The operations with these (agent, key)."""
    found = {}
    wanted: dict[str, list[str]] = {}
    for agent, key in keys:
        wanted.setdefault(agent, []).append(key)
    for agent, names in wanted.items():
        for start in range(0, len(names), _CHUNK):
            query = select(*_COLUMNS).where(
                account.owns(operations),
                operations.c.agent == agent,
                operations.c.key.in_(names[start : start + _CHUNK]),
            )
            found.update({(one.agent, one.key): one for one in map(_operation, connection.execute(query))})
    return found


def by_id(connection: Connection, operation_id: int) -> Operation | None:
    """The operation of this number."""
    return by_ids(connection, [operation_id]).get(operation_id)


def by_ids(connection: Connection, operation_ids: Sequence[int]) -> dict[int, Operation]:
    """The operations of these numbers."""
    return _by(connection, operations.c.id, operation_ids)


def by_outbox(connection: Connection, outbox_ids: Sequence[int]) -> dict[int, Operation]:
    """Operations by the engine's number for them."""
    found = _by(connection, operations.c.outbox_id, outbox_ids)
    return {one.outbox_id: one for one in found.values() if one.outbox_id is not None}


def _by(connection: Connection, column: Any, values: Sequence[Any]) -> dict[int, Operation]:
    found: dict[int, Operation] = {}
    for start in range(0, len(values), _CHUNK):
        query = select(*_COLUMNS).where(column.in_(values[start : start + _CHUNK]))
        found.update({one.id: one for one in map(_operation, connection.execute(query))})
    return found


def in_stages(
    connection: Connection, account: Account, stages: Iterable[Stage], *, after: int = 0, limit: int = 1000
) -> list[Operation]:
    """The oldest operations in these stages, of higher numbers than `after`."""
    query = (
        select(*_COLUMNS)
        .where(
            account.owns(operations),
            operations.c.stage.in_([one.value for one in stages]),
            operations.c.final.is_(False),
            operations.c.id > after,
        )
        .order_by(operations.c.id)
        .limit(limit)
    )
    return [_operation(row) for row in connection.execute(query)]


def undecided(
    connection: Connection,
    account: Account,
    *,
    without_agents: Sequence[str] = (),
    without_code: str | None = None,
    limit: int = 1000,
) -> list[Operation]:
    """The oldest operations that wait for a decision, without those of some agents, or that wait for something.

    Questions need none.
    """
    query = (
        select(*_COLUMNS)
        .where(
            account.owns(operations),
            operations.c.stage.in_([Stage.PENDING.value, Stage.SIMULATING.value]),
            operations.c.final.is_(False),
            operations.c.type.not_in(_QUERIES),
        )
        .order_by(operations.c.id)
        .limit(limit)
    )
    if without_agents:
        query = query.where(operations.c.agent.not_in(without_agents))
    if without_code is not None:
        query = query.where(operations.c.code.is_distinct_from(without_code))
    return [_operation(row) for row in connection.execute(query)]


def unanswered(connection: Connection, account: Account, *, limit: int = 100) -> list[Operation]:
    """The oldest questions that nobody has answered."""
    query = (
        select(*_COLUMNS)
        .where(
            account.owns(operations),
            operations.c.stage == Stage.PENDING.value,
            operations.c.final.is_(False),
            operations.c.type.in_(_QUERIES),
        )
        .order_by(operations.c.id)
        .limit(limit)
    )
    return [_operation(row) for row in connection.execute(query)]


def listed(
    connection: Connection,
    account: Account,
    *,
    agent: str | None = None,
    stages: Iterable[Stage] = (),
    limit: int = 100,
) -> list[Operation]:
    """The newest operations, of this agent and in these stages if any are named."""
    query = select(*_COLUMNS).where(account.owns(operations)).order_by(operations.c.id.desc()).limit(limit)
    wanted = [one.value for one in stages]
    if wanted:
        query = query.where(operations.c.stage.in_(wanted))
    if agent is not None:
        query = query.where(operations.c.agent == agent)
    return [_operation(row) for row in connection.execute(query)]


def count(connection: Connection, account: Account) -> dict[Stage, int]:
    """How many operations are in each stage."""
    query = select(operations.c.stage, func.count()).where(account.owns(operations)).group_by(operations.c.stage)
    return {Stage(stage): number for stage, number in connection.execute(query)}


def mined_above(connection: Connection, account: Account, number: int) -> list[Operation]:
    """What ended in blocks above this number."""
    query = (
        select(*_COLUMNS)
        .where(
            account.owns(operations),
            operations.c.stage.in_([Stage.CONFIRMED.value, Stage.FAILED.value]),
            operations.c.block_number > number,
        )
        .order_by(operations.c.id)
    )
    return [_operation(row) for row in connection.execute(query)]


def transaction_ids(connection: Connection, account: Account, limit: int) -> list[str]:
    """The ACTP transactions that operations were about, the newest first."""
    newest = func.max(operations.c.id)
    query = (
        select(operations.c.transaction_id)
        .where(account.owns(operations), operations.c.transaction_id.is_not(None))
        .group_by(operations.c.transaction_id)
        .order_by(newest.desc())
        .limit(limit)
    )
    return list(connection.execute(query).scalars())


def newest_of(connection: Connection, account: Account, agent: str, kind: IntentType) -> Operation | None:
    """The newest operation of this agent and type."""
    query = (
        select(*_COLUMNS)
        .where(account.owns(operations), operations.c.agent == agent, operations.c.type == kind.value)
        .order_by(operations.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None else _operation(row)


def count_in(connection: Connection, account: Account, stage: Stage, *, without_agents: Sequence[str] = ()) -> int:
    """How many operations are in a stage now, without those of some agents."""
    query = (
        select(func.count())
        .select_from(operations)
        .where(account.owns(operations), operations.c.stage == stage.value, operations.c.final.is_(False))
    )
    if without_agents:
        query = query.where(operations.c.agent.not_in(without_agents))
    return int(connection.execute(query).scalar() or 0)


def annotate(
    connection: Connection, notes: Sequence[tuple[int, str | None, str | None]], stage: Stage, now: float
) -> None:
    """Notes (id, code, reason) on operations that still are in a stage: what they wait for."""
    if not notes:
        return
    statement = (
        update(operations)
        .where(operations.c.id == bindparam("b_id"), operations.c.stage == stage.value)
        .values(code=bindparam("b_code"), reason=bindparam("b_reason"), updated_at=now)
    )
    connection.execute(statement, [{"b_id": one, "b_code": code, "b_reason": reason} for one, code, reason in notes])


def make_final(connection: Connection, operation_ids: Sequence[int]) -> None:
    """Says that nothing can change these any more."""
    for start in range(0, len(operation_ids), _CHUNK):
        part = operation_ids[start : start + _CHUNK]
        connection.execute(update(operations).where(operations.c.id.in_(part)).values(final=True))


def _operation(row: Any) -> Operation:
    # By position, because thousands of rows are read.
    (
        number, trace_id, chain_id, wallet, agent, key, kind, intent, body_hash, stage, created_at, updated_at,
        failed_at, code, reason, transaction_id, outbox_id, tx_hash, block_number, block_hash, confirmed_at, result,
        decided_at,
    ) = row  # fmt: skip
    return Operation(
        number, trace_id, chain_id, wallet, agent, key, _TYPES[kind], json.loads(intent), body_hash, _STAGES[stage],
        created_at, updated_at, None if failed_at is None else _STAGES[failed_at], code, reason, transaction_id,
        outbox_id, tx_hash, None if block_hash is None else BlockRef(block_number, block_hash), confirmed_at,
        None if result is None else json.loads(result), decided_at,
    )  # fmt: skip
