"""Rows of kernels whose events are indexed: what they are, and up to which block they were read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update

from actp.engine.store.conflicts import insert_or_ignore
from coordinator.errors import LedgerConflict
from coordinator.store.index_schema import credits, escrows, kernels, points, undo, unknown
from coordinator.types import BlockRef

__all__ = ["G1", "IndexedKernel", "NewKernel", "find", "forget", "listed", "move", "require"]

G1 = "G1"
"""The version of kernels that name none."""


@dataclass(frozen=True, slots=True)
class NewKernel:
    """A kernel, and the block before the first whose events count."""

    chain_id: int
    genesis: str
    kernel: str
    vault: str
    token: str
    version: str
    grace_seconds: int | None
    timeout_seconds: int | None
    before: BlockRef


@dataclass(frozen=True, slots=True)
class IndexedKernel:
    """A kernel, and up to which block its events are in the index. `version` is what `kernelVersion` answers, or G1;
    `grace_seconds` how long after a deadline anybody may refund, `timeout_seconds` how long after a dispute began
    anybody may close it, None where nobody may; `start_block` the first whose events count; `commits` how often the
    index has changed; `fees` base units that have accrued.
    """

    id: int
    chain_id: int
    genesis: str
    kernel: str
    vault: str
    token: str
    version: str
    grace_seconds: int | None
    timeout_seconds: int | None
    start_block: int
    block: BlockRef
    final_block: int
    commits: int
    fees: int

    @property
    def ours(self) -> bool:
        """Whether it keeps fees, credits and bonds of its own, and says what happens to them."""
        return self.version != G1


def require(connection: Connection, new: NewKernel) -> IndexedKernel:
    """The kernel's row, made if there is none."""
    row = {
        "chain_id": new.chain_id, "genesis": new.genesis, "kernel": new.kernel, "vault": new.vault,
        "token": new.token, "version": new.version, "grace_seconds": new.grace_seconds,
        "timeout_seconds": new.timeout_seconds, "start_block": new.before.number + 1,
        "block_number": new.before.number, "block_hash": new.before.hash, "final_block": -1, "commits": 0, "fees": "0",
    }  # fmt: skip
    insert_or_ignore(connection, kernels, [row])
    found = find(connection, new.chain_id, new.kernel)
    assert found is not None
    return found


def find(connection: Connection, chain_id: int, kernel: str) -> IndexedKernel | None:
    """The row of the kernel at an address, None if it is not indexed."""
    query = select(kernels).where(kernels.c.chain_id == chain_id, kernels.c.kernel == kernel)
    row = connection.execute(query).one_or_none()
    return None if row is None else _kernel(row)


def listed(connection: Connection, chain_id: int | None = None) -> list[IndexedKernel]:
    """Every kernel that is indexed, or those of one chain."""
    query = select(kernels).order_by(kernels.c.id)
    if chain_id is not None:
        query = query.where(kernels.c.chain_id == chain_id)
    return [_kernel(row) for row in connection.execute(query)]


def move(
    connection: Connection,
    kernel: IndexedKernel,
    *,
    block: BlockRef | None = None,
    final_block: int | None = None,
    fees: int | None = None,
) -> IndexedKernel:
    """The kernel with what has changed, which is written. Raises LedgerConflict if anybody has written about the kernel
    since it was read: nobody else can before this transaction ends.
    """
    moved = replace(
        kernel,
        block=kernel.block if block is None else block,
        final_block=kernel.final_block if final_block is None else max(final_block, kernel.final_block),
        fees=kernel.fees if fees is None else fees,
        commits=kernel.commits + 1,
    )
    done = connection.execute(
        update(kernels)
        .where(kernels.c.id == kernel.id, kernels.c.commits == kernel.commits)
        .values(
            block_number=moved.block.number,
            block_hash=moved.block.hash,
            final_block=moved.final_block,
            fees=str(moved.fees),
            commits=moved.commits,
        )
    )
    if done.rowcount != 1:
        raise LedgerConflict(
            f"Another process has indexed the kernel {kernel.kernel}.",
            hint="Nothing was changed. Go on from where it is now.",
            retryable=True,
        )
    return moved


def forget(connection: Connection, kernel: IndexedKernel, before: BlockRef) -> IndexedKernel:
    """Drops all that events have said, so that they can be read again from the block after this one. What somebody is
    doing about escrows stays. Raises LedgerConflict.
    """
    moved = replace(move(connection, kernel, block=before, fees=0), start_block=before.number + 1, final_block=-1)
    connection.execute(
        update(kernels).where(kernels.c.id == kernel.id).values(start_block=moved.start_block, final_block=-1)
    )
    for table in (escrows, credits, points, undo, unknown):
        connection.execute(delete(table).where(table.c.kernel_id == kernel.id))
    return moved


def _kernel(row: Row[Any]) -> IndexedKernel:
    return IndexedKernel(
        row.id,
        row.chain_id,
        row.genesis,
        row.kernel,
        row.vault,
        row.token,
        row.version,
        row.grace_seconds,
        row.timeout_seconds,
        row.start_block,
        BlockRef(row.block_number, row.block_hash),
        row.final_block,
        row.commits,
        int(row.fees),
    )
