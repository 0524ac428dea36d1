"""Limits that another one makes unreachable: one of the two is not what was meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from coordinator.budget.rulebook import AgentRules, RuleBook
from coordinator.budget.wording import decimals
from coordinator.budget.words import Period

__all__ = ["Written", "contradictions"]

_ORDER = ("spending_limit", "daily_limit", "weekly_limit", "monthly_limit", "budget")


@dataclass
class Written:
    """What a file says itself. A preset of a role may be above a total: whatever is smaller counts."""

    agents: dict[str, frozenset[str]] = field(default_factory=dict)
    categories: set[str] = field(default_factory=set)


def contradictions(book: RuleBook, written: Written) -> list[str]:
    """One line for each, which begins with the key."""
    found = [*_of_rate("rate", book.rate), *_of_approvals(book)]
    for name, category in book.categories.items():
        if name in written.categories:
            found += _above(f"categories.{name}", category.budget, "total_budget", book.total_budget)
    for name, agent in book.agents.items():
        found += _of_agent(book, agent, f"agents.{name}", written.agents.get(name, frozenset()))
    return found


def _of_agent(book: RuleBook, agent: AgentRules, where: str, keys: frozenset[str]) -> Iterator[str]:
    outer = [(name, getattr(agent, name)) for name in _ORDER] + [("total_budget", book.total_budget)]
    for position, (name, value) in enumerate(outer[:-1]):
        if name in keys:
            for larger, most in outer[position + 1 :]:
                lines = list(_above(f"{where}.{name}", value, larger, most))
                yield from lines
                if lines:
                    break
    if "requires_approval" in keys:
        yield from _above(f"{where}.requires_approval", agent.requires_approval, "spending_limit", agent.spending_limit)
    unknown = sorted((agent.categories or frozenset()) - book.categories.keys())
    if unknown:
        yield f"{where}.categories: {', '.join(unknown)} is no category; those are {', '.join(book.categories)}"
    if agent.providers is not None and book.providers is not None:
        for provider in sorted(agent.providers - book.providers):
            yield f"{where}.providers: {provider} is not among the providers of all, so it can never be paid"
    yield from _of_rate(f"{where}.rate", agent.rate)


def _of_rate(where: str, rate: Mapping[Period, int]) -> Iterator[str]:
    hour, day = rate.get(Period.HOUR), rate.get(Period.DAY)
    if hour is not None and day is not None and hour > day:
        yield f"{where}.hour: {hour} can never be reached, as day allows only {day}"


def _of_approvals(book: RuleBook) -> Iterator[str]:
    rules = book.approvals
    for lower, higher in pairwise(rules.tiers):
        if higher.over == lower.over or higher.required <= lower.required:
            yield (
                f"approvals.tiers: above {decimals(higher.over)} USDC {higher.required} must say yes, and above "
                f"{decimals(lower.over)} USDC {lower.required} already"
            )
    if rules.approvers:
        voters = len({*rules.approvers, *(one.id for one in book.agents.values() if one.role in rules.roles)})
        most = max([rules.required, *(tier.required for tier in rules.tiers)])
        if most > voters + 1:
            yield f"approvals: {most} yeses can never be reached by {voters} approvers and the operator"


def _above(key: str, value: int | None, name: str, most: int | None) -> Iterator[str]:
    if value is not None and most is not None and value > most:
        yield f"{key}: {decimals(value)} USDC can never be reached, as {name} is {decimals(most)} USDC"
