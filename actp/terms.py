"""The terms of a transaction, checked before anything is sent. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from actp.errors import InvalidInput
from actp.units import ZERO_ADDRESS, describe_base_units, hash_or_keccak, require_address, require_base_units, shown

__all__ = ["Limits", "Terms", "check_terms", "require_seconds"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one kernel accepts: base units and seconds."""

    min_amount: int
    max_amount: int
    max_deadline_seconds: int
    min_window_seconds: int
    max_window_seconds: int
    default_window_seconds: int

    def check_amount(self, amount: object, name: str = "amount") -> int:
        """`amount` as base units within the bounds. Raises InvalidInput."""
        units = require_base_units(amount, name)
        if not self.min_amount <= units <= self.max_amount:
            raise InvalidInput(
                f"{name} {describe_base_units(units)} is outside what a transaction may carry: "
                f"{describe_base_units(self.min_amount)} to {describe_base_units(self.max_amount)}.",
                hint="Amounts are base units: 1 USDC is 1_000_000.",
            )
        return units

    def check_window(self, window: object) -> int:
        """`window` as seconds within the bounds, the default for None. Raises InvalidInput."""
        seconds = self.default_window_seconds if window is None else _require_int(window, "dispute_window")
        if not self.min_window_seconds <= seconds <= self.max_window_seconds:
            raise InvalidInput(
                f"dispute_window {shown(seconds)} is outside {self.min_window_seconds} to {self.max_window_seconds} "
                "seconds.",
                hint="It is a duration in seconds, such as 2 * 86_400 for two days.",
            )
        return seconds


@dataclass(frozen=True, slots=True)
class Terms:
    """What `createTransaction` is given, in its order."""

    provider: str
    requester: str
    amount: int
    deadline: int
    dispute_window: int
    service_hash: str
    agent_id: int
    requester_agent_id: int


def check_terms(
    *,
    requester: object,
    provider: object,
    amount: object,
    deadline: object,
    dispute_window: object,
    metadata: str | bytes,
    agent_id: object,
    requester_agent_id: object,
    signer: str,
    contracts: Mapping[str, str],
    limits: Limits,
    now: int,
) -> Terms:
    """The terms as the kernel takes them. `now` is the chain's time, `contracts` are the addresses that can provide
    nothing, with what they are. Raises InvalidInput.
    """
    payer = require_address(requester, "requester")
    if payer != signer:
        raise InvalidInput(
            f"requester {payer} is not the account that signs, {signer}.",
            hint="Pass client.address, or create a client with the requester's key.",
        )
    payee = require_address(provider, "provider", allow_zero=True)
    # Money that is paid to a contract which cannot spend it is lost.
    who = {ZERO_ADDRESS: "the zero address", **contracts, payer: "the requester"}.get(payee)
    if who is not None:
        raise InvalidInput(f"provider {payee} is {who}.", hint="Name the account that delivers and is paid.")
    return Terms(
        provider=payee,
        requester=payer,
        amount=limits.check_amount(amount),
        deadline=_check_deadline(deadline, limits, now),
        dispute_window=limits.check_window(dispute_window),
        service_hash=hash_or_keccak(metadata),
        agent_id=_check_id(agent_id, "agent_id"),
        requester_agent_id=_check_id(requester_agent_id, "requester_agent_id"),
    )


def _check_deadline(deadline: object, limits: Limits, now: int) -> int:
    at = _require_int(deadline, "deadline")
    if at <= now:
        raise InvalidInput(
            f"deadline {shown(at)} is in the past: the chain's time is {now}.",
            hint="Use a later time, such as client.now() + 3600.",
        )
    if at > now + limits.max_deadline_seconds:
        raise InvalidInput(
            f"deadline {shown(at)} is more than {limits.max_deadline_seconds} seconds after the chain's time, {now}.",
            hint="Deadlines are unix seconds (not milliseconds), at most a year away.",
        )
    return at


def require_seconds(value: object, name: str) -> int:
    """`value` if it is an int that is not negative. Raises InvalidInput."""
    seconds = _require_int(value, name)
    if seconds < 0:
        raise InvalidInput(f"{name} {shown(seconds)} is negative.", hint="Give a number of seconds from 0 on.")
    return seconds


def _require_int(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInput(
            f"{name} must be an int of seconds, not {type(value).__name__} {shown(value)}.",
            hint="Round it down with int(...)." if isinstance(value, float) else "Give it as a number without quotes.",
        )
    return value


def _check_id(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**256:
        raise InvalidInput(
            f"{name} must be an int, not {shown(value)}.", hint="Leave it out, or give the id in the registry."
        )
    return value
