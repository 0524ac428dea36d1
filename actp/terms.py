"""The terms of a transaction, checked before anything is sent. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from actp.errors import InvalidInput
from actp.units import ZERO_ADDRESS, format_usdc, hash_or_keccak, require_address, require_base_units, shown

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
                f"{name} {units} base units ({format_usdc(units)} USDC) is outside what a transaction may carry: "
                f"{self.min_amount} to {self.max_amount}.",
                hint="Amounts are base units: 1 USDC is 1_000_000.",
            )
        return units


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
    vault: str,
    limits: Limits,
    now: int,
) -> Terms:
    """The terms as the kernel takes them. `now` is the chain's time. Raises InvalidInput."""
    payer = require_address(requester, "requester")
    if payer != signer:
        raise InvalidInput(
            f"requester {payer} is not the account that signs, {signer}.",
            hint="Pass client.address, or create a client with the requester's key.",
        )
    payee = require_address(provider, "provider", allow_zero=True)
    if payee in (payer, vault, ZERO_ADDRESS):
        who = {payer: "the requester", vault: "the vault"}.get(payee, "the zero address")
        raise InvalidInput(f"provider {payee} is {who}.", hint="Name the account that delivers and is paid.")
    window = (
        limits.default_window_seconds if dispute_window is None else require_seconds(dispute_window, "dispute_window")
    )
    if not limits.min_window_seconds <= window <= limits.max_window_seconds:
        raise InvalidInput(
            f"dispute_window {window} is outside {limits.min_window_seconds} to {limits.max_window_seconds} seconds.",
            hint="It is a duration in seconds, such as 2 * 86_400 for two days.",
        )
    return Terms(
        provider=payee,
        requester=payer,
        amount=limits.check_amount(amount),
        deadline=_check_deadline(deadline, limits, now),
        dispute_window=window,
        service_hash=hash_or_keccak(metadata),
        agent_id=_check_id(agent_id, "agent_id"),
        requester_agent_id=_check_id(requester_agent_id, "requester_agent_id"),
    )


def _check_deadline(deadline: object, limits: Limits, now: int) -> int:
    at = require_seconds(deadline, "deadline")
    if at <= now:
        raise InvalidInput(
            f"deadline {at} is in the past: the chain's time is {now}.",
            hint="Use a later time, such as client.now() + 3600.",
        )
    if at > now + limits.max_deadline_seconds:
        raise InvalidInput(
            f"deadline {at} is more than {limits.max_deadline_seconds} seconds after the chain's time, {now}.",
            hint="Deadlines are unix seconds (not milliseconds), at most a year away.",
        )
    return at


def require_seconds(value: object, name: str) -> int:
    """`value` if it is an int that is not negative. Raises InvalidInput."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidInput(
            f"{name} must be an int of seconds, not {type(value).__name__} {shown(value)}.",
            hint="Round it down with int(...).",
        )
    return value


def _check_id(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**256:
        raise InvalidInput(
            f"{name} must be an int, not {shown(value)}.", hint="Leave it out, or give the id in the registry."
        )
    return value
