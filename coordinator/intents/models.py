"""The intents: what may be asked for, each with its fields. Frozen and strict, and no field is ever ignored."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from actp.errors import InvalidInput
from actp.orders import MAX_MILESTONES, USUAL_TIMEOUT_BPS
from actp.payments import MAX_BATCH
from coordinator.intents.bases import Intent, OfEscrow, Spending, Strict
from coordinator.intents.fields import (
    Account,
    Allowance,
    Bps,
    Index,
    LongText,
    NumericId,
    Seconds,
    Share,
    Signature,
    Time,
    TokenAmount,
    TransactionId,
    Wei,
)
from coordinator.types import IntentType

__all__ = [
    "MODELS",
    "AcceptEscrow",
    "ApproveErc20",
    "CloseDispute",
    "CreateEscrow",
    "CreateEscrowBatch",
    "CreateMilestoneEscrow",
    "DeliverEscrow",
    "DisputeEscrow",
    "Intent",
    "MilestoneTerms",
    "OfEscrow",
    "Opening",
    "OrderTerms",
    "QueryBalance",
    "QueryPositions",
    "RefundEscrow",
    "ReleaseEscrow",
    "ReleaseMilestone",
    "ResolveDispute",
    "SettleByConsent",
    "SettleEscrowBatch",
    "Spending",
    "TransferErc20",
    "TransferEth",
    "WithdrawCredit",
    "WithdrawFees",
]

# -------------------------------------------------------------------- plain payments


class TransferEth(Spending):
    """The chain's coin to an account, in wei."""

    type = IntentType.TRANSFER_ETH

    to: Account
    amount: Wei


class TransferErc20(Spending):
    """Tokens to an account; USDC unless another token is named."""

    type = IntentType.TRANSFER_ERC20

    to: Account
    amount: TokenAmount
    token: Account | None = None


class ApproveErc20(Spending):
    """The vault's standing allowance, instead of what it was before. `spender` and `token` may be named, and are then
    compared with those of the deployment: nobody else is ever allowed to take anything.
    """

    type = IntentType.APPROVE_ERC20

    amount: Allowance
    spender: Account | None = None
    token: Account | None = None


# -------------------------------------------------------------------- opening an escrow


class Opening(Spending):
    """A new escrow, created and funded at once. `creator` and `fee_recipient` may be named, and are then compared with
    the wallet and with the kernel's. `terms` is free text; its hash goes on the chain.
    """

    escrow_numeric_id: NumericId
    provider: Account
    amount: TokenAmount
    deadline: Time
    creator: Account | None = None
    arbiter: Account | None = None
    timeout_requester_bps: Bps = USUAL_TIMEOUT_BPS
    fee_recipient: Account | None = None
    dispute_window: Seconds | None = None
    terms: LongText = ""


class CreateEscrow(Opening):
    """An escrow that is paid as a whole, or by milestones of the requester's choice."""

    type = IntentType.CREATE_ESCROW


class MilestoneTerms(Strict):
    """One part of a schedule: it is refundable after its deadline (that of the escrow, if left out) unless it was paid.
    `condition` is free text; its hash goes on the chain.
    """

    amount: TokenAmount
    deadline: Time | None = None
    condition: LongText = ""


class CreateMilestoneEscrow(Opening):
    """An escrow with a schedule that sums to its amount."""

    type = IntentType.CREATE_MILESTONE_ESCROW

    milestones: tuple[MilestoneTerms, ...] = Field(strict=False, min_length=1, max_length=MAX_MILESTONES)

    @model_validator(mode="after")
    def _sums(self) -> Self:
        total = sum(part.amount for part in self.milestones)
        if total != self.amount:
            raise InvalidInput(f"The milestones sum to {total}, and the amount is {self.amount}.")
        return self


class OrderTerms(Strict):
    """One escrow of a batch: the fields of `CreateEscrow`, without clauses."""

    escrow_numeric_id: NumericId
    provider: Account
    amount: TokenAmount
    deadline: Time
    dispute_window: Seconds | None = None
    terms: LongText = ""


class CreateEscrowBatch(Spending):
    """Several escrows, created and funded by one eth transaction: all of them, or none."""

    type = IntentType.CREATE_ESCROW_BATCH

    orders: tuple[OrderTerms, ...] = Field(strict=False, min_length=1, max_length=MAX_BATCH)

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        numbers = [order.escrow_numeric_id for order in self.orders]
        if len(set(numbers)) < len(numbers):
            raise InvalidInput("Two orders have the same escrow_numeric_id.")
        if self.total >= 2**63:
            raise InvalidInput("The orders are worth more than there can be of a token.")
        return self

    @property
    def total(self) -> int:
        """What all of them cost, in base units."""
        return sum(order.amount for order in self.orders)


