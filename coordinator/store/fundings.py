"""What operations say of the reservations that they carry out: read here, and written by their own rooms alone."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, and_, func, or_, select, text

from coordinator.budget.limits import treasury_scope
from coordinator.budget.words import FOR_EVER, ReservationState
from coordinator.store import scopes
from coordinator.store.accounts import Account
from coordinator.store.budget_schema import dispatches, reservations
from coordinator.store.bulk import among
from coordinator.store.schema import escrows, operations
from coordinator.types import ETH, BlockRef, IntentType, Stage

__all__ = ["REVERTED", "Booked", "Funding", "booked", "changed", "ended", "of_operations", "oldest_open", "others"]

REVERTED = "reverted"
"""The code of an operation that was mined and did nothing but cost its fee."""

_S = ReservationState


@dataclass(frozen=True, slots=True)
class Funding:
    """A reservation that was handed on, and how far the operation is that carries it out. `final`: nothing can change
    that any more. `block` is where it was mined.
    """

    reservation_id: int
    agent: str
    state: ReservationState
    operation_id: int
    type: IntentType
    stage: Stage
    code: str | None
    reason: str | None
    final: bool
    block: BlockRef | None

    @property
    def reverted(self) -> bool:
        """Whether it was mined without having done anything."""
        return self.stage is Stage.FAILED and self.code == REVERTED


@dataclass(frozen=True, slots=True)
class Booked:
    """What the ledger has of an escrow: what is held for it, or was spent on it, and what has come back. `block` is
    where it was funded, as far as that is known.
    """

    transaction_id: str
    state: ReservationState
    amount: int
    returned: int
    settled: bool
    block: int | None


def changed(connection: Connection, account: Account, *, after: int, limit: int) -> list[Funding]:
    """Those of which the operation may say more than the reservation does, the oldest first; of higher numbers of
    operations than `after`.
    """
    state, stage, final = reservations.c.state, operations.c.stage, operations.c.final
    ether = treasury_scope(ETH)
    # Whoever reverted has paid, as the balance showed, and in a block that is gone: no part of `placed` is its fee.
    places = [f"%[{row.id},{FOR_EVER},%" for row in scopes.find(connection, account, [ether]).values()]
    unpaid = and_(reservations.c.gas > 0, *(reservations.c.placed.not_like(one) for one in places))
    undone = and_(stage == Stage.FAILED.value, operations.c.code == REVERTED)
    did = and_(
        stage.in_([Stage.CONFIRMED.value, Stage.FAILED.value]),
        operations.c.block_hash.is_not(None),
        operations.c.code.is_distinct_from(REVERTED),
    )
    further = or_(
        and_(
            state == _S.HELD.value,
            stage.in_([Stage.SUBMITTING.value, Stage.CONFIRMED.value, Stage.FAILED.value]),
        ),
        and_(state == _S.SUBMITTING.value, or_(did, final, and_(stage == Stage.SUBMITTING.value, unpaid))),
        and_(state == _S.ON_CHAIN.value, or_(stage == Stage.SUBMITTING.value, undone, final)),
    )
    open_states = [_S.HELD.value, _S.SUBMITTING.value, _S.ON_CHAIN.value]
    query = _fundings().where(account.owns(reservations), state.in_(open_states), further, operations.c.id > after)
    return _read(connection, query.order_by(operations.c.id, reservations.c.id).limit(limit))


def of_operations(connection: Connection, operation_ids: Collection[int]) -> list[Funding]:
    """All that these operations carry out, in the order of their reservations."""
    query = _fundings().where(among(connection, operations.c.id, sorted(set(operation_ids))))
    return _read(connection, query.order_by(operations.c.id, reservations.c.id))


def ended(connection: Connection, account: Account, *, after: int, limit: int) -> list[tuple[int, str, int]]:
    """(reservation, ACTP transaction, number of the block of its funding) of what is spent, not settled, and lies in no
    escrow any more, as far as anybody has looked; of higher numbers than `after`.
    """
    query = (
        select(reservations.c.id, reservations.c.transaction_id, operations.c.block_number)
        .join(operations, operations.c.id == reservations.c.operation_id)
        .join(
            escrows,
            and_(
                escrows.c.chain_id == reservations.c.chain_id,
                escrows.c.wallet == reservations.c.wallet,
                escrows.c.transaction_id == reservations.c.transaction_id,
            ),
        )
        .where(
            account.owns(reservations),
            # As a text, because that is what the index on them says.
            text("co_reservations.state = 'committed' AND NOT co_reservations.settled"),
            reservations.c.id > after,
            escrows.c.open.is_(False),
            operations.c.block_number.is_not(None),
        )
        .order_by(reservations.c.id)
        .limit(limit)
    )
    return [(number, transaction_id, block) for number, transaction_id, block in connection.execute(query)]


def oldest_open(connection: Connection, account: Account) -> int | None:
    """The block in which the oldest of those was funded that may still give something back; None if there is none."""
    query = (
        select(func.min(operations.c.block_number))
        .select_from(reservations)
        .join(operations, operations.c.id == reservations.c.operation_id)
        .where(
            account.owns(reservations),
            reservations.c.state.in_([_S.ON_CHAIN.value, _S.COMMITTED.value]),
            reservations.c.settled.is_(False),
        )
    )
    return connection.execute(query).scalar()


def booked(connection: Connection, account: Account) -> list[Booked]:
    """Everything that may have been funded: spent, or not ended yet."""
    states = (_S.PENDING_APPROVAL, _S.HELD, _S.SUBMITTING, _S.ON_CHAIN, _S.COMMITTED)
    query = (
        select(
            reservations.c.transaction_id,
            reservations.c.state,
            reservations.c.amount,
            reservations.c.actual,
            reservations.c.returned,
            reservations.c.settled,
            operations.c.block_number,
        )
        .outerjoin(operations, operations.c.id == reservations.c.operation_id)
        .where(account.owns(reservations), reservations.c.state.in_([one.value for one in states]))
    )
    return [
        Booked(transaction_id, ReservationState(state), amount if actual is None else actual, returned, settled, block)
        for transaction_id, state, amount, actual, returned, settled, block in connection.execute(query)
    ]


def others(connection: Connection, account: Account, transaction_ids: Collection[str]) -> set[str]:
    """Which of these the lifecycle has funded at the request of somebody else: for no grant, whatever became of it."""
    asked = select(reservations.c.transaction_id).where(
        account.owns(reservations), reservations.c.transaction_id == escrows.c.transaction_id
    )
    query = select(escrows.c.transaction_id).where(
        account.owns(escrows),
        among(connection, escrows.c.transaction_id, sorted(set(transaction_ids))),
        ~asked.exists(),
    )
    return set(connection.execute(query).scalars())


def _fundings() -> Select[Any]:
    # By the grant's own row: a reservation whose grant waits again still names the operation that failed.
    return (
        select(
            reservations.c.id,
            reservations.c.agent,
            reservations.c.state,
            operations.c.id,
            operations.c.type,
            operations.c.stage,
            operations.c.code,
            operations.c.reason,
            operations.c.final,
            operations.c.block_number,
            operations.c.block_hash,
        )
        .join(dispatches, dispatches.c.reservation_id == reservations.c.id)
        .join(operations, operations.c.id == dispatches.c.operation_id)
    )


def _read(connection: Connection, query: Select[Any]) -> list[Funding]:
    return [
        Funding(
            number,
            agent,
            ReservationState(state),
            operation_id,
            IntentType(kind),
            Stage(stage),
            code,
            reason,
            final,
            None if block_hash is None else BlockRef(block_number, block_hash),
        )
        for number, agent, state, operation_id, kind, stage, code, reason, final, block_number, block_hash
        in connection.execute(query)
    ]  # fmt: skip
