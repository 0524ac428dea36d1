"""What programs hand to a coordinator and get from it. Amounts are ints in base units unless it says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypedDict

from coordinator.budget.rules import AgentRules
from coordinator.budget.words import Period

__all__ = ["AgentConfig", "BudgetReport", "Category", "PurchaseResult", "SpendingRecord", "SpendingResponse"]

Category = Literal["data", "compute", "api", "other"]
"""The usual categories."""


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """An agent and its limits: the most of one request, the most of a day, and above what somebody has to approve.

    `role` fills in limits that are left out. The rest narrows what the agent may do; see
    `coordinator.budget.rules.AgentRules`. `address` is for people.
    """

    id: str
    name: str
    address: str
    spending_limit: int | None = None
    daily_limit: int | None = None
    requires_approval: int | None = None
    role: str | None = None
    categories: frozenset[str] | None = None
    providers: frozenset[str] | None = None
    daily_period: Period = Period.DAY
    weekly_limit: int | None = None
    monthly_limit: int | None = None
    budget: int | None = None
    rate: Mapping[Period, int] = field(default_factory=dict)

    @classmethod
    def of(cls, rules: AgentRules) -> AgentConfig:
        """An agent as it is registered."""
        return cls(**{name: getattr(rules, name) for name in cls.__dataclass_fields__})


@dataclass(frozen=True, slots=True)
class SpendingRecord:
    """Money in an escrow, or paid out of one. `amount` is what was paid and has not come back, `returned` what has;
    `timestamp` is when it was asked for, in unix seconds.
    """

    agent_id: str
    amount: int
    tx_id: str
    timestamp: int
    provider: str
    purpose: str
    category: str = "other"
    returned: int = 0


@dataclass(frozen=True, slots=True)
class SpendingResponse:
    """What became of a request. `approved`: it is granted, and `tx_id` is the ACTP transaction that it has or will
    have; `state` says how far that is (`held`, `submitting`, `on_chain`, `committed`).

    Else `reason` says why not, `rule` names the rule, and `limit` and `used` are its numbers where it has any. What
    waits for a yes `requires_approval`. What remains is what may still be asked for, today and in all, also
    after a denial; None where there is no such limit.
    """

    approved: bool
    tx_id: str | None = None
    reason: str | None = None
    requires_approval: bool = False
    approval_id: str | None = None
    remaining_daily: int | None = None
    remaining_total: int | None = None
    state: str | None = None
    rule: str | None = None
    limit: int | None = None
    used: int | None = None
    reservation_id: int | None = None


class BudgetReport(TypedDict):
    """Where the budget is: `total_budget = total_spent + reserved + remaining` (which is negative if the budget was
    lowered below what is in use). `total_spent` lies in escrows or was paid out of them, `reserved` is promised and not
    funded yet, what waits for approval included. `by_agent` is what each has spent, in USDC, for people.
    """

    total_budget: int
    total_spent: int
    remaining: int
    by_agent: dict[str, float]
    pending_approvals: list[str]
    reserved: int


@dataclass(frozen=True, slots=True)
class PurchaseResult:
    """What became of a purchase of a `BudgetedAgent`."""

    success: bool
    tx_id: str | None = None
    error: str | None = None