# -------------------------------------------------------------------- an escrow that exists


class AcceptEscrow(OfEscrow):
    """The provider starts the work."""

    type = IntentType.ACCEPT_ESCROW


class DeliverEscrow(OfEscrow):
    """The provider delivers; `dispute_window` gives the requester more time than was agreed."""

    type = IntentType.DELIVER_ESCROW

    dispute_window: Seconds | None = None


class ReleaseEscrow(OfEscrow):
    """All that is left goes to the provider."""

    type = IntentType.RELEASE_ESCROW


class RefundEscrow(OfEscrow):
    """All that is left goes back to the requester, without a delivery."""

    type = IntentType.REFUND_ESCROW


class DisputeEscrow(OfEscrow):
    """A party disputes the delivery. `evidence` is text, or bytes in 0x hex; it goes into the call as it is."""

    type = IntentType.DISPUTE_ESCROW

    evidence: LongText = ""


class ResolveDispute(OfEscrow):
    """The arbiter ends a dispute. For a split, `requester_amount` and `provider_amount` sum to what is left, and
    `provider_at_fault` decides on the bond of whoever opened the dispute.
    """

    type = IntentType.RESOLVE_DISPUTE

    decision: Literal["release", "refund", "split"]
    requester_amount: Share | None = None
    provider_amount: Share | None = None
    provider_at_fault: bool | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        parts = (self.requester_amount, self.provider_amount, self.provider_at_fault)
        if self.decision == "split" and None in parts:
            raise InvalidInput("A split needs requester_amount, provider_amount and provider_at_fault.")
        if self.decision != "split" and parts != (None, None, None):
            raise InvalidInput("Amounts and fault belong to the decision split.")
        return self


class SettleByConsent(OfEscrow):
    """Ends it by a split of what is left, which both parties have signed up to `valid_until`; the platform fee is taken
    from the provider's part. A party that sends it needs no signature of its own.
    """

    type = IntentType.SETTLE_BY_CONSENT

    requester_amount: Share
    provider_amount: Share
    valid_until: Time
    requester_signature: Signature | None = None
    provider_signature: Signature | None = None


class ReleaseMilestone(OfEscrow):
    """A part of an agreed schedule by its `index`, or, without a schedule, an `amount`, goes to the provider."""

    type = IntentType.RELEASE_MILESTONE

    index: Index | None = None
    amount: TokenAmount | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.index is None) == (self.amount is None):
            raise InvalidInput("Give either the index of a milestone, or an amount.")
        return self


class CloseDispute(OfEscrow):
    """Anyone ends a dispute on which nobody ruled in time, by the split that was agreed at creation."""

    type = IntentType.CLOSE_DISPUTE


# -------------------------------------------------------------------- what is due of many, and what is owed


class SettleEscrowBatch(Spending):
    """Several escrows, of which those that can be settled are, and the others stay as they are."""

    type = IntentType.SETTLE_ESCROW_BATCH

    transaction_ids: tuple[TransactionId, ...] = Field(strict=False, min_length=1, max_length=MAX_BATCH)

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len(set(self.transaction_ids)) < len(self.transaction_ids):
            raise InvalidInput("A transaction_id is named twice.")
        return self


class WithdrawCredit(Spending):
    """Anyone has the credit of the `payee` paid to it."""

    type = IntentType.WITHDRAW_CREDIT

    payee: Account


class WithdrawFees(Spending):
    """The fee recipient takes the fees that have accrued."""

    type = IntentType.WITHDRAW_FEES


# -------------------------------------------------------------------- questions


class QueryBalance(Intent):
    """What an account holds: the wallet, unless another one is named. `tokens` are read besides USDC."""

    type = IntentType.QUERY_BALANCE

    account: Account | None = None
    tokens: tuple[Account, ...] = Field(default=(), strict=False, max_length=16)


class QueryPositions(Intent):
    """The wallet's escrows, newest first; only those that still hold something, unless all are asked for."""

    type = IntentType.QUERY_POSITIONS

    include_ended: bool = False
    limit: int = Field(default=100, ge=1, le=1_000)


MODELS: dict[IntentType, type[Intent]] = {
    model.type: model
    for model in (
        TransferEth,
        TransferErc20,
        ApproveErc20,
        CreateEscrow,
        CreateEscrowBatch,
        CreateMilestoneEscrow,
        AcceptEscrow,
        DeliverEscrow,
        ReleaseEscrow,
        RefundEscrow,
        DisputeEscrow,
        ResolveDispute,
        SettleByConsent,
        ReleaseMilestone,
        SettleEscrowBatch,
        CloseDispute,
        WithdrawCredit,
        WithdrawFees,
        QueryBalance,
        QueryPositions,
    )
}
