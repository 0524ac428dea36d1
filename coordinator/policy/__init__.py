"""Who may spend what: settings, facts, and the decision that follows from them. Pure; no I/O but reading a file of
settings, and no clock.
"""

from coordinator.policy.evaluate import MISSING_FACT, RULE_FAILED, evaluate
from coordinator.policy.facts import Counts, Facts
from coordinator.policy.rules import RULES, Rule
from coordinator.policy.settings import ANY, PolicyError, PolicySettings, RateCaps

__all__ = [
    "ANY",
    "MISSING_FACT",
    "RULES",
    "RULE_FAILED",
    "Counts",
    "Facts",
    "PolicyError",
    "PolicySettings",
    "RateCaps",
    "Rule",
    "evaluate",
]
