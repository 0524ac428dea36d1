"""What the kernel's `transitionState` takes as proof, by step. No I/O."""

from __future__ import annotations

from actp.errors import InvalidInput
from actp.units import ZERO_HASH, hash_or_keccak, require_address, require_base_units, shown

__all__ = ["free_bytes", "quote_proof", "ruling_proof", "window_proof"]


def free_bytes(value: str | bytes, name: str = "proof") -> bytes:
    """Bytes as they are, or from 0x hex. Raises InvalidInput."""
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if isinstance(value, str) and value.startswith("0x"):
        try:
            return bytes.fromhex(value[2:])
        except ValueError:
            pass
    raise InvalidInput(
        f"{name} {shown(value)} is neither bytes nor 0x hex.", hint='Use "0x" for none, or text.encode().'
    )


def quote_proof(quote: str | bytes) -> bytes:
    """A quote's hash, empty for none: 32 bytes pass as they are, anything else is hashed."""
    digest = hash_or_keccak(quote, "quote")
    return b"" if digest == ZERO_HASH else bytes.fromhex(digest[2:])


def window_proof(window_seconds: int | None) -> bytes:
    """The dispute window that a delivery starts, empty for the agreed one."""
    return b"" if window_seconds is None else _word(window_seconds, "window_seconds")


def ruling_proof(
    requester_amount: int | None,
    provider_amount: int | None,
    provider_at_fault: bool | None,
    mediator: str | None,
    mediator_amount: int | None,
) -> bytes:
    """How a dispute ends. Empty (nothing given) leaves it to the outcome: all to one party. Raises InvalidInput."""
    if requester_amount is None or provider_amount is None:
        if (requester_amount, provider_amount, provider_at_fault, mediator, mediator_amount) != (None,) * 5:
            raise InvalidInput(
                "A ruling needs requester_amount and provider_amount, or nothing at all.",
                hint="Without amounts the provider gets everything (SETTLED), or the requester does (CANCELLED).",
            )
        return b""
    if (mediator is None) != (mediator_amount is None):
        raise InvalidInput("mediator and mediator_amount belong together.", hint="Give both, or neither.")
    proof = _word(requester_amount, "requester_amount") + _word(provider_amount, "provider_amount")
    if provider_at_fault is not None:
        if not isinstance(provider_at_fault, bool):
            raise InvalidInput(
                f"provider_at_fault is {shown(provider_at_fault)}.",
                hint="Give True, False, or nothing at all (the provider is at fault then, as in every generation).",
            )
        proof += _word(int(provider_at_fault), "provider_at_fault")
    if mediator is not None:
        proof += bytes(12) + bytes.fromhex(require_address(mediator, "mediator")[2:])
        proof += _word(mediator_amount, "mediator_amount")
    return proof


def _word(value: object, name: str) -> bytes:
    return require_base_units(value, name).to_bytes(32, "big")
