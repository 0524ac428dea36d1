"""Rules from a TOML file: coordinator/budget/README.md shows one with every key.

Nothing is taken on trust: unknown keys, values that are none, limits that are missing, and limits that another one
makes unreachable are problems, and all of them are told at once.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from actp.errors import ConfigError, InvalidInput
from actp.units import shown
from coordinator.budget import tables
from coordinator.budget.contradictions import Written, contradictions
from coordinator.budget.roles import APPROVING_ROLES, ROLE_LIMITS, AgentLimits
from coordinator.budget.rulebook import (
    CATEGORIES,
    DEFAULT_CATEGORY,
    AgentRules,
    ApprovalRules,
    CategoryRules,
    GasRules,
    RuleBook,
    Tier,
)
from coordinator.budget.rules import DAILY_PERIODS, RATE_PERIODS
from coordinator.budget.tables import Table
from coordinator.budget.words import Period

__all__ = ["RulesError", "load", "rules_from"]

_MAX_BYTES = 1_000_000
_NEVER = "never"
_NONE = "none"
_KEYS = (
    "total_budget", "providers", "require_category", "default_category", "categories", "roles", "agents", "approvals",
    "gas", "rate", "alerts_at",
)  # fmt: skip
_THREE = ("spending_limit", "daily_limit", "requires_approval")
_FURTHER = ("weekly_limit", "monthly_limit", "budget")
_AGENT_KEYS = ("name", "address", "role", *_THREE, "daily_period", *_FURTHER, "providers", "categories", "rate")


class RulesError(ConfigError):
    """A file that no rules can be made of: one line for each thing that is wrong, which begins with its key."""

    default_code = "rules"

    def __init__(self, problems: Sequence[str], *, source: str = "These rules") -> None:
        super().__init__("\n".join([f"{source} cannot be used:", *(f"  {problem}" for problem in problems)]))
        self.problems = tuple(problems)


def load(path: str | Path) -> RuleBook:
    """The rules in a file. Raises RulesError, which names it."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise RulesError([f"cannot be read: {error.strerror or error}"], source=str(path)) from None
    if len(raw) > _MAX_BYTES:
        raise RulesError([f"larger than {_MAX_BYTES:,} bytes"], source=str(path))
    try:
        return rules_from(tomllib.loads(raw.decode("utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RulesError([f"not TOML: {error}"], source=str(path)) from None
    except RulesError as error:
        raise RulesError(error.problems, source=str(path)) from None


def rules_from(data: Mapping[str, Any]) -> RuleBook:
    """Rules from plain data, such as a parsed file. Raises RulesError."""
    problems: list[str] = []
    file = Table(data, "", problems, _KEYS)
    written = Written()
    total = file.get("total_budget", tables.usdc, None)
    if "total_budget" not in file:
        file.note("total_budget", "missing; without it everything would be denied")
    roles, approving = _roles(file)
    categories = _categories(file, written)
    agents = _agents(file, roles, written)
    try:
        book = RuleBook(
            total_budget=total,
            agents=agents,
            categories=categories,
            providers=file.get("providers", tables.address_list, None),
            require_category=file.get("require_category", tables.flag, False),
            default_category=_default_category(file, categories),
            roles=roles,
            approvals=_approvals(file, approving),
            gas=_gas(file),
            rate=_rate(file),
            alerts_at=file.get("alerts_at", _percentages, RuleBook().alerts_at),
        )
    except InvalidInput as error:
        problems.append(error.message)
    else:
        problems.extend(contradictions(book, written))
    if problems:
        raise RulesError(problems)
    return book


def _roles(file: Table) -> tuple[dict[str, AgentLimits], frozenset[str]]:
    """The presets, those of the file among them, and the roles whose agents may approve."""
    roles, approving = dict(ROLE_LIMITS), set(APPROVING_ROLES)
    listed = file.table("roles", None)
    for name in listed.values:
        table = listed.table(name, (*_THREE, "approves"))
        for key in _THREE:
            if key not in table:
                table.note(key, "missing")
        roles[name] = AgentLimits(*(table.get(key, tables.usdc, 0) for key in _THREE))
        (approving.add if table.get("approves", tables.flag, False) else approving.discard)(name)
    return roles, frozenset(approving)


def _categories(file: Table, written: Written) -> dict[str, CategoryRules]:
    if "categories" not in file:
        return {name: CategoryRules() for name in CATEGORIES}
    listed = file.table("categories", None)
    categories = {}
    for name, value in listed.values.items():
        if isinstance(value, Mapping):
            table = listed.table(name, ("budget", "period"))
            budget = table.get("budget", tables.usdc, None)
            categories[name] = CategoryRules(budget, table.get("period", tables.period, Period.EVER))
        else:
            categories[name] = CategoryRules(listed.get(name, tables.usdc, None))
        written.categories.add(name)
    return categories


def _default_category(file: Table, categories: Collection[str]) -> str | None:
    """What a request is that names no category: the default one, where there is such a category."""
    usual = DEFAULT_CATEGORY if DEFAULT_CATEGORY in categories else None
    found = file.get("default_category", _other_or_none, usual)
    if found is not None and found not in categories:
        file.note("default_category", f"{found} is no category; those are {', '.join(categories)}")
    return found


def _agents(file: Table, roles: Mapping[str, AgentLimits], written: Written) -> dict[str, AgentRules]:
    listed = file.table("agents", None)
    agents = {}
    for name in listed.values:
        agent = _agent(name, listed.table(name, _AGENT_KEYS), roles, written)
        if agent is not None:
            agents[name] = agent
    return agents


def _agent(name: str, table: Table, roles: Mapping[str, AgentLimits], written: Written) -> AgentRules | None:
    role = table.get("role", tables.text, None)
    preset = None
    if role is not None:
        preset = roles.get(role)
        if preset is None:
            table.note("role", f"there is no role {shown(role)}; those are {', '.join(roles)}")
    limits: dict[str, Any] = {}
    for key in _THREE:
        limits[key] = table.get(key, _or_never if key == "requires_approval" else tables.usdc, None)
        if key not in table:
            limits[key] = None if preset is None else getattr(preset, key)
            if role is None:
                never = f', or "{_NEVER}"' if key == "requires_approval" else ""
                table.note(key, f"missing; write an amount{never}, or give the agent a role")
    for key in _FURTHER:
        limits[key] = table.get(key, tables.usdc, None)
    written.agents[name] = frozenset(table.values)
    categories = table.get("categories", tables.name_list, None)
    before = len(table.problems)
    fields: dict[str, Any] = {
        "address": table.get("address", tables.text, ""),
        "daily_period": table.get("daily_period", _daily_period, Period.DAY),
        "providers": table.get("providers", tables.address_list, None),
        "rate": _rate(table),
    }
    try:
        return AgentRules(
            id=name,
            name=table.get("name", tables.text, name),
            role=role,
            categories=None if categories is None else frozenset(categories),
            **limits,
            **fields,
        )
    except InvalidInput as error:
        if len(table.problems) == before:
            table.note("", error.message)
        return None


def _approvals(file: Table, roles: frozenset[str]) -> ApprovalRules:
    table = file.table("approvals", ("required", "approvers", "expire_seconds", "tiers"))
    tiers = []
    given = table.values.get("tiers", [])
    if not isinstance(given, list):
        table.note("tiers", "must be a list of tables")
        given = []
    for position, value in enumerate(given):
        tier = Table(value, f"{table.path('tiers')}[{position}]", file.problems, ("over", "required"))
        for key in ("over", "required"):
            if key not in tier:
                tier.note(key, "missing")
        tiers.append(Tier(tier.get("over", tables.usdc, 0), tier.get("required", tables.count, 1)))
    usual = ApprovalRules()
    return ApprovalRules(
        table.get("required", tables.count, usual.required),
        table.get("approvers", tables.name_list, ()),
        table.get("expire_seconds", tables.count, usual.seconds),
        tuple(tiers),
        roles,
    )


def _gas(file: Table) -> GasRules | None:
    if "gas" not in file:
        return None
    table = file.table("gas", ("budget", "period"))
    if "budget" not in table:
        table.note("budget", "missing; leave the table out for no budget of gas")
    return GasRules(table.get("budget", tables.wei, 0), table.get("period", tables.period, Period.EVER))


def _rate(table: Table) -> dict[Period, int]:
    rate = table.table("rate", RATE_PERIODS)
    return {period: rate.get(period, tables.count, 1) for period in RATE_PERIODS if period in rate}


def _daily_period(value: object) -> Period:
    for period in DAILY_PERIODS:
        if value == period:
            return period
    raise InvalidInput(f"{shown(value)} is none of {', '.join(DAILY_PERIODS)}")


def _other_or_none(value: object) -> str | None:
    if value not in (DEFAULT_CATEGORY, _NONE):
        raise InvalidInput(f'must be "{DEFAULT_CATEGORY}" or "{_NONE}", not {shown(value)}')
    return DEFAULT_CATEGORY if value == DEFAULT_CATEGORY else None


def _or_never(value: object) -> int | None:
    return None if value == _NEVER else tables.usdc(value)


def _percentages(value: object) -> tuple[int, ...]:
    if not isinstance(value, list) or any(type(one) is not int or not 0 < one <= 100 for one in value):
        raise InvalidInput("must be a list of percentages from 1 to 100")
    return tuple(value)
