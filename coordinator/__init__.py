"""The spending authority above `actp`: who may spend what, and proof of what happened.

    from coordinator import AgentConfig, BudgetCoordinator, BudgetedAgent

    with BudgetCoordinator(client, total_budget=1_000_000_000) as coordinator:
        coordinator.register_agent(AgentConfig("ann", "Ann", "0x...", 100_000_000, 300_000_000, 50_000_000))
        BudgetedAgent("ann", coordinator, client).purchase_service("0x...", 25_000_000, "Papers")

Names load on first use, because what they need takes seconds to import and most command lines do not need it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coordinator.agents import BudgetedAgent as BudgetedAgent
    from coordinator.api import AgentConfig as AgentConfig
    from coordinator.api import AgentLimits as AgentLimits
    from coordinator.api import AgentRole as AgentRole
    from coordinator.api import BudgetCoordinator as BudgetCoordinator
    from coordinator.api import BudgetReport as BudgetReport
    from coordinator.api import Category as Category
    from coordinator.api import KeyTaken as KeyTaken
    from coordinator.api import PurchaseResult as PurchaseResult
    from coordinator.api import SpendingRecord as SpendingRecord
    from coordinator.api import SpendingRequest as SpendingRequest
    from coordinator.api import SpendingResponse as SpendingResponse
    from coordinator.api import get_limits_for_role as get_limits_for_role

_HOMES = {
    "coordinator.agents": ("BudgetedAgent",),
    "coordinator.api": (
        "AgentConfig",
        "AgentLimits",
        "AgentRole",
        "BudgetCoordinator",
        "BudgetReport",
        "Category",
        "KeyTaken",
        "PurchaseResult",
        "SpendingRecord",
        "SpendingRequest",
        "SpendingResponse",
        "get_limits_for_role",
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [*_HOME_OF]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
