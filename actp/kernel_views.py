"""Reading a kernel: its transactions, its bounds, and which generation it is of."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

from actp.binding import Binding, Session, hex32
from actp.errors import Reverted, UnacceptedClauses, UnknownTransaction, UnsupportedByKernel
from actp.orders import Acceptance, AgreedClauses, MilestoneStatus, MilestoneView
from actp.terms import Limits
from actp.types import State, Transaction
from actp.units import ZERO_ADDRESS, require_address, require_bytes32

__all__ = [
    "Bond",
    "Bonds",
    "Constants",
    "Generation",
    "KernelViews",
    "bonds_of",
    "clauses_of",
    "fee_of",
    "generation_of",
    "milestones_of",
    "transaction_of",
]


class Generation(Enum):
    """Which contracts a kernel belongs to. Both speak the ABI of G1; ours has more."""

    G1 = "G1"
    OURS = "actp-escrow"


# What to do on a kernel of G1 instead.
_NOT_IN_G1 = {
    "announce_cancellation": "Ask the provider to cancel, or cancel after the deadline.",
    "cancel_early": "Ask the provider to cancel, or cancel after the deadline.",
    "close_timed_out_dispute": "There only the kernel's admin, pauser or mediators can end a dispute.",
    "post_bond": "There each disputer posts its own bond: call dispute with that party's key.",
    "withdraw_credit": "There a payment that the token refuses reverts; settle again when the token lets it pass.",
    "withdraw_fees": "There fees are pushed to their recipient with every payout.",
    "credits": "There nothing is ever owed as a credit.",
    "accrued_fees": "There fees are pushed to their recipient with every payout.",
    "bonds_of": "get_transaction(...).dispute_bond is the bond of an open dispute.",
    "cancellation_effective_at": "There a cancellation needs no notice.",
}


# What to do on a kernel without salts instead: one of G1, or of the version actp-escrow/1.
_NOT_BEFORE_2 = {
    "pay with clauses or milestones": "There a payment has none: leave out arbiter, timeout_requester_bps, milestones.",
    'pay with funding="permit"': 'Use funding="allowance".',
    "open_payment": "Use kernel.create_transaction.",
    "pay_many": "Call pay for each payment.",
    "deliver_many": "Call kernel.deliver for each transaction.",
    "settle_many": "Call kernel.settle for each transaction.",
    "authorize_payment": "There only the requester can fund a payment: call pay.",
    "submit_authorization": "There only the requester can fund a payment: it has to call pay.",
    "sign_split": "Settle, or let a dispute be resolved.",
    "settle_by_consent": "Settle, or let a dispute be resolved.",
    "pay_milestone": "Use kernel.release_milestone with an amount.",
    "refund_milestone": "There the rest of an escrow is refunded by cancel, after the deadline.",
    "milestones": "There no schedule can be agreed.",
    "clauses": "There the kernel's admin and mediators rule on every dispute.",
    "constants": "There fees are pushed to their recipient with every payout.",
}
_WHOLE_BPS = 10_000
_VERSION = re.compile(r"actp-escrow/([0-9]{1,9})\Z")


@dataclass(frozen=True, slots=True)
class Bond:
    """A bond that is held for one party: who posted it, and how much (0 for none)."""

    poster: str
    amount: int


@dataclass(frozen=True, slots=True)
class Bonds:
    """The bonds of one transaction; `owed` is what the initiator of a dispute has yet to post."""

    requester: Bond
    provider: Bond
    owed: int


@dataclass(frozen=True, slots=True)
class Constants:
    """What is fixed for good when a kernel is deployed, or in its code: base units and seconds."""

    min_fee: int
    min_dispute_bond: int
    refund_grace_seconds: int
    mediator_delay_seconds: int
    dispute_timeout_seconds: int

    def fee(self, payout: int, fee_bps: int) -> int:
        """The platform's part of one payout to a provider, at the rate that its transaction has locked."""
        return fee_of(payout, fee_bps, self.min_fee)

    def bond(self, amount: int, bond_bps: int) -> int:
        """What a dispute about a transaction of this amount takes, at the rate that it has locked."""
        return max(amount * bond_bps // _WHOLE_BPS, self.min_dispute_bond)


def fee_of(payout: int, fee_bps: int, smallest: int) -> int:
    """The platform's part of one payout: the rate, at least the smallest fee, at most the payout."""
    return min(max(payout * fee_bps // _WHOLE_BPS, smallest), payout)


def transaction_of(fields: Sequence[Any]) -> Transaction:
    """What the kernel's `getTransaction` answered. Raises UnsupportedByKernel for a state that only a newer one has."""
    values: list[Any] = [hex32(value) if isinstance(value, bytes) else value for value in fields]
    try:
        values[3] = State(values[3])
    except ValueError as error:
        raise UnsupportedByKernel(
            f"The kernel says that the transaction {values[0]} is in state {values[3]}, which nobody knows here.",
            hint="The kernel is newer than this program: upgrade it.",
        ) from error
    return Transaction(*values)


def clauses_of(fields: Sequence[Any]) -> AgreedClauses:
    """What the kernel's `clausesOf` answered."""
    arbiter, share = fields
    return AgreedClauses(None if arbiter == ZERO_ADDRESS else arbiter, share)


def bonds_of(fields: Sequence[Any]) -> Bonds:
    """What the kernel's `bondsOf` answered."""
    requester, provider, owed = fields
    return Bonds(Bond(*requester), Bond(*provider), owed)


def milestones_of(parts: Sequence[Any]) -> tuple[MilestoneView, ...]:
    """What the kernel's `milestonesOf` answered."""
    return tuple(
        MilestoneView(amount, deadline, hex32(condition), MilestoneStatus(status))
        for amount, deadline, condition, status in parts
    )


def generation_of(session: Session, kernel: str) -> tuple[Generation, str]:
    """The generation of the kernel at an address, and the version that it names ("G1" if it names none)."""
    try:
        return Generation.OURS, str(Binding(session, "ACTPKernel", kernel).read("kernelVersion"))
    except Reverted:
        return Generation.G1, "G1"


class KernelViews:
    """What one kernel shows to an account. `Kernel` adds the verbs."""

    def __init__(
        self,
        session: Session,
        address: str,
        *,
        generation: Generation,
        version: str,
        acceptance: Acceptance | None = None,
    ) -> None:
        self.address = address
        self.generation = generation
        self.version = version
        self._acceptance = acceptance or Acceptance()
        self._session = session
        self._binding = Binding(session, "ACTPKernel", address)

    def __repr__(self) -> str:
        return f"Kernel({self.address}, {self.version})"

    def get_transaction(self, transaction_id: str) -> Transaction:
        """Everything about one transaction. Raises UnknownTransaction."""
        try:
            fields = self._binding.read("getTransaction", self._id(transaction_id))
        except Reverted as error:
            # This view has no other reason to revert, and the generations word it differently.
            raise self._unknown(transaction_id) from error
        return transaction_of(fields)

    def credits(self, account: str | None = None) -> int:
        """Base units that an account is owed: payments that the token refused, and bonds that were posted ahead and not
        needed.
        """
        self.require("credits")
        return int(
            self._binding.read("credits", self._session.address if account is None else require_address(account))
        )

    def accrued_fees(self) -> int:
        """Platform fees (base units) that the vault holds for the fee recipient."""
        self.require("accrued_fees")
        return int(self._binding.read("accruedFees"))

    def bonds_of(self, transaction_id: str) -> Bonds:
        """The bonds that are held for a transaction, and what is owed."""
        self.require("bonds_of")
        return bonds_of(self._read("bondsOf", transaction_id))

    def required_bond(self, transaction_id: str) -> int:
        """The bond (base units) that a dispute of this transaction takes."""
        if self.generation is Generation.OURS:
            return int(self._read("requiredBond", transaction_id))
        record = self.get_transaction(transaction_id)
        share = record.amount * record.dispute_bond_bps_locked // int(self._binding.read("MAX_BPS"))
        return max(share, int(self._binding.read("MIN_DISPUTE_BOND")))

    def cancellation_effective_at(self, transaction_id: str) -> int:
        """When an announced cancellation can be carried out (unix seconds), 0 if none was announced. From then on it is
        valid for one day.
        """
        self.require("cancellation_effective_at")
        return int(self._read("cancellationEffectiveAt", transaction_id))

    def requester_nonce(self, account: str | None = None) -> int:
        """How many transactions an account has created without a salt; this client's by default."""
        owner = self._session.address if account is None else require_address(account, "account")
        return int(self._binding.read("requesterNonces", owner))

    def clauses(self, transaction_id: str) -> AgreedClauses:
        """Who rules on disputes of a transaction, and how one ends on which nobody rules."""
        self.require("clauses")
        return clauses_of(self._read("clausesOf", transaction_id))

    def milestones(self, transaction_id: str) -> tuple[MilestoneView, ...]:
        """The schedule that was agreed at creation, and what became of each part; empty if there is none."""
        self.require("milestones")
        return milestones_of(self._read("milestonesOf", transaction_id))

    def require_acceptable(self, transaction_id: str) -> None:
        """Raises UnacceptedClauses if this client does not work under the clauses of a transaction. They are fixed when
        it is created, so the answer stays true.
        """
        if not self.has_salts:
            return
        self.accept_clauses(transaction_id, self.clauses(transaction_id))

    def accept_clauses(self, transaction_id: str, agreed: AgreedClauses) -> None:
        """As `require_acceptable`, for clauses that were read already. Asks nobody."""
        if not self._acceptance.accepts(agreed):
            raise UnacceptedClauses(transaction_id, agreed.arbiter, agreed.timeout_requester_bps)

    @property
    def has_salts(self) -> bool:
        """Whether the kernel has what came with the version actp-escrow/2: salts and all that is paid in one step, by
        lists, by signature, or by a schedule. This is the only place that tells.
        """
        named = _VERSION.match(self.version)
        return named is not None and int(named.group(1)) >= 2

    @cached_property
    def limits(self) -> Limits:
        """The bounds of amounts, deadlines and windows, which are constants of the kernel."""
        return Limits(
            min_amount=self._binding.read("MIN_TRANSACTION_AMOUNT"),
            max_amount=self._binding.read("MAX_TRANSACTION_AMOUNT"),
            max_deadline_seconds=self._binding.read("MAX_DEADLINE"),
            min_window_seconds=self._binding.read("MIN_DISPUTE_WINDOW"),
            max_window_seconds=self._binding.read("MAX_DISPUTE_WINDOW"),
            default_window_seconds=self._binding.read("DEFAULT_DISPUTE_WINDOW"),
        )

    @cached_property
    def constants(self) -> Constants:
        """The smallest fee and bond, and the delays, which never change. Kernels of G1 have not all of them."""
        self.require("constants")
        return Constants(
            min_fee=self._binding.read("MIN_FEE"),
            min_dispute_bond=self._binding.read("MIN_DISPUTE_BOND"),
            refund_grace_seconds=self._binding.read("REFUND_GRACE"),
            mediator_delay_seconds=self._binding.read("MEDIATOR_APPROVAL_DELAY"),
            dispute_timeout_seconds=self._binding.read("DISPUTE_TIMEOUT"),
        )

    # ---------------------------------------------------------------- internals

    def _read(self, function: str, transaction_id: str) -> Any:
        with self._explaining(transaction_id):
            return self._binding.read(function, self._id(transaction_id))

    @contextmanager
    def _explaining(self, transaction_id: str) -> Iterator[None]:
        """Around a call about one transaction: if the kernel has none of this id, that is the error."""
        try:
            yield
        except Reverted as error:
            if not self._says_unknown(error, transaction_id):
                raise
            raise self._unknown(transaction_id) from error

    def _says_unknown(self, error: Reverted, transaction_id: str) -> bool:
        if self.generation is Generation.G1 and error.outcome == "not_sent":
            # Kernels of G1 have no error of their own for it.
            try:
                self.get_transaction(transaction_id)
            except UnknownTransaction:
                return True
        return error.name == "UnknownTransaction"

    def _unknown(self, transaction_id: str) -> UnknownTransaction:
        return UnknownTransaction(
            f"The kernel {self.address} has no transaction {transaction_id}.",
            hint="Check the id, the network and the deployment.",
        )

    def require(self, verb: str) -> None:
        """Raises UnsupportedByKernel if the kernel lacks what a verb needs."""
        if verb in _NOT_BEFORE_2:
            if not self.has_salts:
                raise UnsupportedByKernel(
                    f"The kernel {self.address} is of version {self.version}, which cannot {verb}.",
                    hint=_NOT_BEFORE_2[verb],
                )
        elif self.generation is Generation.G1:
            raise UnsupportedByKernel(
                f"The kernel {self.address} is of generation G1, which has no {verb}.", hint=_NOT_IN_G1[verb]
            )

    @staticmethod
    def _id(transaction_id: str) -> bytes:
        return bytes.fromhex(require_bytes32(transaction_id, "transaction_id")[2:])
