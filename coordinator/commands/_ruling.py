"""Changing some of the rules that hold, whoever else changes them meanwhile."""

from __future__ import annotations

from collections.abc import Callable

from coordinator.authority import Authority
from coordinator.budget.rulebook import RuleBook
from coordinator.errors import RulesChanged

__all__ = ["amend"]

_TRIES = 20


def amend(authority: Authority, change: Callable[[RuleBook], RuleBook], by: str) -> RuleBook:
    """Makes new rules of those that hold; the rules that hold then. Raises what `change` does, and RulesChanged if
    others were faster again and again.
    """
    for left in reversed(range(_TRIES)):
        try:
            authority.apply(change(authority.book()), by)
            break
        except RulesChanged:
            if not left:
                raise
    return authority.book()
