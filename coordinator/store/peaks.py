"""Rows of peaks: the most that treasury and open escrows ever had together."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, select, update

from actp.engine.store.conflicts import insert_or_ignore
from coordinator.store.accounts import Account
from coordinator.store.schema import peaks

__all__ = ["raise_to", "read"]


def read(connection: Connection, account: Account) -> dict[str, int]:
    """The peaks by asset."""
    query = select(peaks.c.asset, peaks.c.amount).where(account.owns(peaks))
    return {asset: int(amount) for asset, amount in connection.execute(query)}


def raise_to(
    connection: Connection, account: Account, known: Mapping[str, int], seen: Mapping[str, int], now: float
) -> None:
    """Raises the peaks that were `known` and are lower than what was `seen`; never lowers one."""
    for asset, amount in seen.items():
        if asset not in known:
            row = {**account.columns, "asset": asset, "amount": str(amount), "at": now}
            insert_or_ignore(connection, peaks, [row])
        elif amount > known[asset]:
            connection.execute(
                update(peaks)
                .where(account.owns(peaks), peaks.c.asset == asset, peaks.c.amount == str(known[asset]))
                .values(amount=str(amount), at=now)
            )
