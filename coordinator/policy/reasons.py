"""How rules answer."""

from __future__ import annotations

from coordinator.types import Reason, Ruling

__all__ = ["above", "deny"]


def deny(rule: str, message: str, limit: int | None = None) -> Reason:
    """A denial; the message begins with a capital."""
    return Reason(rule, message[:1].upper() + message[1:], Ruling.DENY, limit)


def above(rule: str, what: str, used: int, limit: int, ruling: Ruling = Ruling.DENY) -> Reason | None:
    """A reason that carries both numbers if `used` exceeds the limit; None if it at most reaches it."""
    if used <= limit:
        return None
    return Reason(rule, f"{what} would be {used:,}, and the limit is {limit:,}.", ruling, limit, used)
