"""Rows of reconciliations: what ledger and chain said about the same block."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from coordinator.store.accounts import Account
from coordinator.store.budget_schema import reconciliations
from coordinator.store.formats import text
from coordinator.types import BlockRef

__all__ = ["Reconciliation", "add", "listed"]


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """A comparison: what each side says, in plain data, by how many base units they differ, and what was done then."""

    block: BlockRef
    ledger: Mapping[str, Any]
    chain: Mapping[str, Any]
    drift: int
    action: str
    at: float = 0.0


def add(connection: Connection, account: Account, one: Reconciliation, now: float) -> None:
    """Writes a comparison."""
    connection.execute(
        insert(reconciliations).values(
            **account.columns,
            block_number=one.block.number,
            block_hash=one.block.hash,
            ledger=text(one.ledger),
            chain=text(one.chain),
            drift=str(one.drift),
            action=one.action,
            at=now,
        )
    )


def listed(connection: Connection, account: Account, *, limit: int = 100) -> list[Reconciliation]:
    """The newest comparisons, the newest first."""
    query = (
        select(reconciliations).where(account.owns(reconciliations)).order_by(reconciliations.c.id.desc()).limit(limit)
    )
    return [_reconciliation(row) for row in connection.execute(query)]


def _reconciliation(row: Row[Any]) -> Reconciliation:
    return Reconciliation(
        BlockRef(row.block_number, row.block_hash),
        json.loads(row.ledger),
        json.loads(row.chain),
        int(row.drift),
        row.action,
        row.at,
    )
