"""The rules of a treasury: who may spend how much on what, and who has to be asked. Frozen, checked, and as JSON.

Amounts are ints in base units (of the gas budget: wei). A limit that is None is not applied, except that without
`total_budget`, and without `spending_limit` and `daily_limit` of its agent, a request is denied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Self

from actp.errors import InvalidInput
from actp.units import shown
from coordinator.budget.checks import a_name
from coordinator.budget.roles import ROLE_LIMITS, AgentLimits
from coordinator.budget.rules import (
    AgentRules,
    ApprovalRules,
    CategoryRules,
    GasRules,
    Tier,
    addresses,
    check_limit,
    rates,
)
from coordinator.budget.words import Period
from coordinator.canonical import digest

__all__ = [
    "CATEGORIES",
    "CATEGORY_BUDGETS",
    "DEFAULT_CATEGORY",
    "AgentRules",
    "ApprovalRules",
    "CategoryRules",
    "GasRules",
    "RuleBook",
    "Tier",
]

CATEGORIES = ("data", "compute", "api", "other")
"""The usual categories."""
DEFAULT_CATEGORY = "other"
"""Where what named no category is read, and, where the rules say so, counted and limited."""
CATEGORY_BUDGETS: Mapping[str, int] = MappingProxyType(
    {"data": 300_000_000, "compute": 500_000_000, "api": 200_000_000, "other": 100_000_000}
)
"""Their budgets where nobody has set any, in base units of USDC."""

_FORM = 1


@dataclass(frozen=True)
class RuleBook:
    """All rules of a treasury. `version` is the ledger's number for them, 0 for rules that no ledger has yet: it is no
    part of their content.

    `providers` None lets everybody be paid. A request must name one of `categories`, or none, unless
    `require_category` denies that: then it is one of `default_category` (DEFAULT_CATEGORY), or, where that is None,
    counted for itself and limited by no category. `alerts_at` are the percentages of a budget at which people are told.
    """

    total_budget: int | None = None
    agents: Mapping[str, AgentRules] = field(default_factory=dict)
    categories: Mapping[str, CategoryRules] = field(
        default_factory=lambda: {name: CategoryRules() for name in CATEGORIES}
    )
    providers: frozenset[str] | None = None
    require_category: bool = False
    default_category: str | None = None
    roles: Mapping[str, AgentLimits] = field(default_factory=lambda: dict(ROLE_LIMITS))
    approvals: ApprovalRules = field(default_factory=ApprovalRules)
    gas: GasRules | None = None
    rate: Mapping[Period, int] = field(default_factory=dict)
    alerts_at: tuple[int, ...] = (80, 90, 100)
    version: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        check_limit(self.total_budget, "total_budget")
        for name, agent in self.agents.items():
            if agent.id != name:
                raise InvalidInput(f"The agent {agent.id!r} is listed as {name!r}.")
        for name in self.categories:
            a_name(name, "categories")
        if self.default_category not in (None, DEFAULT_CATEGORY):
            raise InvalidInput(
                f"default_category must be {DEFAULT_CATEGORY!r} or None, not {shown(self.default_category)}."
            )
        for field_name in ("agents", "categories", "roles"):
            object.__setattr__(self, field_name, MappingProxyType(dict(getattr(self, field_name))))
        object.__setattr__(self, "providers", addresses(self.providers, "providers"))
        object.__setattr__(self, "rate", rates(self.rate))
        for percent in self.alerts_at:
            if type(percent) is not int or not 0 < percent <= 100:
                raise InvalidInput(f"alerts_at holds percentages from 1 to 100, not {shown(percent)}.")
        object.__setattr__(self, "alerts_at", tuple(sorted(set(self.alerts_at))))

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of the canonical form: equal rules, however written, have equal ones."""
        return digest(self.to_json())

    def with_agent(self, agent: AgentRules) -> Self:
        """These rules and an agent, instead of the one of the same id."""
        return replace(self, agents={**self.agents, agent.id: agent})

    def to_json(self) -> dict[str, Any]:
        """Plain data that `from_json` reads back; amounts as strings."""
        return {
            "form": _FORM,
            "total_budget": _text(self.total_budget),
            "agents": [_agent_json(self.agents[name]) for name in sorted(self.agents)],
            "categories": {name: _budget_json(one) for name, one in self.categories.items()},
            "providers": _listed(self.providers),
            "require_category": self.require_category,
            # Left out where it is None: rules of before there was this key keep their hash.
            **({} if self.default_category is None else {"default_category": self.default_category}),
            "roles": {
                name: [str(one.spending_limit), str(one.daily_limit), str(one.requires_approval)]
                for name, one in self.roles.items()
            },
            "approvals": {
                "required": self.approvals.required,
                "approvers": list(self.approvals.approvers),
                "seconds": self.approvals.seconds,
                "tiers": [[str(tier.over), tier.required] for tier in self.approvals.tiers],
                "roles": _listed(self.approvals.roles),
            },
            "gas": None if self.gas is None else _budget_json(self.gas),
            "rate": {str(period): most for period, most in self.rate.items()},
            "alerts_at": list(self.alerts_at),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any], version: int = 0) -> Self:
        """The rules that `to_json` wrote. Raises InvalidInput if they are of another form."""
        if content.get("form") != _FORM:
            raise InvalidInput(
                f"These rules are of the form {shown(content.get('form'))}, and not of {_FORM}.",
                hint="They were written by another version of this program.",
            )
        approvals, gas, providers = content["approvals"], content["gas"], content["providers"]
        agents = [_agent_of(one) for one in content["agents"]]
        return cls(
            total_budget=_number(content["total_budget"]),
            agents={one.id: one for one in agents},
            categories={
                name: CategoryRules(_number(one["budget"]), Period(one["period"]))
                for name, one in content["categories"].items()
            },
            providers=None if providers is None else frozenset(providers),
            require_category=content["require_category"],
            default_category=content.get("default_category"),
            roles={name: AgentLimits(*map(int, one)) for name, one in content["roles"].items()},
            approvals=ApprovalRules(
                approvals["required"],
                tuple(approvals["approvers"]),
                approvals["seconds"],
                tuple(Tier(int(over), required) for over, required in approvals["tiers"]),
                frozenset(approvals["roles"]),
            ),
            gas=None if gas is None else GasRules(int(gas["budget"]), Period(gas["period"])),
            rate={Period(period): most for period, most in content["rate"].items()},
            alerts_at=tuple(content["alerts_at"]),
            version=version,
        )


