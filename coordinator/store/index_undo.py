"""What the index can take back: what rows were before each page, and where pages ended, as far as a reorganisation may
reach.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, select, update

from actp.engine.store.conflicts import insert_or_ignore
from coordinator.store import index_credits, index_escrows, index_kernels
from coordinator.store.formats import text
from coordinator.store.index_escrows import Escrow
from coordinator.store.index_kernels import IndexedKernel
from coordinator.store.index_schema import points, undo
from coordinator.types import BlockRef

__all__ = ["Before", "Point", "add_point", "go_back", "keep", "points_of", "prune", "put_fees"]

_ESCROW, _CREDIT = "escrow", "credit"


@dataclass(frozen=True, slots=True)
class Before:
    """What the rows that a page changes were before it, as text, by transaction id and by payee; None for those that
    it makes.
    """

    escrows: Mapping[str, str | None]
    credits: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Point:
    """Where a page ended, and the fees that had accrued by then."""

    block: BlockRef
    fees: int


def image(escrow: Escrow) -> str:
    """A row as text."""
    return text(index_escrows.columns_of(escrow))


def keep(connection: Connection, kernel: IndexedKernel, block: int, before: Before) -> None:
    """Writes down what rows were before the page that ends at `block`; what is there already is older, and stays."""
    rows = [
        {"kernel_id": kernel.id, "block_number": block, "kind": kind, "key": key, "before": row}
        for kind, images in ((_ESCROW, before.escrows), (_CREDIT, before.credits))
        for key, row in images.items()
    ]
    if rows:
        insert_or_ignore(connection, undo, rows)


def add_point(connection: Connection, kernel: IndexedKernel) -> None:
    """A page ends where the kernel is read up to now."""
    row = {
        "kernel_id": kernel.id, "block_number": kernel.block.number, "block_hash": kernel.block.hash,
        "fees": str(kernel.fees),
    }  # fmt: skip
    insert_or_ignore(connection, points, [row])


def put_fees(connection: Connection, kernel: IndexedKernel) -> None:
    """The fees of the point up to which the kernel is read are these after all."""
    here = (points.c.kernel_id == kernel.id, points.c.block_number == kernel.block.number)
    connection.execute(update(points).where(*here).values(fees=str(kernel.fees)))


def points_of(connection: Connection, kernel: IndexedKernel) -> list[Point]:
    """Where the index can go back to, the newest first."""
    query = select(points).where(points.c.kernel_id == kernel.id).order_by(points.c.block_number.desc())
    return [Point(BlockRef(row.block_number, row.block_hash), int(row.fees)) for row in connection.execute(query)]


def go_back(connection: Connection, kernel: IndexedKernel, to: Point) -> IndexedKernel:
    """The kernel as it was at a point, as are all rows. Raises LedgerConflict."""
    moved = index_kernels.move(connection, kernel, block=to.block, fees=to.fees)
    mine = (undo.c.kernel_id == kernel.id, undo.c.block_number > to.block.number)
    oldest: dict[tuple[str, str], str | None] = {}
    query = select(undo.c.kind, undo.c.key, undo.c.before).where(*mine).order_by(undo.c.block_number)
    for kind, key, before in connection.execute(query):
        oldest.setdefault((kind, key), before)
    ids = [key for kind, key in oldest if kind == _ESCROW]
    index_escrows.drop(connection, kernel.id, ids)
    images = [json.loads(before) for (kind, _), before in oldest.items() if kind == _ESCROW and before is not None]
    index_escrows.add(connection, [index_escrows.from_columns(one) for one in images])
    amounts = {key: int(before or 0) for (kind, key), before in oldest.items() if kind == _CREDIT}
    index_credits.write(connection, kernel.id, amounts)
    connection.execute(delete(undo).where(*mine))
    connection.execute(delete(points).where(points.c.kernel_id == kernel.id, points.c.block_number > to.block.number))
    return moved


def prune(connection: Connection, kernel: IndexedKernel, final: int) -> None:
    """Forgets what no reorganisation can reach: all before the newest point that is not after block `final`."""
    mine = points.c.kernel_id == kernel.id
    base = connection.execute(
        select(func.max(points.c.block_number)).where(mine, points.c.block_number <= final)
    ).scalar()
    if base is not None:
        connection.execute(delete(points).where(mine, points.c.block_number < base))
        connection.execute(delete(undo).where(undo.c.kernel_id == kernel.id, undo.c.block_number <= base))


def images_of(rows: Sequence[Escrow]) -> dict[str, str | None]:
    """Rows as text, by id."""
    return {one.transaction_id: image(one) for one in rows}
