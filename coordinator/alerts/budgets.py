"""Which budgets were used up to a threshold: from the entries of a while and the cells at its end. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coordinator.alerts import wording
from coordinator.budget.periods import window_start
from coordinator.budget.words import REQUESTS, Period, ScopeKind
from coordinator.store.alerts import AlertKind, Draft
from coordinator.store.usage import Usage

__all__ = ["Crossed", "Touched", "budget_drafts"]

Key = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Crossed:
    """An alert about a budget. It need not be given if one of `covered_by` was: the same, or of a higher threshold."""

    draft: Draft
    covered_by: frozenset[str]


class Touched:
    """Cells that entries have changed, and by how much more was used in between than is at the end.

    Without `exact`, what lies in between is not looked at.
    """

    def __init__(self, *, exact: bool) -> None:
        self._exact = exact
        self._sums: dict[Key, int] = {}
        self._most: dict[Key, int] = {}
        self._later: dict[Key, int] = {}

    @property
    def cells(self) -> set[Key]:
        """All of them."""
        return set(self._sums)

    def take(self, detail: Mapping[str, Any]) -> None:
        """An entry of the while in question, in order."""
        for key, change in _changes(detail):
            self._sums[key] = used = self._sums.get(key, 0) + change
            self._most[key] = max(self._most.get(key, used), used)
        for scope_id, window, _lim, _cap in detail.get("limits", ()):
            self._sums.setdefault((scope_id, window), 0)

    def take_later(self, detail: Mapping[str, Any]) -> None:
        """An entry after that, which the cells at the end have in them already."""
        for key, change in _changes(detail):
            self._later[key] = self._later.get(key, 0) + change

    def most(self, key: Key, used: int) -> int:
        """The most that was used in the while, if so much is used at the end."""
        if not self._exact or key not in self._most:
            return used
        return used - self._later.get(key, 0) - self._sums[key] + self._most[key]


def budget_drafts(usages: Iterable[Usage], touched: Touched, thresholds: Sequence[int], now: float) -> list[Crossed]:
    """Alerts for the highest threshold that each of these budgets was used up to.

    Once per window and limit: under another limit it is another budget. A rolling window, which has no end, is told
    about once in a day. What the treasury's balance limits, and numbers of requests, are no budgets.
    """
    found = []
    for one in usages:
        cell, scope = one.cell, one.scope
        if cell.lim is None or scope.kind is ScopeKind.TREASURY or scope.unit == REQUESTS:
            continue
        rolling = scope.period is Period.ROLLING_DAY
        used = cell.used_at(now) if rolling else touched.most((cell.scope_id, cell.window_start), cell.used)
        crossed = [percent for percent in sorted(thresholds) if used > 0 and used * 100 >= cell.lim * percent]
        if not crossed:
            continue
        window = window_start(Period.DAY, now) if rolling else cell.window_start
        names = {percent: f"{cell.scope_id}.{window}.{cell.lim}.{percent}" for percent in thresholds}
        title, body = wording.budget(scope, cell.window_start, used, cell.lim, crossed[-1])
        covered = frozenset(name for percent, name in names.items() if percent >= crossed[-1])
        found.append(Crossed(Draft(AlertKind.BUDGET, names[crossed[-1]], title, body), covered))
    return found


def _changes(detail: Mapping[str, Any]) -> Iterator[tuple[Key, int]]:
    for scope_id, window, spent, reserved, _bucket in detail.get("cells", ()):
        yield (scope_id, window), spent + reserved
