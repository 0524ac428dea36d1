"""What a row has to say, if the chain's state is this; and in what the two differ. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from actp.kernel_views import Bonds
from actp.orders import AgreedClauses, MilestoneStatus, MilestoneView
from actp.types import State, Transaction
from actp.units import ZERO_ADDRESS
from coordinator.index.dues import put_due
from coordinator.store.index_escrows import Escrow
from coordinator.store.index_kernels import IndexedKernel
from coordinator.store.index_words import Ending, Operation

__all__ = ["Seen", "adopt", "differences", "from_state"]

_BEGUN = frozenset({State.DELIVERED, State.DISPUTED})


@dataclass(frozen=True, slots=True)
class Seen:
    """An escrow as the chain's state shows it. What a kernel of G1 or its vault does not show is None."""

    record: Transaction
    remaining: int | None
    bonds: Bonds | None
    clauses: AgreedClauses | None
    milestones: tuple[MilestoneView, ...] | None
    cancellation_at: int | None


def from_state(seen: Seen, kernel: IndexedKernel, block: int) -> Escrow:
    """The row of an escrow of which nothing but the state of a block is known."""
    record = seen.record
    row = Escrow(
        kernel_id=kernel.id,
        transaction_id=record.transaction_id,
        escrow_id=None,
        requester=record.requester,
        provider=record.provider,
        state=record.state,
        open=not record.state.final,
        amount=record.amount,
        deadline=record.deadline,
        created_at=record.created_at,
        created_block=block,
        operation=Operation.UNKNOWN,
        last_block=block,
        last_at=record.updated_at,
    )
    adopt(row, seen, kernel, block)
    row.repaired = True
    return row


def adopt(row: Escrow, seen: Seen, kernel: IndexedKernel, block: int) -> None:
    """Makes a row what the state of a block shows. Events up to that block count no more."""
    record = seen.record
    for name, value in _expected(seen, kernel).items():
        setattr(row, name, value)
    if record.escrow_id not in (record.transaction_id, "0x" + "00" * 32):
        row.escrow_id = record.escrow_id
    # A kernel that was funded says for good in which vault.
    row.funded = record.amount if record.escrow_contract != ZERO_ADDRESS else 0
    if record.state is State.DELIVERED:
        row.delivered_at = record.updated_at
    if record.state is State.DISPUTED:
        row.disputed_at = record.updated_at
        timeout = kernel.timeout_seconds
        row.dispute_ends_at = None if timeout is None else record.updated_at + timeout
    if record.state.final and row.ended_at is None:
        row.ended_at = record.updated_at
        row.ending = Ending.RELEASED if record.state is State.SETTLED else Ending.REFUNDED
    row.known_block, row.look = block, False
    put_due(row, kernel)


def differences(row: Escrow, seen: Seen, kernel: IndexedKernel) -> dict[str, tuple[Any, Any]]:
    """By column, what the row says and what the state shows, where they differ."""
    found = {}
    for name, value in _expected(seen, kernel).items():
        said = getattr(row, name)
        if said != value:
            found[name] = (_plain(said), _plain(value))
    return found


def _expected(seen: Seen, kernel: IndexedKernel) -> dict[str, Any]:
    record = seen.record
    values: dict[str, Any] = {
        "requester": record.requester,
        "provider": record.provider,
        "state": record.state,
        "amount": record.amount,
        "deadline": record.deadline,
        "created_at": record.created_at,
    }
    if seen.remaining is not None:
        values["remaining"] = seen.remaining
    if record.state in _BEGUN:
        values["window_ends_at"] = record.window_ends
    initiator = None if record.dispute_initiator == ZERO_ADDRESS else record.dispute_initiator
    values["dispute_initiator"] = initiator
    if seen.bonds is not None:
        for side, bond in (("requester", seen.bonds.requester), ("provider", seen.bonds.provider)):
            values[f"bond_{side}"] = bond.amount
            if bond.amount:
                values[f"bond_{side}_poster"] = bond.poster
        values["bond_owed"] = 0 if record.state.final else seen.bonds.owed
    elif record.state is State.DISPUTED and initiator is not None:
        side = "provider" if initiator == record.provider else "requester"
        values[f"bond_{side}"], values[f"bond_{side}_poster"] = record.dispute_bond, initiator
    if seen.clauses is not None:
        values["arbiter"] = seen.clauses.arbiter
        values["timeout_requester_bps"] = seen.clauses.timeout_requester_bps
    if seen.milestones:
        values["parts"] = len(seen.milestones)
        for name, status in (("parts_paid", MilestoneStatus.PAID), ("parts_refunded", MilestoneStatus.REFUNDED)):
            amounts = [one.amount for one in seen.milestones if one.status is status]
            values[name], values[f"{name}_amount"] = len(amounts), sum(amounts)
    if seen.cancellation_at is not None:
        values["cancellation_at"] = seen.cancellation_at or None
    return values


def _plain(value: Any) -> Any:
    return value.name if isinstance(value, State) else value
