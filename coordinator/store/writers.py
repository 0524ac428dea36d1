"""The row that fences writers of batches: each that takes over has the next epoch, and earlier ones write nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, text

from coordinator.store.accounts import Account
from coordinator.store.asking import Question

__all__ = ["holding", "take_over"]

_T = TypeVar("_T")
_TAKE_OVER = text(
    "INSERT INTO co_writers (chain_id, wallet, epoch) VALUES (:chain_id, :wallet, 1) "
    "ON CONFLICT (chain_id, wallet) DO UPDATE SET epoch = co_writers.epoch + 1 RETURNING epoch"
)
_HOLD = text(
    "SELECT epoch, extract(epoch FROM clock_timestamp())::float8 AS now FROM co_writers "
    "WHERE chain_id = :chain_id AND wallet = :wallet FOR SHARE"
)


def take_over(connection: Connection, account: Account) -> int:
    """The next epoch. Waits for the commit of a batch that is under way."""
    return int(connection.execute(_TAKE_OVER, account.columns).scalar_one())


def holding(account: Account, meaning: Callable[[int, float], _T]) -> Question[_T]:
    """What the epoch, which nobody changes before this commit, and the database's time mean. PostgreSQL only."""
    return Question(_HOLD, account.columns, lambda rows: meaning(rows[0].epoch, rows[0].now))
