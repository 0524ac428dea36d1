"""Why something was not done about an escrow. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.store.settlements import Claim
from coordinator.types import Stage

__all__ = ["BY_LIMITS", "Reason", "reason_of"]

BY_LIMITS = frozenset({"max_fee_wei", "max_daily_loss", "fee_too_high", "insufficient_funds"})
"""What denies an operation for its cost in gas: nothing is wrong with the escrow."""

_MOST_TEXT = 400


@dataclass(frozen=True, slots=True)
class Reason:
    """A code, and a sentence."""

    code: str
    text: str


def reason_of(claim: Claim, skipped: str | None) -> Reason:
    """Why the operation of a claim left the escrow as it is; `skipped` names the error by which the kernel did so."""
    if skipped is not None:
        return Reason(skipped, f"The kernel skipped it: {skipped}.")
    if claim.stage is Stage.CONFIRMED:
        return Reason("not_done", "The eth transaction was mined, and the escrow is as it was.")
    text = claim.reason or "The operation failed."
    return Reason(claim.code or "failed", text[:_MOST_TEXT])
