"""Reading a kernel: its transactions, its bounds, and which generation it is of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

from actp.binding import Binding, Session, hex32
from actp.errors import Reverted, UnknownTransaction, UnsupportedByKernel
from actp.terms import Limits
from actp.types import State, Transaction
from actp.units import require_address, require_bytes32

__all__ = ["Bond", "Bonds", "Generation", "KernelViews", "generation_of"]


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


def generation_of(session: Session, kernel: str) -> tuple[Generation, str]:
    """The generation of the kernel at an address, and the version that it names ("G1" if it names none)."""
    try:
        return Generation.OURS, str(Binding(session, "ACTPKernel", kernel).read("kernelVersion"))
    except Reverted:
        return Generation.G1, "G1"


class KernelViews:
    """What one kernel shows to an account. `Kernel` adds the verbs."""

    def __init__(self, session: Session, address: str, *, generation: Generation, version: str) -> None:
        self.address = address
        self.generation = generation
        self.version = version
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
        values: list[Any] = [hex32(value) if isinstance(value, bytes) else value for value in fields]
        values[3] = State(values[3])
        return Transaction(*values)

    def credits(self, account: str | None = None) -> int:
        """Base units that an account is owed: payments that the token refused, and bonds that were posted ahead and not
        needed.
        """
        self._require("credits")
        return int(
            self._binding.read("credits", self._session.address if account is None else require_address(account))
        )

    def accrued_fees(self) -> int:
        """Platform fees (base units) that the vault holds for the fee recipient."""
        self._require("accrued_fees")
        return int(self._binding.read("accruedFees"))

    def bonds_of(self, transaction_id: str) -> Bonds:
        """The bonds that are held for a transaction, and what is owed."""
        self._require("bonds_of")
        requester, provider, owed = self._read("bondsOf", transaction_id)
        return Bonds(Bond(*requester), Bond(*provider), owed)

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
        self._require("cancellation_effective_at")
        return int(self._read("cancellationEffectiveAt", transaction_id))

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

    def _require(self, verb: str) -> None:
        if self.generation is Generation.G1:
            raise UnsupportedByKernel(
                f"The kernel {self.address} is of generation G1, which has no {verb}.", hint=_NOT_IN_G1[verb]
            )

    @staticmethod
    def _id(transaction_id: str) -> bytes:
        return bytes.fromhex(require_bytes32(transaction_id, "transaction_id")[2:])
