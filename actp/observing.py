"""What happens, told to whoever listens: counters and durations as they happen, gauges when somebody asks.

The parts that work say what they do in one line each, and know nobody who might want to know it: without a listener
such a line costs a call of an empty loop. Nothing is kept here, so nothing grows. `actp.measures` lists what there is.

    observing.listen(observer)       # from now on it is told
    observing.watch(pool, read)      # from now on `readings()` has what read(pool) says, for as long as the pool lives
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

__all__ = [
    "LATENCIES",
    "Counter",
    "Gauge",
    "Histogram",
    "Observer",
    "Reading",
    "listen",
    "readings",
    "sources",
    "unlisten",
    "unwatch",
    "watch",
]

LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of a duration's buckets, in seconds, unless it has its own."""


@dataclass(frozen=True, slots=True, eq=False)
class Counter:
    """Counts what happens. `name` as Prometheus wants it, without its `_total`; `labels` are the names of labels."""

    name: str
    help: str
    labels: tuple[str, ...] = ()

    def add(self, amount: float, *labels: str) -> None:
        """So many more, with a value for each label."""
        for one in _observers:
            one.counted(self, amount, labels)


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Seconds that something took. `buckets` are upper bounds in seconds."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = LATENCIES

    def observe(self, seconds: float, *labels: str) -> None:
        """It took so long once more, with a value for each label."""
        for one in _observers:
            one.timed(self, seconds, labels)


@dataclass(frozen=True, slots=True, eq=False)
class Gauge:
    """Something that is read when somebody asks. `lowest`: of two readings with the same labels the lower one counts,
    else the higher one. `grows`: it is a count of all time, kept elsewhere; its `name` is without `_total` then.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()
    lowest: bool = False
    grows: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """A gauge's value for these labels."""

    gauge: Gauge
    value: float
    labels: tuple[str, ...] = ()


class Observer(Protocol):
    """Listens. It is called by the thread that works, in the middle of its work: it is quick and raises nothing."""

    def counted(self, counter: Counter, amount: float, labels: tuple[str, ...]) -> None:
        """So many more."""

    def timed(self, histogram: Histogram, seconds: float, labels: tuple[str, ...]) -> None:
        """It took so long."""


_T = TypeVar("_T")

_lock = threading.Lock()
_observers: tuple[Observer, ...] = ()
_watched: list[tuple[weakref.ref[Any], Callable[[Any], Iterable[Reading]]]] = []


def listen(observer: Observer) -> None:
    """Tells it everything from now on."""
    global _observers
    with _lock:
        _observers = (*_observers, observer)


def unlisten(observer: Observer) -> None:
    """Tells it nothing more."""
    global _observers
    with _lock:
        _observers = tuple(one for one in _observers if one is not observer)


def watch(one: _T, read: Callable[[_T], Iterable[Reading]]) -> None:
    """What `read` says of it is among all `readings` for as long as it lives, which this does not prolong. `read` is
    called by a thread of its own, and only when somebody asks.
    """
    with _lock:
        _watched[:] = [pair for pair in _watched if pair[0]() is not None]
        _watched.append((weakref.ref(one), read))


def unwatch(one: object) -> None:
    """It is closed: nobody reads it any more."""
    with _lock:
        _watched[:] = [pair for pair in _watched if pair[0]() is not None and pair[0]() is not one]


def sources() -> list[Callable[[], Iterable[Reading]]]:
    """All that is watched, each to be read by itself: what one of them raises says nothing of the others."""
    with _lock:
        watched = [(found(), read) for found, read in _watched]
    return [partial(read, one) for one, read in watched if one is not None]


def readings() -> Iterator[Reading]:
    """How all that is watched is now."""
    for read in sources():
        yield from read()
