"""Rows of points: up to where the delta guard has explained everything."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from coordinator.errors import LedgerConflict
from coordinator.store.accounts import Account
from coordinator.store.schema import points
from coordinator.types import BlockRef

__all__ = ["StoredPoint", "append", "newest", "require_newest"]

_KEPT = 100


@dataclass(frozen=True, slots=True)
class StoredPoint:
    """A point as the guard wrote it (JSON), and its place in the row of points."""

    version: int
    block: BlockRef
    content: str


def newest(connection: Connection, account: Account, *, limit: int = 1) -> list[StoredPoint]:
    """The newest points of a wallet, the newest first."""
    query = (
        select(points.c.version, points.c.block_number, points.c.block_hash, points.c.point)
        .where(account.owns(points))
        .order_by(points.c.version.desc())
        .limit(limit)
    )
    return [
        StoredPoint(version, BlockRef(number, block_hash), content)
        for version, number, block_hash, content in connection.execute(query)
    ]


def append(connection: Connection, account: Account, block: BlockRef, content: str, now: float, *, seen: int) -> None:
    """Moves on from the version that was `seen` (-1 if there was none); the oldest points are dropped.

    If another process has moved on since, `Ledger.write` raises LedgerConflict, because the next version is taken.
    """
    row = {"version": seen + 1, "block_number": block.number, "block_hash": block.hash, "point": content, "at": now}
    connection.execute(insert(points).values(**account.columns, **row))
    connection.execute(delete(points).where(account.owns(points), points.c.version <= seen - _KEPT))


def require_newest(connection: Connection, account: Account, version: int) -> None:
    """Raises LedgerConflict if another process has moved on from this version: what left the list of what is on its way
    by that is still in the balances of this one.
    """
    found = newest(connection, account)
    if not found or found[0].version != version:
        raise LedgerConflict(
            "Another process was faster with this wallet.", hint="Nothing was changed. Try again.", retryable=True
        )
