"""The vault: funding escrows, and what each of them holds."""

from __future__ import annotations

from dataclasses import dataclass

from actp.binding import Binding, Session, TxResult
from actp.errors import Reverted
from actp.kernel import Kernel
from actp.token import Token
from actp.types import State
from actp.units import require_address, require_base_units, require_bytes32

__all__ = ["Escrow", "EscrowVault"]


@dataclass(frozen=True, slots=True)
class Escrow:
    """What the vault has for one escrow id, in base units. `requester` is the zero address if there was never any."""

    requester: str
    provider: str
    amount: int
    released_amount: int
    active: bool


class EscrowVault:
    """The vault of one deployment, as one account sees it."""

    def __init__(self, session: Session, address: str, *, kernel: Kernel, token: Token) -> None:
        self.address = address
        self._kernel = kernel
        self._token = token
        self._binding = Binding(session, "EscrowVault", address)

    def __repr__(self) -> str:
        return f"EscrowVault({self.address})"

    def fund(self, transaction_id: str, *, standing_allowance: int | None = None) -> TxResult:
        """The requester funds a transaction: approves to the vault exactly what is missing, then links the escrow.

        The escrow's id is the transaction's. Whatever would make the link fail, an empty account included, is found out
        before the approval is sent. `standing_allowance` approves that many base units instead, for later payments,
        if anything is missing. Raises UnknownTransaction, InsufficientFunds, Reverted.
        """
        return self._token.spend(
            self.address,
            lambda: self._kernel.get_transaction(transaction_id).amount,
            attempt=lambda: self._kernel.simulate_link(transaction_id),
            send=lambda: self._kernel.link_escrow(transaction_id),
            allow=standing_allowance,
        )

    def fund_once(self, transaction_id: str, *, standing_allowance: int | None = None) -> TxResult | None:
        """As `fund`; None if it turns out that the transaction was funded meanwhile, by a call whose reply was lost or
        by another process.
        """
        try:
            return self.fund(transaction_id, standing_allowance=standing_allowance)
        except Reverted:
            if self._kernel.get_transaction(transaction_id).state in (State.INITIATED, State.QUOTED):
                raise
            return None

    def get_escrow(self, escrow_id: str) -> Escrow:
        """The escrow behind an id: a transaction's, unless another one was chosen when it was linked."""
        return Escrow(*self._binding.read("escrows", _id(escrow_id)))

    def remaining(self, escrow_id: str) -> int:
        """Base units that an escrow still holds."""
        return int(self._binding.read("remaining", _id(escrow_id)))

    def verify(self, escrow_id: str, *, requester: str, provider: str, amount: int) -> bool:
        """Whether an open escrow has these parties and holds at least `amount`: what a provider checks before work."""
        valid, _held = self._binding.read(
            "verifyEscrow",
            _id(escrow_id),
            require_address(requester, "requester"),
            require_address(provider, "provider"),
            require_base_units(amount),
        )
        return bool(valid)


def _id(escrow_id: str) -> bytes:
    return bytes.fromhex(require_bytes32(escrow_id, "escrow_id")[2:])
