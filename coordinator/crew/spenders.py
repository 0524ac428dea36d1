"""Who spends, out of what and on whom, within which limits; and what is asked for in vain."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from coordinator.budget.checks import RESERVED_NAMES
from coordinator.budget.roles import AgentRole
from coordinator.crew.fields import Amount, Contradiction, Duration, Funding, Id, Line, Name, Price, Table

__all__ = ["Agent", "Budget", "DenialRule", "Denied", "Provider", "Treasury"]

_HOUR = 3_600


class Treasury(Table):
    """The account whose key pays for all agents."""

    name: Name = "Treasury"
    funding: Funding


class Budget(Table):
    """What all agents may spend together, on what, and on whom. What is left out is not limited, but for the total:
    that is then what the treasury gets. `providers` are ids.
    """

    total: Amount | None = None
    categories: dict[Id, Amount] = Field(default_factory=dict)
    providers: Annotated[tuple[str, ...], Field(strict=False)] | None = None
    approvals_expire_after_seconds: Duration = Field(default=24 * _HOUR, alias="approvals_expire_after")


class Agent(Table):
    """A named spender. It holds no key: the treasury pays on its behalf.

    A role fills in limits that are left out; without one an agent may spend what the total budget allows, and nobody
    is asked.
    """

    id: Id
    name: Name
    role: AgentRole | None = None
    spending_limit: Amount | None = None
    daily_limit: Amount | None = None
    requires_approval: Amount | None = None
    requests_per_day: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Agent:
        if self.id in RESERVED_NAMES:
            raise Contradiction(f"no agent can be called '{self.id}'", at="id")
        return self


class Provider(Table):
    """Who delivers and is paid. `funding` is what it owns already, which it needs only for a dispute of its own."""

    id: Id
    name: Name
    funding: Funding = 0


DenialRule = Literal[
    "unknown_agent",
    "provider_allow_list",
    "unknown_category",
    "spending_limit",
    "daily_limit",
    "category_budget",
    "total_budget",
    "agent_rate",
    "treasury_balance",
    "paused",
    "rejected",
    "approval_expired",
]
"""What a denial of this story can name."""


class Denied(Table):
    """A request that the rules deny, and the rule that does. The agent may be one that nobody has registered.

    With the rule `paused` its agent is paused for as long as it asks; `rejected` and `approval_expired` are requests
    that wait for an approval, to which somebody says no or nobody says anything.
    """

    id: Id
    agent: Id
    provider: str
    amount: Price
    category: str | None = None
    purpose: Line
    asked_after_seconds: Duration = Field(default=0, alias="asked_after")
    rule: DenialRule
