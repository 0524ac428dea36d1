"""Whose rows they are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, bindparam

__all__ = ["Account", "owned"]


@dataclass(frozen=True, slots=True)
class Account:
    """A wallet on a chain."""

    chain_id: int
    wallet: str

    def owns(self, table: Table) -> ColumnElement[bool]:
        """The condition that rows of this table belong to it."""
        return _owns(self.chain_id, self.wallet, table)

    @property
    def columns(self) -> dict[str, Any]:
        """What its rows say about it."""
        return {"chain_id": self.chain_id, "wallet": self.wallet}


@lru_cache(maxsize=64)
def owned(table: Table) -> ColumnElement[bool]:
    """As `Account.owns`, for a statement that is made once: the account's `columns` are parameters of its execution."""
    return and_(table.c.chain_id == bindparam("chain_id"), table.c.wallet == bindparam("wallet"))


# Every statement has this condition, and making it takes longer than most of them run.
@lru_cache(maxsize=512)
def _owns(chain_id: int, wallet: str, table: Table) -> ColumnElement[bool]:
    return and_(table.c.chain_id == chain_id, table.c.wallet == wallet)
