"""The rules: each a pure function from the facts and the settings to a reason, or to None if it has nothing to say.

A rule whose setting is None says nothing. Limits are inclusive: what reaches them passes, what exceeds them does not.
A rule raises when it cannot judge; `evaluate` turns that into a denial.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from coordinator.policy import limits, permissions, quotes
from coordinator.policy.facts import Facts
from coordinator.policy.settings import PolicySettings
from coordinator.types import Reason

__all__ = ["RULES", "Rule"]

Rule: TypeAlias = Callable[[Facts, PolicySettings], Reason | None]

RULES: tuple[Rule, ...] = (
    limits.amount_is_sound,
    permissions.allowed_intents,
    permissions.allowed_contracts,
    permissions.allowed_providers,
    permissions.allowed_spenders,
    limits.max_amount,
    limits.max_concentration_bps,
    limits.max_fee_wei,
    quotes.max_slippage_bps,
    quotes.max_quote_age_seconds,
    limits.max_token_exposure,
    limits.max_contract_exposure,
    limits.max_counterparty_exposure,
    limits.max_daily_loss,
    limits.max_drawdown_bps,
    limits.agent_rate,
    limits.wallet_rate,
    quotes.oracle_deviation_bps,
    limits.approval_over,
    permissions.require_approval_on_demand,
)
"""Every rule. The order is that of the reasons, and changes no ruling."""
