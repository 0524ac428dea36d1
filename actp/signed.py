"""What one account signs and another one sends: payments by EIP-3009, and splits by consent. No I/O.

Both can be handed on as JSON. Numbers are decimal strings there, since many readers of JSON have no large ints.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from actp.errors import InvalidInput
from actp.orders import MAX_MILESTONES, Clauses, Milestone, Order, authorization_nonce, salted_id
from actp.typed_data import Domain, TypedData, kernel_domain, receive_with_authorization, split
from actp.units import require_address, require_bytes32

__all__ = ["PaymentAuthorization", "SplitConsent"]

_PAYMENT_FORMAT = "actp-payment-authorization/1"
_SPLIT_FORMAT = "actp-split-consent/1"


@dataclass(frozen=True, slots=True)
class PaymentAuthorization:
    """A payment that `requester` has signed for the token, and that anybody may send. It holds for one chain, kernel,
    vault and token, and from `valid_after` to `valid_before` (both excluded, unix seconds).
    """

    chain_id: int
    kernel: str
    vault: str
    token: str
    requester: str
    order: Order
    clauses: Clauses
    valid_after: int
    valid_before: int
    signature: str

    @property
    def transaction_id(self) -> str:
        """The id of the payment, once it is sent."""
        return salted_id(self.chain_id, self.kernel, self.requester, self.order.salt)

    @property
    def nonce(self) -> str:
        """The nonce at the token: the hash of all terms."""
        return authorization_nonce(self.chain_id, self.kernel, self.requester, self.order, self.clauses)

    def typed_data(self, token: Domain) -> TypedData:
        """What is signed."""
        return receive_with_authorization(
            token, self.requester, self.vault, self.order.amount, self.valid_after, self.valid_before, self.nonce
        )

    def to_json(self) -> str:
        """As JSON text."""
        order, clauses = self.order, self.clauses
        parts = [
            {"amount": str(part.amount), "deadline": str(part.deadline), "conditionHash": part.condition}
            for part in clauses.milestones
        ]
        return json.dumps(
            {
                "format": _PAYMENT_FORMAT,
                "chainId": str(self.chain_id),
                "kernel": self.kernel,
                "vault": self.vault,
                "token": self.token,
                "requester": self.requester,
                "order": {
                    "provider": order.provider,
                    "amount": str(order.amount),
                    "deadline": str(order.deadline),
                    "disputeWindow": str(order.dispute_window),
                    "serviceHash": order.service_hash,
                    "salt": order.salt,
                },
                "clauses": {
                    "arbiter": clauses.arbiter,
                    "timeoutRequesterBps": str(clauses.timeout_requester_bps),
                    "agentId": str(clauses.agent_id),
                    "requesterAgentId": str(clauses.requester_agent_id),
                    "milestones": parts,
                },
                "validAfter": str(self.valid_after),
                "validBefore": str(self.valid_before),
                "signature": self.signature,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> PaymentAuthorization:
        """From what `to_json` wrote. Raises InvalidInput."""
        reader = _Reader(text, _PAYMENT_FORMAT)
        order, clauses = reader.inner("order"), reader.inner("clauses")
        return cls(
            chain_id=reader.number("chainId"),
            kernel=reader.address("kernel"),
            vault=reader.address("vault"),
            token=reader.address("token"),
            requester=reader.address("requester"),
            order=Order(
                provider=order.address("provider"),
                amount=order.number("amount"),
                deadline=order.number("deadline"),
                dispute_window=order.number("disputeWindow"),
                service_hash=order.hash("serviceHash"),
                salt=order.hash("salt"),
            ),
            clauses=Clauses(
                arbiter=clauses.address("arbiter"),
                timeout_requester_bps=clauses.number("timeoutRequesterBps"),
                agent_id=clauses.number("agentId"),
                requester_agent_id=clauses.number("requesterAgentId"),
                milestones=tuple(
                    Milestone(part.number("amount"), part.number("deadline"), part.hash("conditionHash"))
                    for part in clauses.items("milestones")
                ),
            ),
            valid_after=reader.number("validAfter"),
            valid_before=reader.number("validBefore"),
            signature=reader.raw("signature"),
        )


@dataclass(frozen=True, slots=True)
class SplitConsent:
    """One party's signed consent to a split of what an escrow still holds, in base units; the platform fee is taken
    from the provider's part. It counts up to `valid_until`, in unix seconds.
    """

    chain_id: int
    kernel: str
    transaction_id: str
    requester_amount: int
    provider_amount: int
    valid_until: int
    signer: str
    signature: str

    def typed_data(self) -> TypedData:
        """What is signed."""
        domain = kernel_domain(self.chain_id, self.kernel)
        return split(domain, self.transaction_id, self.requester_amount, self.provider_amount, self.valid_until)

    def to_json(self) -> str:
        """As JSON text."""
        return json.dumps(
            {
                "format": _SPLIT_FORMAT,
                "chainId": str(self.chain_id),
                "kernel": self.kernel,
                "transactionId": self.transaction_id,
                "requesterAmount": str(self.requester_amount),
                "providerAmount": str(self.provider_amount),
                "validUntil": str(self.valid_until),
                "signer": self.signer,
                "signature": self.signature,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> SplitConsent:
        """From what `to_json` wrote. Raises InvalidInput."""
        reader = _Reader(text, _SPLIT_FORMAT)
        return cls(
            chain_id=reader.number("chainId"),
            kernel=reader.address("kernel"),
            transaction_id=reader.hash("transactionId"),
            requester_amount=reader.number("requesterAmount"),
            provider_amount=reader.number("providerAmount"),
            valid_until=reader.number("validUntil"),
            signer=reader.address("signer"),
            signature=reader.raw("signature"),
        )


class _Reader:
    """Fields of a JSON object that somebody else wrote, each checked."""

    def __init__(self, source: str | dict[str, Any], expected: str = "") -> None:
        content: Any = source
        if isinstance(source, str):
            content = None
            # Text that nests deeply enough would end the process instead of raising an error.
            if source.count("{") + source.count("[") <= _MOST_BRACKETS:
                with suppress(ValueError):
                    content = json.loads(source)
        if not isinstance(content, dict) or (expected and content.get("format") != expected):
            raise InvalidInput(f"This is no JSON object of the format {expected or 'expected here'}.", hint=_HINT)
        self._content = content

    def number(self, name: str) -> int:
        text = self._content.get(name)
        if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= _DIGITS:
            value = int(text)
            if value < 2**256:
                return value
        raise InvalidInput(f"{name} is no decimal number in a string.", hint=_HINT)

    def address(self, name: str) -> str:
        return require_address(self._content.get(name), name, allow_zero=True)

    def hash(self, name: str) -> str:
        return require_bytes32(self._content.get(name), name)

    def raw(self, name: str) -> str:
        text = self._content.get(name)
        if isinstance(text, str) and text.startswith("0x"):
            try:
                return "0x" + bytes.fromhex(text[2:]).hex()
            except ValueError:
                pass
        raise InvalidInput(f"{name} is no 0x hex.", hint=_HINT)

    def inner(self, name: str) -> _Reader:
        return _Reader(self._content.get(name) or {})

    def items(self, name: str) -> list[_Reader]:
        found = self._content.get(name)
        if not isinstance(found, list):
            raise InvalidInput(f"{name} is no list.", hint=_HINT)
        return [_Reader(item) for item in found]


_DIGITS = 78
_MOST_BRACKETS = MAX_MILESTONES + 4
_HINT = "Pass on what to_json wrote, as it is."
