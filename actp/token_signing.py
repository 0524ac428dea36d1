"""What this account signs for the token, instead of sending it: permits (EIP-2612) and transfers (EIP-3009)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from actp.binding import Binding, Session
from actp.errors import ConfigError, NoCode, Reverted, UnsupportedByToken
from actp.typed_data import Domain, permit

__all__ = ["Permit", "TokenSigning"]

_PERMIT_SECONDS = 3_600


@dataclass(frozen=True, slots=True)
class Permit:
    """A signed allowance of EIP-2612 over `value` base units, valid up to `deadline`."""

    value: int
    deadline: int
    signature: bytes

    def fields(self) -> tuple[Any, ...]:
        """As the contracts' `Permit`: value, deadline, v, r, s."""
        return (self.value, self.deadline, self.signature[64], self.signature[:32], self.signature[32:64])


class TokenSigning:
    """The signatures of one token, as one account gives them."""

    def __init__(self, session: Session, address: str) -> None:
        self._session = session
        self._address = address
        self._binding = Binding(session, "TestUSDC", address)

    @cached_property
    def domain(self) -> Domain:
        """The token's EIP-712 domain, found from what the token says and compared with its separator. Raises
        UnsupportedByToken if there is none, or another kind of it.
        """
        name, version = self._read("name"), self._read("version")
        domain = Domain(str(name), str(version), self._session.sender.chain_id, self._address)
        if domain.separator() != self._read("DOMAIN_SEPARATOR"):
            raise self._unsupported("its domain is not made of name, version, chain id and address")
        return domain

    def permit(self, spender: str, value: int) -> Permit:
        """An allowance for `spender`, signed with the account's next nonce at the token."""
        domain, owner = self.domain, self._session.address
        nonce = int(self._read("nonces", owner))
        deadline = self._session.now() + _PERMIT_SECONDS
        typed = permit(domain, owner, spender, value, nonce, deadline)
        return Permit(value, deadline, self._session.sender.signer.sign_typed_data(typed))

    def is_used(self, payer: str, nonce: str) -> bool:
        """Whether a transfer with this nonce was collected, or cancelled by its payer."""
        return bool(self._read("authorizationState", payer, bytes.fromhex(nonce[2:])))

    def _read(self, view: str, *arguments: Any) -> Any:
        try:
            return self._binding.read(view, *arguments)
        except (Reverted, NoCode, ConfigError) as error:
            raise self._unsupported(f"it has no {view}") from error

    def _unsupported(self, why: str) -> UnsupportedByToken:
        return UnsupportedByToken(
            f"The token {self._address} takes no signatures that this client can give: {why}.",
            hint='Use pay with funding="allowance".',
        )
