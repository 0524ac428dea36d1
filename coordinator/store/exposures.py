"""What of the operations the policy counts: what is on its way, and how often something was allowed."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select

from coordinator.store.accounts import Account
from coordinator.store.schema import operations
from coordinator.types import IntentType, Stage

__all__ = ["Open", "decided_since", "under_way", "under_way_in_outbox"]


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
    most_fee: int | None = None
    bond: bool = False


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
        operations.c.most_fee,
        operations.c.type,
    ).where(
        account.owns(operations),
        operations.c.stage.in_([Stage.SIGNING.value, Stage.SUBMITTING.value]),
        operations.c.final.is_(False),
        operations.c.asset.is_not(None),
    )
    return [
        Open(
            number, asset, int(amount), contract, counterparty, bool(locks), int(draws), transaction_id,
            None if most_fee is None else int(most_fee), kind == IntentType.DISPUTE_ESCROW.value,
        )
        for number, asset, amount, contract, counterparty, locks, draws, transaction_id, most_fee, kind
        in connection.execute(query)
    ]  # fmt: skip


def under_way_in_outbox(connection: Connection, account: Account) -> list[int]:
    """The engine's numbers of what is under way."""
    query = select(operations.c.outbox_id).where(
        account.owns(operations),
        operations.c.stage.in_([Stage.SIGNING.value, Stage.SUBMITTING.value]),
        operations.c.final.is_(False),
        operations.c.outbox_id.is_not(None),
    )
    return list(connection.execute(query).scalars())


def decided_since(connection: Connection, account: Account, since: float) -> list[tuple[str, float]]:
    """(agent, when) of what was allowed after a time."""
    query = select(operations.c.agent, operations.c.decided_at).where(
        account.owns(operations), operations.c.decided_at > since
    )
    return [(agent, at) for agent, at in connection.execute(query)]
