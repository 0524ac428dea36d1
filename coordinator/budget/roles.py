"""Presets of limits by role. Amounts in base units of USDC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from actp.errors import InvalidInput
from actp.units import shown

__all__ = ["APPROVING_ROLES", "ROLE_LIMITS", "AgentLimits", "AgentRole", "get_limits_for_role"]

AgentRole = Literal["junior", "senior", "admin"]

APPROVING_ROLES = frozenset({"senior", "admin"})
"""Whose agents may approve requests of others, up to their own limit for one."""


@dataclass(frozen=True, slots=True)
class AgentLimits:
    """The most for one request, the most in a day, and above what somebody has to approve it."""

    spending_limit: int
    daily_limit: int
    requires_approval: int


ROLE_LIMITS: Mapping[str, AgentLimits] = MappingProxyType(
    {
        "junior": AgentLimits(50_000_000, 100_000_000, 25_000_000),
        "senior": AgentLimits(500_000_000, 1_000_000_000, 200_000_000),
        "admin": AgentLimits(10_000_000_000, 50_000_000_000, 5_000_000_000),
    }
)


def get_limits_for_role(role: AgentRole) -> AgentLimits:
    """The limits of a role. Raises InvalidInput for any other one."""
    try:
        return ROLE_LIMITS[role]
    except (KeyError, TypeError):
        raise InvalidInput(f"There is no role {shown(role)}.", hint=f"Roles are {', '.join(ROLE_LIMITS)}.") from None
