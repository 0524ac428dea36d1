"""The coordinator for programs. Start in README.md."""

from __future__ import annotations

from coordinator.api.coordinator import BudgetCoordinator
from coordinator.api.records import (
    AgentConfig,
    BudgetReport,
    Category,
    PurchaseResult,
    SpendingRecord,
    SpendingResponse,
)
from coordinator.authority import KeyTaken
from coordinator.budget.requests import SpendingRequest
from coordinator.budget.roles import AgentLimits, AgentRole, get_limits_for_role

__all__ = [
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
]
