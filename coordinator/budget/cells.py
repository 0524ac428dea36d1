"""What one cell of a budget can do: hold, spend, give back, roll on, get another limit. No I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from coordinator.budget.periods import BUCKET_SECONDS, ROLLING_BUCKETS, bucket_of
from coordinator.budget.words import LARGEST, Period

__all__ = ["Cell", "Delta", "LimitChange"]


class Delta(NamedTuple):
    """What was added to a cell: in this order it stands in the journal."""

    scope_id: int
    window_start: int
    spent: int
    reserved: int
    bucket: int = 0


class LimitChange(NamedTuple):
    """A cell's new limit and cap: in this order they stand in the journal."""

    scope_id: int
    window_start: int
    lim: int | None
    cap: int


@dataclass(slots=True)
class Cell:
    """A working copy of a cell, counted on while a commit is made. `lim` None is only counted.

    `buckets` is {hour: [spent, reserved]} of a rolling window, of which `spent` and `reserved` are the sums; None for
    all other windows. A bucket in which nothing is left is none.
    """

    scope_id: int
    window_start: int
    lim: int | None
    cap: int
    spent: int = 0
    reserved: int = 0
    buckets: dict[int, list[int]] | None = field(default=None)

    @classmethod
    def empty(cls, scope_id: int, window_start: int, period: Period, lim: int | None) -> Cell:
        """A cell that nothing was charged to."""
        cap = LARGEST if lim is None else lim
        return cls(scope_id, window_start, lim, cap, buckets={} if period is Period.ROLLING_DAY else None)

    @property
    def used(self) -> int:
        """What new charges have to fit beside."""
        return self.spent + self.reserved

    def bucket_at(self, at: float) -> int:
        """Where a charge at this time goes, 0 if there are no buckets. A clock that was set back changes nothing: the
        window never moves back, so that no charge counts for a shorter time.
        """
        if self.buckets is None:
            return 0
        return max([bucket_of(Period.ROLLING_DAY, at), *self.buckets])

    def used_at(self, at: float) -> int:
        """What counts at this time: without the buckets that are over."""
        if not self.buckets:
            return self.spent + self.reserved
        return self.used - sum(map(sum, self._over(at).values()))

    def set_limit(self, lim: int | None) -> LimitChange | None:
        """Another limit; None if it is the same. What is in use already stays within the cap."""
        if lim == self.lim:
            return None
        self.lim = lim
        self.cap = LARGEST if lim is None else max(lim, self.used)
        return self.limits

    @property
    def limits(self) -> LimitChange:
        """Limit and cap, as the journal has them."""
        return LimitChange(self.scope_id, self.window_start, self.lim, self.cap)

    def roll(self, at: float) -> list[Delta]:
        """Takes out the buckets that are over."""
        gone = self._over(at)
        return [self._add(-spent, -reserved, bucket) for bucket, (spent, reserved) in gone.items()]

    def change(self, spent: int, reserved: int, bucket: int) -> Delta | None:
        """Adds to what is spent and reserved; None if that bucket is over, and nothing of it counts any more.

        Raises ValueError if the cell holds less than is taken from it.
        """
        if self.buckets is not None and bucket not in self.buckets and (spent < 0 or reserved < 0):
            return None
        return self._add(spent, reserved, bucket)

    def reserve(self, amount: int, at: float) -> tuple[int, list[Delta]]:
        """Holds an amount of which the caller has seen that it fits: its bucket, and all that changed."""
        deltas = self.roll(at)
        bucket = self.bucket_at(at)
        deltas.append(self._add(0, amount, bucket))
        return bucket, deltas

    def stretch(self) -> LimitChange | None:
        """Raises the cap to what is in use: facts are booked, whatever the limit says. None if it is within the cap."""
        if self.used <= self.cap:
            return None
        self.cap = self.used
        return self.limits

    def _over(self, at: float) -> dict[int, list[int]]:
        if not self.buckets:
            return {}
        oldest = self.bucket_at(at) - (ROLLING_BUCKETS - 1) * BUCKET_SECONDS
        return {bucket: content for bucket, content in self.buckets.items() if bucket < oldest}

    def _add(self, spent: int, reserved: int, bucket: int) -> Delta:
        held = [self.spent, self.reserved]
        if self.buckets is not None:
            held = self.buckets.setdefault(bucket, [0, 0])
        if held[0] + spent < 0 or held[1] + reserved < 0:
            raise ValueError(f"cell {self.scope_id}/{self.window_start} holds less than is taken from it")
        if self.buckets is not None:
            held[0] += spent
            held[1] += reserved
            if held == [0, 0]:
                del self.buckets[bucket]
        self.spent += spent
        self.reserved += reserved
        return Delta(self.scope_id, self.window_start, spent, reserved, bucket)
