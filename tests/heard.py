"""A listener for tests of what is counted and timed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from actp import observing

__all__ = ["Heard", "hearing"]


class Heard:
    """Everything that was said, by name and labels."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.seconds: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)

    def counted(self, counter: observing.Counter, amount: float, labels: tuple[str, ...]) -> None:
        assert len(labels) == len(counter.labels)
        self.counts[counter.name, *labels] += amount

    def timed(self, histogram: observing.Histogram, seconds: float, labels: tuple[str, ...]) -> None:
        assert len(labels) == len(histogram.labels)
        self.seconds[histogram.name, *labels].append(seconds)


@contextmanager
def hearing() -> Iterator[Heard]:
    """Listens to what happens within it."""
    heard = Heard()
    observing.listen(heard)
    try:
        yield heard
    finally:
        observing.unlisten(heard)
