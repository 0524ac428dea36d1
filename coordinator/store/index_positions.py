"""What a wallet has to do with each kernel: sums over the open escrows of the index."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, func, select

from coordinator.store import index_kernels
from coordinator.store.index_kernels import IndexedKernel
from coordinator.store.index_schema import credits, escrows

__all__ = ["Position", "of"]

_PART = 10**6


@dataclass(frozen=True, slots=True)
class Position:
    """One wallet at one kernel, as of the block up to which the kernel is indexed; base units of its token. `locked` is
    what still lies in escrows that it pays for, `receivable` in those that it works for (before the platform's fee),
    `bonds` what it has posted, for whomever, `credit` what the kernel owes it. The numbers are those of open escrows.
    """

    kernel: IndexedKernel
    wallet: str
    locked: int
    receivable: int
    bonds: int
    credit: int
    as_requester: int
    as_provider: int


def of(connection: Connection, wallet: str, kernel_ids: Collection[int] | None = None) -> list[Position]:
    """The wallet at each of these kernels, or at each that is indexed. Always as many queries."""
    kernels = [one for one in index_kernels.listed(connection) if kernel_ids is None or one.id in kernel_ids]
    locked = _sums(connection, escrows.c.remaining, escrows.c.requester == wallet, escrows.c.open)
    receivable = _sums(connection, escrows.c.remaining, escrows.c.provider == wallet, escrows.c.open)
    bonds = [
        _sums(connection, held, poster == wallet, held > 0)
        for held, poster in (
            (escrows.c.bond_requester, escrows.c.bond_requester_poster),
            (escrows.c.bond_provider, escrows.c.bond_provider_poster),
        )
    ]
    query = select(credits.c.kernel_id, credits.c.amount).where(credits.c.payee == wallet)
    owed = {kernel_id: int(amount) for kernel_id, amount in connection.execute(query)}
    nothing = (0, 0)
    return [
        Position(
            kernel=one,
            wallet=wallet,
            locked=locked.get(one.id, nothing)[0],
            receivable=receivable.get(one.id, nothing)[0],
            bonds=sum(each.get(one.id, nothing)[0] for each in bonds),
            credit=owed.get(one.id, 0),
            as_requester=locked.get(one.id, nothing)[1],
            as_provider=receivable.get(one.id, nothing)[1],
        )
        for one in kernels
    ]


def _sums(connection: Connection, column: Column[Any], *where: ColumnElement[bool]) -> dict[int, tuple[int, int]]:
    """The sum of a column and the number of rows, by kernel. In two parts: SQLite's sums end at 63 bits, and where a
    token costs nothing anybody could make somebody's escrows exceed them.
    """
    query = (
        select(escrows.c.kernel_id, func.sum(column // _PART), func.sum(column % _PART), func.count())
        .where(*where)
        .group_by(escrows.c.kernel_id)
    )
    return {
        kernel_id: (int(high) * _PART + int(low), int(number))
        for kernel_id, high, low, number in connection.execute(query)
    }
