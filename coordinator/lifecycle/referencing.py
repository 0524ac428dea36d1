"""What a service usually costs, by somebody else's code: that it fails must let nothing pass, and stop nothing else."""

from __future__ import annotations

from coordinator.intents import Spending
from coordinator.lifecycle.desk import Desk
from coordinator.policy import RULE_FAILED
from coordinator.types import Decision, Reason, RiskTier, Ruling

__all__ = ["denied_for", "reference_of"]


def reference_of(desk: Desk, intent: Spending) -> int | Reason | None:
    """The reference price in base units, None if there is none; or why an operation is denied that cannot be compared
    with it.
    """
    if intent.service is None or desk.reference is None:
        return None
    try:
        return desk.reference(intent.service)
    except Exception as error:  # noqa: BLE001 - somebody else's code fails as it likes
        # Its words are not shown: they may hold what must not be logged.
        message = f"{RULE_FAILED}: the reference price of {intent.service!r} raised {type(error).__name__}."
        return Reason("reference", message, Ruling.DENY)


def denied_for(reason: Reason, decision: Decision) -> Decision:
    """The decision, denied for one more reason."""
    return Decision(Ruling.DENY, RiskTier.HIGH, (reason, *decision.reasons), decision.policy_version)
