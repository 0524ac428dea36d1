"""Changing rules from programs, parts of them as one changes a dict or a set: each change is a new version of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping, MutableSet
from dataclasses import replace
from pathlib import Path

from actp.errors import InvalidInput
from actp.units import require_address, shown
from coordinator.api.records import AgentConfig
from coordinator.authority import Authority
from coordinator.budget.document import load
from coordinator.budget.rulebook import CATEGORY_BUDGETS, AgentRules, CategoryRules, RuleBook
from coordinator.errors import RulesChanged

__all__ = ["CategoryBudgets", "Rules", "Whitelist", "with_budgets"]

_TRIES = 20


class Rules:
    """The rules that hold, and changes of them, in the name of `by`."""

    def __init__(self, authority: Authority, by: str) -> None:
        self._authority = authority
        self._by = by

    @property
    def book(self) -> RuleBook:
        """The rules that hold now."""
        return self._authority.book()

    def amend(self, change: Callable[[RuleBook], RuleBook]) -> int:
        """Makes new rules of those that hold, whoever else changes them meanwhile; the version that holds then. The
        first ones have the usual budgets of categories.

        Raises RulesChanged if others were faster again and again.
        """
        for _ in range(_TRIES - 1):
            try:
                return self._authority.apply(change(_begun(self.book)), self._by)
            except RulesChanged:
                continue
        return self._authority.apply(change(_begun(self.book)), self._by)

    def open(self, total_budget: int | None, rules: RuleBook | str | Path | None) -> None:
        """Goes on from the rules that hold, with another total if one is given; or replaces all rules, if any are
        given. As long as there are none, or no total, everything is denied. Raises RulesError, InvalidInput.
        """
        if rules is not None:
            book = _loaded(rules)
            self._authority.apply(book if total_budget is None else replace(book, total_budget=total_budget), self._by)
        elif total_budget is not None:
            self.amend(lambda book: replace(book, total_budget=total_budget))

    def replace_all(self, rules: RuleBook | str | Path) -> int:
        """Makes these rules hold, whatever held before."""
        return self._authority.apply(_loaded(rules), self._by)

    def register(self, config: AgentConfig) -> AgentRules:
        """Makes an agent's limits hold; those that it leaves out are those of its role. Raises InvalidInput."""
        if not isinstance(config, AgentConfig):
            raise InvalidInput(f"An AgentConfig is needed, not {type(config).__name__}.")
        self.amend(lambda book: book.with_agent(_agent(config, book)))
        return self.book.agents[config.id]


class CategoryBudgets(MutableMapping[str, int | None]):
    """Budgets in base units by category; None is counted and not limited. A category that is not in it is unknown."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def __repr__(self) -> str:
        return repr(dict(self))

    def __getitem__(self, category: str) -> int | None:
        return self._rules.book.categories[category].budget

    def __iter__(self) -> Iterator[str]:
        return iter(self._rules.book.categories)

    def __len__(self) -> int:
        return len(self._rules.book.categories)

    def __setitem__(self, category: str, budget: int | None) -> None:
        self._rules.amend(lambda book: with_budgets(book, {**_budgets(book), category: budget}))

    def __delitem__(self, category: str) -> None:
        if category not in self:
            raise KeyError(category)
        self._rules.amend(
            lambda book: with_budgets(book, {name: one for name, one in _budgets(book).items() if name != category})
        )


class Whitelist(MutableSet[str]):
    """The addresses that may be paid, in lower case. There is one: without any nobody is held to it."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def __repr__(self) -> str:
        return repr(set(self))

    def __contains__(self, address: object) -> bool:
        return isinstance(address, str) and address.lower() in set(self)

    def __iter__(self) -> Iterator[str]:
        return (one.lower() for one in self._rules.book.providers or ())

    def __len__(self) -> int:
        return len(self._rules.book.providers or ())

    def add(self, address: str) -> None:
        """Lets one more be paid. Raises InvalidInput."""
        provider = require_address(address, "provider")
        self._rules.amend(lambda book: replace(book, providers=(book.providers or frozenset()) | {provider}))

    def discard(self, address: str) -> None:
        """Lets one less be paid. Raises InvalidInput."""
        provider = require_address(address, "provider")
        self._rules.amend(lambda book: replace(book, providers=(book.providers or frozenset()) - {provider}))


def with_budgets(book: RuleBook, budgets: Mapping[str, int | None]) -> RuleBook:
    """These rules with these categories and no others; one that stays keeps its period. Raises InvalidInput."""
    if not isinstance(budgets, Mapping):
        raise InvalidInput("Budgets of categories are a mapping from names to base units.")
    known = book.categories
    return replace(
        book,
        categories={
            name: replace(known[name], budget=budget) if name in known else CategoryRules(budget)
            for name, budget in budgets.items()
        },
    )


def _budgets(book: RuleBook) -> dict[str, int | None]:
    return {name: one.budget for name, one in book.categories.items()}


def _loaded(rules: RuleBook | str | Path) -> RuleBook:
    return replace(rules, version=0) if isinstance(rules, RuleBook) else load(rules)


def _begun(book: RuleBook) -> RuleBook:
    return book if book.version else with_budgets(book, CATEGORY_BUDGETS)


def _agent(config: AgentConfig, book: RuleBook) -> AgentRules:
    fields = {name: getattr(config, name) for name in AgentConfig.__dataclass_fields__}
    if config.role is not None:
        preset = book.roles.get(config.role)
        if preset is None:
            raise InvalidInput(f"There is no role {shown(config.role)}.", hint=f"Roles are {', '.join(book.roles)}.")
        for name in ("spending_limit", "daily_limit", "requires_approval"):
            if fields[name] is None:
                fields[name] = getattr(preset, name)
    return AgentRules(**fields)
