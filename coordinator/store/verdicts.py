"""Rows of verdicts: what the delta guard says about each eth transaction of a wallet."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from coordinator.store.accounts import Account
from coordinator.store.formats import text
from coordinator.store.schema import verdicts
from coordinator.types import BlockRef

__all__ = ["Verdict", "add", "latest", "listed", "reopen", "reopen_above"]

_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verdict: `ok`, `breach` or `incomplete`, with the evidence for it as plain data.

    It says nothing any more once it was reopened because its block is gone.
    """

    operation_id: int | None
    nonce: int | None
    tx_hash: str | None
    block: BlockRef | None
    verdict: str
    variance_bps: int | None
    evidence: Mapping[str, Any]
    at: float = 0.0
    reopened_at: float | None = None


def add(connection: Connection, account: Account, made: Sequence[Verdict], now: float) -> None:
    """Writes verdicts."""
    if made:
        connection.execute(
            insert(verdicts),
            [
                {
                    **account.columns,
                    "operation_id": one.operation_id,
                    "nonce": one.nonce,
                    "tx_hash": one.tx_hash,
                    "block_number": None if one.block is None else one.block.number,
                    "block_hash": None if one.block is None else one.block.hash,
                    "verdict": one.verdict,
                    "variance_bps": one.variance_bps,
                    "evidence": text(one.evidence),
                    "at": now,
                }
                for one in made
            ],
        )


def reopen(connection: Connection, operation_ids: Sequence[int], now: float) -> None:
    """The blocks of these operations' verdicts are gone."""
    for start in range(0, len(operation_ids), _CHUNK):
        part = operation_ids[start : start + _CHUNK]
        connection.execute(
            update(verdicts)
            .where(verdicts.c.operation_id.in_(part), verdicts.c.reopened_at.is_(None))
            .values(reopened_at=now)
        )


def reopen_above(connection: Connection, account: Account, number: int, now: float) -> None:
    """The blocks above this one are gone or examined again: no verdict in them holds, of no operation either."""
    connection.execute(
        update(verdicts)
        .where(account.owns(verdicts), verdicts.c.block_number > number, verdicts.c.reopened_at.is_(None))
        .values(reopened_at=now)
    )


def latest(connection: Connection, operation_ids: Sequence[int]) -> dict[int, Verdict]:
    """The verdicts that hold about these operations."""
    found = {}
    for start in range(0, len(operation_ids), _CHUNK):
        query = (
            select(verdicts)
            .where(verdicts.c.operation_id.in_(operation_ids[start : start + _CHUNK]), verdicts.c.reopened_at.is_(None))
            .order_by(verdicts.c.id)
        )
        found.update({row.operation_id: _verdict(row) for row in connection.execute(query)})
    return found


def listed(connection: Connection, account: Account, *, limit: int = 1000) -> list[Verdict]:
    """The newest verdicts, reopened ones too."""
    query = select(verdicts).where(account.owns(verdicts)).order_by(verdicts.c.id.desc()).limit(limit)
    return [_verdict(row) for row in connection.execute(query)]


def _verdict(row: Row[Any]) -> Verdict:
    return Verdict(
        row.operation_id,
        row.nonce,
        row.tx_hash,
        None if row.block_hash is None else BlockRef(row.block_number, row.block_hash),
        row.verdict,
        row.variance_bps,
        json.loads(row.evidence),
        row.at,
        row.reopened_at,
    )
