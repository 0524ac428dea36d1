"""All rules over one operation's facts: deny outweighs require_approval, which outweighs allow. Fails closed."""

from __future__ import annotations

from collections.abc import Sequence

from coordinator.policy.facts import Facts
from coordinator.policy.known import MissingFact
from coordinator.policy.rules import RULES, Rule
from coordinator.policy.settings import PolicySettings
from coordinator.types import Decision, Reason, RiskTier, Ruling

__all__ = ["MISSING_FACT", "RULE_FAILED", "evaluate"]

RULE_FAILED = "rule_failed"
"""How the message of a reason begins whose rule could not be evaluated."""
MISSING_FACT = "missing_fact"
"""How the message of a reason begins whose rule needs a fact that is not known."""


def evaluate(facts: Facts, settings: PolicySettings, *, rules: Sequence[Rule] = RULES) -> Decision:
    """What the policy says of this operation. Pure: equal facts and settings give equal decisions, at any time.

    A rule that raises denies. Once `facts.approved_by` names somebody, rules that ask for an approval are satisfied;
    their reasons stay on record, and the ones that deny still do. The risk tier is high for what is denied, medium for
    what somebody has to look at or has looked at, and low for the rest. Never raises for what a rule does.
    """
    reasons = []
    denied = False
    for rule in rules:
        try:
            reason = rule(facts, settings)
            if reason is None:
                continue
            denied = denied or _denies(reason)
        except MissingFact as missing:
            reason = _failure(rule, f"{MISSING_FACT}: {missing.name} is not known.")
            denied = True
        except Exception as error:  # noqa: BLE001 - a rule that fails, however it does, must not let anything pass
            reason = _failure(rule, f"{RULE_FAILED}: the rule raised {type(error).__name__}.")
            denied = True
        reasons.append(reason)
    if denied:
        ruling, tier = Ruling.DENY, RiskTier.HIGH
    elif not reasons:
        ruling, tier = Ruling.ALLOW, RiskTier.LOW
    else:
        ruling, tier = (Ruling.ALLOW if facts.approved_by else Ruling.REQUIRE_APPROVAL), RiskTier.MEDIUM
    return Decision(ruling, tier, tuple(reasons), settings.version)


def _denies(reason: Reason) -> bool:
    """Whether this reason denies. Raises ValueError for what a rule may not return."""
    if not isinstance(reason, Reason) or reason.ruling not in (Ruling.DENY, Ruling.REQUIRE_APPROVAL):
        raise ValueError("A rule answers with a reason that denies or asks for an approval, or with None.")
    return reason.ruling is Ruling.DENY


def _failure(rule: Rule, message: str) -> Reason:
    return Reason(getattr(rule, "__name__", type(rule).__name__), message, Ruling.DENY)
