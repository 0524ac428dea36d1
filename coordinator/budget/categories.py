"""How categories are read: what named none is one of the default category there, whatever the rules count it as."""

from __future__ import annotations

from coordinator.budget.limits import UNCATEGORIZED
from coordinator.budget.rulebook import DEFAULT_CATEGORY

__all__ = ["shown_category", "stored_categories"]


def shown_category(category: str) -> str:
    """A request's category, as people and records read it."""
    return DEFAULT_CATEGORY if category == UNCATEGORIZED else category


def stored_categories(shown: str) -> frozenset[str]:
    """The categories of requests that `shown_category` shows so; those that named none alone for "" itself."""
    return frozenset({shown, UNCATEGORIZED} if shown == DEFAULT_CATEGORY else {shown})
