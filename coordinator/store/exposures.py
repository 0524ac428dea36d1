"""What of the operations the policy counts: what is on its way, and how often something was allowed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, case, func, select

from coordinator.store.accounts import Account
from coordinator.store.schema import escrows, operations
from coordinator.types import IntentType, Stage

__all__ = ["Open", "at_stake", "decided_since", "under_way", "under_way_in_outbox"]


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


_IN_OUTBOX = (Stage.SIMULATING, Stage.APPROVAL_GATE, Stage.SIGNING, Stage.SUBMITTING)


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


def at_stake(connection: Connection, account: Account) -> list[tuple[str, int]]:
    """(asset, amount) of each bond that was posted, in a dispute that is not known to have ended."""
    query = select(operations.c.asset, operations.c.amount).where(
        account.owns(operations),
        operations.c.type == IntentType.DISPUTE_ESCROW.value,
        operations.c.stage == Stage.CONFIRMED.value,
        operations.c.locks.is_(True),
        operations.c.transaction_id.in_(
            select(escrows.c.transaction_id).where(account.owns(escrows), escrows.c.open.is_(True))
        ),
    )
    return [(asset, int(amount)) for asset, amount in connection.execute(query)]


def under_way_in_outbox(connection: Connection, account: Account) -> dict[int, float | None]:
    """What has not ended and is, or was, in the engine's hands: by the engine's number when it was decided, None while
    it is judged again.
    """
    query = select(operations.c.outbox_id, operations.c.decided_at).where(
        account.owns(operations),
        operations.c.stage.in_([one.value for one in _IN_OUTBOX]),
        operations.c.final.is_(False),
        operations.c.outbox_id.is_not(None),
    )
    return {row.outbox_id: row.decided_at for row in connection.execute(query)}


def decided_since(connection: Connection, account: Account, times: Sequence[float]) -> dict[str, list[int]]:
    """How much was allowed each agent after each of these times, by agent."""
    counts = [func.sum(case((operations.c.decided_at > at, 1), else_=0)) for at in times]
    query = (
        select(operations.c.agent, *counts)
        .where(account.owns(operations), operations.c.decided_at > min(times))
        .group_by(operations.c.agent)
    )
    return {agent: [int(count) for count in found] for agent, *found in connection.execute(query)}
