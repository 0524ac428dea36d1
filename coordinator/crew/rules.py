"""The rules of a scenario, as the coordinator takes them. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from coordinator.budget.roles import ROLE_LIMITS
from coordinator.budget.rulebook import AgentRules, ApprovalRules, CategoryRules, RuleBook
from coordinator.budget.words import Period
from coordinator.crew.scenario import Scenario
from coordinator.crew.spenders import Agent

__all__ = ["APPROVER", "agent_rules", "needs_approval", "rule_book"]

APPROVER = "scripted approver for this demo"
"""Who says yes and no: nobody sits in front of a demo."""


def rule_book(scenario: Scenario, addresses: Mapping[str, str]) -> RuleBook:
    """The rules of a scenario; `addresses` are those of the providers by their ids."""
    budget = scenario.budget
    return RuleBook(
        total_budget=scenario.total_budget,
        agents={agent.id: agent_rules(agent, scenario.total_budget) for agent in scenario.agents},
        categories={name: CategoryRules(amount) for name, amount in budget.categories.items()},
        providers=None if budget.providers is None else frozenset(addresses[one] for one in budget.providers),
        approvals=ApprovalRules(approvers=(APPROVER,), seconds=budget.approvals_expire_after_seconds),
    )


def agent_rules(agent: Agent, total_budget: int) -> AgentRules:
    """An agent's limits: its own, else those of its role, else the total budget."""
    role = None if agent.role is None else ROLE_LIMITS[agent.role]
    most, daily, asked = (
        (total_budget, total_budget, None)
        if role is None
        else (role.spending_limit, role.daily_limit, role.requires_approval)
    )
    return AgentRules(
        id=agent.id,
        name=agent.name,
        role=agent.role,
        spending_limit=most if agent.spending_limit is None else agent.spending_limit,
        daily_limit=daily if agent.daily_limit is None else agent.daily_limit,
        requires_approval=asked if agent.requires_approval is None else agent.requires_approval,
        rate={} if agent.requests_per_day is None else {Period.DAY: agent.requests_per_day},
    )


def needs_approval(scenario: Scenario, agent_id: str, amount: int) -> bool:
    """Whether somebody has to say yes to a request of an agent, in base units."""
    threshold = agent_rules(scenario.agent(agent_id), scenario.total_budget).requires_approval
    return threshold is not None and amount > threshold
