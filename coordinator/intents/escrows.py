"""One escrow as it was read, and as it is after what others have done to it since. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from actp.decoding import Event
from actp.kernel_views import Bond, Bonds
from actp.orders import AgreedClauses, MilestoneStatus, MilestoneView
from actp.types import State, Transaction

__all__ = ["EscrowState"]

_RELEASING = ("EscrowMilestoneReleased", "MilestoneRefunded")


@dataclass(frozen=True, slots=True)
class EscrowState:
    """One escrow in the block that was read. Clauses, schedule and bonds are there where the intent needs them."""

    record: Transaction
    released: int
    clauses: AgreedClauses | None = None
    milestones: tuple[MilestoneView, ...] | None = None
    bonds: Bonds | None = None

    @property
    def id(self) -> str:
        return self.record.transaction_id

    @property
    def remaining(self) -> int:
        """Base units that it still holds."""
        return self.record.amount - self.released

    @property
    def locked(self) -> tuple[int, ...]:
        """Indexes of the parts of its schedule that are neither paid nor refunded."""
        parts = self.milestones or ()
        return tuple(index for index, part in enumerate(parts) if part.status is MilestoneStatus.LOCKED)

    def after(self, events: Iterable[Event]) -> EscrowState:
        """It, after these events of the kernel, in the order of the chain; those of other escrows change nothing.

        Brought up is what effects depend on: the state, what was released, who opened a dispute, and bonds.
        """
        escrow = self
        for event in events:
            if event.transaction_id == self.id:
                escrow = escrow._after(event)
        return escrow

    def _after(self, event: Event) -> EscrowState:
        args, record, bonds = event.args, self.record, self.bonds
        if event.name == "StateTransitioned":
            return replace(self, record=replace(record, state=args["newState"]))
        if event.name in _RELEASING:
            return replace(self, released=self.released + args["amount"])
        if event.name == "DisputeOpened":
            return replace(self, record=replace(record, dispute_initiator=args["initiator"]))
        if bonds is not None and event.name == "BondOwed":
            return replace(self, bonds=replace(bonds, owed=args["amount"]))
        if bonds is not None and event.name == "BondPosted":
            return replace(self, bonds=_with(bonds, record, args["party"], Bond(args["poster"], args["amount"])))
        return self


def _with(bonds: Bonds, record: Transaction, party: str, bond: Bond) -> Bonds:
    # While there is a dispute, nobody but its initiator has a bond to post: the one that it owes.
    owed = 0 if record.state is State.DISPUTED else bonds.owed
    if party == record.provider:
        return replace(bonds, provider=bond, owed=owed)
    return replace(bonds, requester=bond, owed=owed)
