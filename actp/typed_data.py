"""What is signed by EIP-712: splits for the kernel, permits and transfers for the token. No I/O.

Typed data is what `Signer.sign_typed_data` takes: `{types, primaryType, domain, message}` with JSON values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from actp.units import keccak

__all__ = ["Domain", "TypedData", "digest_of", "kernel_domain", "permit", "receive_with_authorization", "split"]

TypedData = dict[str, Any]

_DOMAIN_FIELDS = (
    ("name", "string"),
    ("version", "string"),
    ("chainId", "uint256"),
    ("verifyingContract", "address"),
)
_SPLIT = (
    ("transactionId", "bytes32"),
    ("requesterAmount", "uint256"),
    ("providerAmount", "uint256"),
    ("validUntil", "uint256"),
)
_PERMIT = (
    ("owner", "address"),
    ("spender", "address"),
    ("value", "uint256"),
    ("nonce", "uint256"),
    ("deadline", "uint256"),
)
_RECEIVE = (
    ("from", "address"),
    ("to", "address"),
    ("value", "uint256"),
    ("validAfter", "uint256"),
    ("validBefore", "uint256"),
    ("nonce", "bytes32"),
)


@dataclass(frozen=True, slots=True)
class Domain:
    """For which contract on which chain a signature counts."""

    name: str
    version: str
    chain_id: int
    contract: str

    def fields(self) -> dict[str, Any]:
        """As typed data has it."""
        values = (self.name, self.version, self.chain_id, self.contract)
        return dict(zip((name for name, _ in _DOMAIN_FIELDS), values, strict=True))

    def separator(self) -> bytes:
        """The 32 bytes that contracts call DOMAIN_SEPARATOR."""
        from eth_abi.abi import encode

        kind = f"EIP712Domain({','.join(f'{type_} {name}' for name, type_ in _DOMAIN_FIELDS)})"
        words = [keccak(kind.encode()), keccak(self.name.encode()), keccak(self.version.encode())]
        types = ["bytes32", "bytes32", "bytes32", "uint256", "address"]
        return keccak(encode(types, [*words, self.chain_id, self.contract]))


def kernel_domain(chain_id: int, kernel: str) -> Domain:
    """The domain of what parties sign for a kernel."""
    return Domain("ACTP Kernel", "1", chain_id, kernel)


def split(
    domain: Domain, transaction_id: str, requester_amount: int, provider_amount: int, valid_until: int
) -> TypedData:
    """A party's consent to how the rest of an escrow is split."""
    return _typed(domain, "Split", _SPLIT, (transaction_id, requester_amount, provider_amount, valid_until))


def permit(domain: Domain, owner: str, spender: str, value: int, nonce: int, deadline: int) -> TypedData:
    """An allowance of EIP-2612."""
    return _typed(domain, "Permit", _PERMIT, (owner, spender, value, nonce, deadline))


def receive_with_authorization(
    domain: Domain, payer: str, payee: str, value: int, valid_after: int, valid_before: int, nonce: str
) -> TypedData:
    """A transfer of EIP-3009 that only its payee can collect."""
    values = (payer, payee, value, valid_after, valid_before, nonce)
    return _typed(domain, "ReceiveWithAuthorization", _RECEIVE, values)


def digest_of(typed_data: TypedData) -> bytes:
    """The 32 bytes that are signed."""
    from eth_account.messages import encode_typed_data

    signable = encode_typed_data(full_message=typed_data)
    return keccak(b"\x19" + signable.version + signable.header + signable.body)


def _typed(domain: Domain, kind: str, fields: tuple[tuple[str, str], ...], values: tuple[Any, ...]) -> TypedData:
    return {
        "types": {"EIP712Domain": _members(_DOMAIN_FIELDS), kind: _members(fields)},
        "primaryType": kind,
        "domain": domain.fields(),
        "message": dict(zip((name for name, _ in fields), values, strict=True)),
    }


def _members(fields: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
    return [{"name": name, "type": kind} for name, kind in fields]
