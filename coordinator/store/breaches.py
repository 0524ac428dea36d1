"""Rows of findings: what happened to the wallet that nobody ordered."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from coordinator.store.accounts import Account
from coordinator.store.formats import text
from coordinator.store.schema import breaches
from coordinator.types import BlockRef

__all__ = ["VOID", "Found", "add", "listed", "void_above"]

VOID = "void"


@dataclass(frozen=True, slots=True)
class Found:
    """A finding of the delta guard. `severity` is `breach`, `notice`, or VOID since its block is gone or is examined
    again, which finds it again if it is still so.
    """

    kind: str
    severity: str
    operation_id: int | None
    block: BlockRef | None
    tx_hash: str | None
    detail: Mapping[str, Any]
    at: float = 0.0


def add(connection: Connection, account: Account, found: Sequence[Found], now: float) -> None:
    """Writes findings."""
    if found:
        connection.execute(
            insert(breaches),
            [
                {
                    **account.columns,
                    "operation_id": one.operation_id,
                    "kind": one.kind,
                    "severity": one.severity,
                    "block_number": None if one.block is None else one.block.number,
                    "block_hash": None if one.block is None else one.block.hash,
                    "tx_hash": one.tx_hash,
                    "detail": text(one.detail),
                    "at": now,
                }
                for one in found
            ],
        )


def void_above(connection: Connection, account: Account, number: int) -> None:
    """The blocks above this one are gone or examined again: what was found in them says nothing any more."""
    connection.execute(
        update(breaches).where(account.owns(breaches), breaches.c.block_number > number).values(severity=VOID)
    )


def listed(connection: Connection, account: Account, *, severity: str | None = None, limit: int = 1000) -> list[Found]:
    """The newest findings, of one severity if it is named."""
    query = select(breaches).where(account.owns(breaches)).order_by(breaches.c.id.desc()).limit(limit)
    if severity is not None:
        query = query.where(breaches.c.severity == severity)
    return [
        Found(
            row.kind,
            row.severity,
            row.operation_id,
            None if row.block_hash is None else BlockRef(row.block_number, row.block_hash),
            row.tx_hash,
            json.loads(row.detail),
            row.at,
        )
        for row in connection.execute(query)
    ]
