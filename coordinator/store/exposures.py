"""What of the operations the policy counts: what is on its way, and how often something was allowed."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select

from coordinator.store.accounts import Account
from coordinator.store.schema import operations
from coordinator.types import Stage

__all__ = ["Open", "decided_since", "under_way"]


@dataclass(frozen=True, slots=True)
class Open:
    """What an operation that is under way takes out of the wallet, and out of the vault's allowance."""

    operation_id: int
    asset: str
    amount: int
    contract: str
    counterparty: str | None
    locks: bool
    draws: int
    transaction_id: str | None


def under_way(connection: Connection, account: Account) -> list[Open]:
    """What was allowed and is neither confirmed nor failed."""
    query = select(
        operations.c.id,
        operations.c.asset,
        operations.c.amount,
        operations.c.contract,
        operations.c.counterparty,
        operations.c.locks,
        operations.c.draws,
        operations.c.transaction_id,
    ).where(
        account.owns(operations),
        operations.c.stage.in_([Stage.SIGNING.value, Stage.SUBMITTING.value]),
        operations.c.final.is_(False),
        operations.c.asset.is_not(None),
    )
    return [
        Open(number, asset, int(amount), contract, counterparty, bool(locks), int(draws), transaction_id)
        for number, asset, amount, contract, counterparty, locks, draws, transaction_id in connection.execute(query)
    ]


def decided_since(connection: Connection, account: Account, since: float) -> list[tuple[str, float]]:
    """(agent, when) of what was allowed after a time."""
    query = select(operations.c.agent, operations.c.decided_at).where(
        account.owns(operations), operations.c.decided_at > since
    )
    return [(agent, at) for agent, at in connection.execute(query)]
