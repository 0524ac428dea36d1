"""What the last batch left: the next one counts on it without reading it again, and the database looks whether it is
still so before it writes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from coordinator.authority.counters import Counters
from coordinator.budget.cells import Cell
from coordinator.store.cells import CellKey

__all__ = ["Memory"]

_SECONDS = 1.0
"""How long it is worth a try. Numbers for reservations are no older either: they are in the order of time, nearly."""

_MOST = 10_000


@dataclass(slots=True)
class Memory:
    """Cells as they were left, and those that there are not; the rules; and numbers for new reservations.

    It is `trusted` if nobody else has written when it was compared last: where others do, trying is in vain.
    """

    cells: dict[CellKey, Cell] = field(default_factory=dict)
    absent: set[CellKey] = field(default_factory=set)
    rulebook: int = 0
    ids: deque[int] = field(default_factory=deque)
    trusted: bool = False
    at: float = 0.0

    def serves(self, number: int, at: float) -> bool:
        """Whether so many requests may be decided by it at this time."""
        return self.trusted and number <= len(self.ids) and 0 <= at - self.at < _SECONDS

    def knows(self, keys: Collection[CellKey]) -> bool:
        """Whether it was seen of each of these cells that it is there, or is not."""
        return all(key in self.cells or key in self.absent for key in keys)

    def compare(self, counters: Counters, rulebook: int, *, undisturbed: bool) -> None:
        """Sees whether others have written, before anything is counted on what was read; `undisturbed`: nothing is
        paused or frozen.
        """
        same = all(self.cells[key] == cell for key, cell in counters.found.items() if key in self.cells)
        self.trusted = undisturbed and same and rulebook == self.rulebook
        self.rulebook = rulebook

    def keep(self, counters: Counters, ids: Iterable[int], at: float) -> None:
        """Learns what a commit leaves, if that succeeds; `at` by any clock that goes on."""
        if len(self.cells) > _MOST:
            self.cells.clear()
            self.absent.clear()
        if self.cells is not counters.found:
            self.cells |= counters.found
        self.absent |= counters.keys - self.cells.keys()
        self.absent -= self.cells.keys()
        self.ids = deque(ids)
        self.at = at