def _agent_json(agent: AgentRules) -> dict[str, Any]:
    return {
        "id": agent.id,
        "name": agent.name,
        "address": agent.address,
        "spending_limit": _text(agent.spending_limit),
        "daily_limit": _text(agent.daily_limit),
        "requires_approval": _text(agent.requires_approval),
        "role": agent.role,
        "daily_period": str(agent.daily_period),
        "weekly_limit": _text(agent.weekly_limit),
        "monthly_limit": _text(agent.monthly_limit),
        "budget": _text(agent.budget),
        "providers": _listed(agent.providers),
        "categories": _listed(agent.categories),
        "rate": {str(period): most for period, most in agent.rate.items()},
    }


def _agent_of(content: Mapping[str, Any]) -> AgentRules:
    amounts = ("spending_limit", "daily_limit", "requires_approval", "weekly_limit", "monthly_limit", "budget")
    lists = ("providers", "categories")
    return AgentRules(
        **{
            **content,
            **{name: _number(content[name]) for name in amounts},
            **{name: None if content[name] is None else frozenset(content[name]) for name in lists},
            "rate": {Period(period): most for period, most in content["rate"].items()},
        }
    )


def _budget_json(rules: CategoryRules | GasRules) -> dict[str, Any]:
    return {"budget": _text(rules.budget), "period": str(rules.period)}


def _text(amount: int | None) -> str | None:
    return None if amount is None else str(amount)


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def _listed(names: frozenset[str] | None) -> list[str] | None:
    return None if names is None else sorted(names)
