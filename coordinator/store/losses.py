"""Rows of losses: gas by eth transaction, bonds and penalties by ACTP transaction, each once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from actp.engine.store.conflicts import insert_or_ignore
from coordinator.store.accounts import Account
from coordinator.store.schema import losses

__all__ = ["BOND", "GAS", "PENALTY", "Loss", "add", "gas_of", "since", "take_back"]

GAS, BOND, PENALTY = "gas", "bond", "penalty"
"""Kinds of losses."""

_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Loss:
    """So much of an asset is gone. `reference` is what it was lost with: the hash of an eth transaction for gas, an
    ACTP transaction's id for a bond or a penalty.
    """

    kind: str
    reference: str
    operation_id: int | None
    asset: str
    amount: int


def add(connection: Connection, account: Account, made: Sequence[Loss], now: float) -> None:
    """Writes losses down, except those that are written already."""
    if made:
        insert_or_ignore(
            connection,
            losses,
            [
                {
                    **account.columns,
                    "kind": one.kind,
                    "reference": one.reference,
                    "operation_id": one.operation_id,
                    "asset": one.asset,
                    "amount": str(one.amount),
                    "at": now,
                }
                for one in made
            ],
        )


def take_back(connection: Connection, account: Account, operation_ids: Sequence[int]) -> None:
    """The blocks in which these operations lost something are gone."""
    for start in range(0, len(operation_ids), _CHUNK):
        part = operation_ids[start : start + _CHUNK]
        connection.execute(delete(losses).where(account.owns(losses), losses.c.operation_id.in_(part)))


def gas_of(connection: Connection, account: Account, operation_ids: Sequence[int]) -> dict[int, int]:
    """What being mined has cost these operations, in wei; without those of which it is not known."""
    found: dict[int, int] = {}
    for start in range(0, len(operation_ids), _CHUNK):
        part = operation_ids[start : start + _CHUNK]
        query = select(losses.c.operation_id, losses.c.amount).where(
            account.owns(losses), losses.c.kind == GAS, losses.c.operation_id.in_(part)
        )
        for number, amount in connection.execute(query):
            found[number] = found.get(number, 0) + int(amount)
    return found


def since(connection: Connection, account: Account, at: float) -> dict[str, int]:
    """What was lost from a time on, by asset."""
    total: dict[str, int] = {}
    query = select(losses.c.asset, losses.c.amount).where(account.owns(losses), losses.c.at >= at)
    for asset, lost in connection.execute(query):
        total[asset] = total.get(asset, 0) + int(lost)
    return total
