"""The row of a treasury: which rules hold, what a funding costs, and up to which block its balance was seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select, update

from actp.engine.store.conflicts import insert_or_ignore
from actp.errors import ConfigError
from coordinator.store.accounts import Account, owned
from coordinator.store.asking import Question
from coordinator.store.budget_schema import treasuries
from coordinator.types import BlockRef

__all__ = ["TreasuryRow", "accounts", "note_block", "read", "reading", "require", "set_rulebook"]

_READING = select(
    treasuries.c.token,
    treasuries.c.rulebook,
    treasuries.c.gas_estimate,
    treasuries.c.block_number,
    treasuries.c.block_hash,
    treasuries.c.observed_at,
).where(owned(treasuries))
_LOCKING = _READING.with_for_update()


@dataclass(frozen=True, slots=True)
class TreasuryRow:
    """What is known of a treasury. `gas_estimate` is in wei, `rulebook` a version, 0 for none."""

    token: str
    rulebook: int
    gas_estimate: int
    block: BlockRef | None
    observed_at: float | None


def require(connection: Connection, account: Account, token: str) -> TreasuryRow:
    """The row of a treasury, made if there is none: for that token then. Raises ConfigError for another token than that
    of the row: its balance would be taken for that of the first.
    """
    found = read(connection, account)
    if found is None:
        row = {**account.columns, "token": token, "rulebook": 0, "gas_estimate": 0}
        insert_or_ignore(connection, treasuries, [row])
        found = read(connection, account)
        assert found is not None
    if found.token != token:
        raise ConfigError(
            f"The budget of {account.wallet} is in the token {found.token}, and not in {token}.",
            hint="Give each deployment a store of its own.",
        )
    return found


def read(connection: Connection, account: Account, *, lock: bool = False) -> TreasuryRow | None:
    """The row of a treasury, None if there is none; locked until the commit if asked for."""
    return _row(connection.execute(_LOCKING if lock else _READING, account.columns).all())


def reading(account: Account) -> Question[TreasuryRow | None]:
    """As `read`, to be asked together with others."""
    return Question(_READING, account.columns, _row)


def _row(rows: Sequence[Any]) -> TreasuryRow | None:
    if not rows:
        return None
    (row,) = rows
    block = None if row.block_hash is None else BlockRef(row.block_number, row.block_hash)
    return TreasuryRow(row.token, row.rulebook, row.gas_estimate, block, row.observed_at)


def accounts(connection: Connection) -> list[Account]:
    """Every treasury of the store."""
    query = select(treasuries.c.chain_id, treasuries.c.wallet).order_by(treasuries.c.chain_id, treasuries.c.wallet)
    return [Account(chain_id, wallet) for chain_id, wallet in connection.execute(query)]


def set_rulebook(connection: Connection, account: Account, version: int) -> None:
    """From this commit on these rules hold."""
    connection.execute(update(treasuries).where(account.owns(treasuries)).values(rulebook=version))


def note_block(connection: Connection, account: Account, block: BlockRef, gas_estimate: int, now: float) -> None:
    """The balance was seen at this block."""
    values = {"block_number": block.number, "block_hash": block.hash, "gas_estimate": gas_estimate, "observed_at": now}
    connection.execute(update(treasuries).where(account.owns(treasuries)).values(**values))
