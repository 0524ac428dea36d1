"""Which views of the contracts an intent takes, by its type. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from actp.reads import Read
from coordinator.intents.bases import Intent, OfEscrow
from coordinator.intents.models import (
    AcceptEscrow,
    CloseDispute,
    CreateEscrowBatch,
    DeliverEscrow,
    DisputeEscrow,
    Opening,
    RefundEscrow,
    ReleaseEscrow,
    ReleaseMilestone,
    ResolveDispute,
    SettleByConsent,
    SettleEscrowBatch,
    WithdrawCredit,
    WithdrawFees,
)

__all__ = ["ON_G1", "Views", "changes_with_others", "further_views", "needs_block"]

# What is read of an escrow besides its record and what it released.
_FURTHER: dict[type[Intent], tuple[str, ...]] = {
    AcceptEscrow: ("clausesOf",),
    DeliverEscrow: ("clausesOf",),
    ReleaseEscrow: ("milestonesOf",),
    ReleaseMilestone: ("milestonesOf",),
    DisputeEscrow: ("bondsOf",),
    ResolveDispute: ("clausesOf", "bondsOf"),
    CloseDispute: ("clausesOf", "bondsOf"),
    SettleByConsent: ("bondsOf",),
}
_CHANGE = (OfEscrow, SettleEscrowBatch, WithdrawCredit, WithdrawFees)
_NEED_BLOCK = (Opening, CreateEscrowBatch, *_CHANGE)
ON_G1 = (ReleaseEscrow, RefundEscrow)
"""What is served on kernels of G1, too."""


def further_views(intent: Intent) -> tuple[str, ...]:
    """What is read of an escrow besides its record and what it released."""
    return _FURTHER.get(type(intent), ())


def changes_with_others(intent: Intent) -> bool:
    """Whether what it does depends on what others did before it."""
    return isinstance(intent, _CHANGE)


def needs_block(intent: Intent) -> bool:
    """Whether building it takes the chain's time, or a view."""
    return isinstance(intent, _NEED_BLOCK)


@dataclass(frozen=True, slots=True)
class Views:
    """The views of one kernel, for one wallet."""

    kernel: str
    wallet: str

    def of(self, transaction_id: str, function: str) -> Read:
        """A view of one escrow."""
        return self.view(function, bytes.fromhex(transaction_id[2:]))

    def view(self, function: str, *arguments: Any) -> Read:
        return Read("ACTPKernel", self.kernel, function, arguments)

    @property
    def fee_recipient(self) -> Read:
        return self.view("feeRecipient")

    @property
    def judge(self) -> tuple[Read, Read, Read]:
        """The admin, whether the wallet is a mediator, and since when."""
        return self.view("admin"), self.view("approvedMediators", self.wallet), self.view(
            "mediatorApprovedAt", self.wallet
        )  # fmt: skip

    @property
    def fees_of_g1(self) -> tuple[Read, Read, Read]:
        """To whom kernels of G1 push fees: recipient, archive treasury; and the smallest fee."""
        return self.fee_recipient, self.view("archiveTreasury"), self.view("MIN_FEE")

    def credit(self, payee: str) -> Read:
        return self.view("credits", payee)

    @property
    def accrued_fees(self) -> Read:
        return self.view("accruedFees")

    def needed(self, intent: Intent, ids: tuple[str, ...]) -> list[Read]:
        """All views that an intent about these escrows takes on our kernels."""
        if isinstance(intent, WithdrawCredit):
            return [self.credit(intent.payee)]
        if isinstance(intent, WithdrawFees):
            return [self.fee_recipient, self.accrued_fees]
        if isinstance(intent, SettleEscrowBatch):
            return [self.of(one, view) for one in ids for view in ("getTransaction", "escrowOf")]
        if not isinstance(intent, Opening | OfEscrow):
            return []
        reads = [] if intent.fee_recipient is None else [self.fee_recipient]
        if isinstance(intent, ResolveDispute):
            reads += self.judge
        if isinstance(intent, OfEscrow):
            views = ("getTransaction", "escrowOf", *further_views(intent))
            reads += [self.of(one, view) for one in ids for view in views]
        return reads

    def needed_on_g1(self, intent: Intent, ids: tuple[str, ...]) -> list[Read]:
        """The same on kernels of G1; what is left of an escrow is to be asked of its vault, once its record is read."""
        if not isinstance(intent, ON_G1):
            return []
        return [*self.fees_of_g1, *(self.of(one, "getTransaction") for one in ids)]
