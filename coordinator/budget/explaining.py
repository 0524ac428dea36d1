"""Rules as sentences: what a file means before it is applied, and what applying it would change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from actp.units import format_ether, format_usdc
from coordinator.budget.limits import limits
from coordinator.budget.rulebook import AgentRules, ApprovalRules, CategoryRules, GasRules, RuleBook, Tier
from coordinator.budget.words import REQUESTS, Period, Scope, ScopeKind

__all__ = ["diff", "explain"]

_PERIODS = {
    Period.EVER: "in all",
    Period.HOUR: "an hour",
    Period.DAY: "a day (UTC)",
    Period.WEEK: "a week (from Monday, UTC)",
    Period.MONTH: "a month (UTC)",
    Period.ROLLING_DAY: "within 24 hours",
}
_STARTS = "starts at 0 now"
_TOKEN = "USDC"
"""Stands for the token's address, which rules do not know."""


def explain(book: RuleBook) -> list[str]:
    """What the rules mean, a line for each."""
    return [f"{what}: {said}" for what, said in _sentences(book).items()]


def diff(old: RuleBook, new: RuleBook) -> list[str]:
    """What is different in the new rules, a line for each: `+` is new, `-` is gone, `~` changes from one to the other.
    Nothing if they mean the same. What was not counted before within the period of a new limit is not counted now.
    """
    before, after, fresh = _sentences(old), _sentences(new), _uncounted(old, new)
    lines = []
    for what in dict.fromkeys((*after, *before)):
        was, becomes = before.get(what), after.get(what)
        starts = f" ({_STARTS})" if what in fresh else ""
        if was is None:
            lines.append(f"+ {what}: {becomes}{starts}")
        elif becomes is None:
            lines.append(f"- {what}: {was}")
        elif was != becomes:
            lines.append(f"~ {what}: {was} -> {becomes}{starts}")
    return lines


def _uncounted(old: RuleBook, new: RuleBook) -> frozenset[str]:
    """The names of limits on what the old rules did not count, of those whom the old rules knew."""
    counted = {one.scope for one in limits(old, _TOKEN)}
    known = {ScopeKind.AGENT: old.agents.keys(), ScopeKind.CATEGORY: old.categories.keys()}
    return frozenset(
        _what(one.scope)
        for one in limits(new, _TOKEN)
        if one.limit is not None and one.scope not in counted
        if one.scope.kind not in known or one.scope.key in known[one.scope.kind]
    )


def _what(scope: Scope) -> str:
    """What the sentence about a limit on this scope is called."""
    requests = f"requests {_PERIODS[scope.period]}"
    if scope.kind is ScopeKind.AGENT:
        return f"agent {scope.key}, {requests if scope.unit == REQUESTS else _PERIODS[scope.period]}"
    if scope.kind is ScopeKind.CATEGORY:
        return f"category {scope.key}"
    if scope.kind is ScopeKind.GAS:
        return "gas"
    return f"requests of all agents {_PERIODS[scope.period]}" if scope.unit == REQUESTS else "total budget"


def _sentences(book: RuleBook) -> dict[str, str]:
    """Each rule's name and what it says; rules that are not applied say so, where that is worth knowing."""
    said = {
        "total budget": "none, so everything is denied" if book.total_budget is None else _usdc(book.total_budget),
        "providers": _one_of(book.providers, "anybody may be paid", "nobody may be paid"),
        "category": _category_needed(book),
    }
    for name, category in book.categories.items():
        said[f"category {name}"] = _category(category)
    said.update(_approvals(book.approvals))
    if book.gas is not None:
        said["gas"] = _gas(book.gas)
    said.update(
        (_what(Scope(ScopeKind.TOTAL, "", period, REQUESTS)), f"at most {most}") for period, most in book.rate.items()
    )
    said["alerts"] = ", ".join(f"{percent} %" for percent in book.alerts_at) or "none"
    for name, preset in book.roles.items():
        said[f"role {name}"] = (
            f"{_usdc(preset.spending_limit)} a request, {_usdc(preset.daily_limit)} a day, approval above "
            f"{_usdc(preset.requires_approval)}"
        )
    for agent in book.agents.values():
        said.update((f"agent {agent.id}, {what}", how) for what, how in _agent(agent))
    return said


def _agent(agent: AgentRules) -> Iterator[tuple[str, str]]:
    yield "name", agent.name
    if agent.address:
        yield "address", agent.address
    if agent.role is not None:
        yield "role", agent.role
    for what, limit in (("a request", agent.spending_limit), (_PERIODS[agent.daily_period], agent.daily_limit)):
        yield what, "no limit is set, so everything is denied" if limit is None else f"at most {_usdc(limit)}"
    for what, limit in (
        (_PERIODS[Period.WEEK], agent.weekly_limit),
        (_PERIODS[Period.MONTH], agent.monthly_limit),
        (_PERIODS[Period.EVER], agent.budget),
    ):
        if limit is not None:
            yield what, f"at most {_usdc(limit)}"
    above = agent.requires_approval
    yield "approval", "never needed" if above is None else f"needed above {_usdc(above)}"
    if agent.providers is not None:
        yield "providers", _one_of(agent.providers, "", "nobody may be paid")
    if agent.categories is not None:
        yield "categories", _one_of(agent.categories, "", "none, so everything is denied")
    for period, most in agent.rate.items():
        yield f"requests {_PERIODS[period]}", f"at most {most}"


def _approvals(rules: ApprovalRules) -> Mapping[str, str]:
    roles = f", and agents in the role of {' or '.join(sorted(rules.roles))}" if rules.roles else ""
    said: dict[str, str] = {
        "approvals": f"{rules.required} needed, within {_span(rules.seconds)}",
        "approvers": f"the operator, {', '.join(rules.approvers) or 'anybody with another name'}{roles}",
    }
    return said | {f"approvals above {_usdc(tier.over)}": _tier(tier) for tier in rules.tiers}


def _span(seconds: int) -> str:
    for name, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size} {name}{'' if seconds == size else 's'}"
    return f"{seconds} seconds"


def _tier(tier: Tier) -> str:
    return f"{tier.required} needed"


def _category_needed(book: RuleBook) -> str:
    if book.require_category:
        return "every request must name one"
    if book.default_category is None:
        return "a request may name none, and is limited by none then"
    return f"a request that names none is one of {book.default_category}"


def _category(rules: CategoryRules) -> str:
    return "counted, not limited" if rules.budget is None else f"{_usdc(rules.budget)} {_PERIODS[rules.period]}"


def _gas(rules: GasRules) -> str:
    return f"{format_ether(rules.budget)} ETH {_PERIODS[rules.period]}"


def _one_of(names: frozenset[str] | None, unlimited: str, empty: str) -> str:
    if names is None:
        return unlimited
    return f"only {', '.join(sorted(names))}" if names else empty


def _usdc(amount: int) -> str:
    return f"{format_usdc(amount)} USDC"
