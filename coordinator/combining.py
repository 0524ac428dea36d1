"""Many callers, one commit: whoever comes first decides for all who wait, and then hands on to one of them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

__all__ = ["Combiner"]

_T = TypeVar("_T")
_R = TypeVar("_R")

_PART = 4
_MOST_SECONDS = 0.002
"""A run is waited for a part of the time that the last one took, and at most so long."""


class _Waiter(Generic[_T, _R]):
    """One caller's things, and what became of them. It sleeps on its own lock."""

    def __init__(self, things: Sequence[_T]) -> None:
        self.things = things
        self.results: list[_R | Exception] | None = None
        self.leads = False
        self._lock = threading.Lock()
        self._lock.acquire()

    def sleep(self, seconds: float = -1) -> None:
        self._lock.acquire(timeout=seconds)

    def wake(self) -> None:
        self._lock.release()


class Combiner(Generic[_T, _R]):
    """Runs what many threads bring, up to `most` things at a time and never two runs at once, in the order in which it
    came. No thread of its own: while one run is under way, the next one's callers gather.
    """

    def __init__(self, run: Callable[[Sequence[_T]], Sequence[_R | Exception]], *, most: int) -> None:
        self._run = run
        self._most = most
        self._lock = threading.Lock()
        self._waiting: deque[_Waiter[_T, _R]] = deque()
        self._busy = False
        self._last = (0, 0.0)
        """How many callers the last run had, and how long it took."""
        self._gathering: _Waiter[_T, _R] | None = None

    def submit(self, things: Sequence[_T]) -> list[_R | Exception]:
        """What became of each of these. What `run` raises is raised by every caller of that run."""
        me = _Waiter[_T, _R](things)
        with self._lock:
            self._waiting.append(me)
            me.leads = not self._busy
            self._busy = True
            if self._gathering is not None and len(self._waiting) >= self._last[0]:
                self._gathering.wake()
                self._gathering = None
        try:
            if not me.leads:
                me.sleep()
            while me.results is None:
                self._run_some(me)
        finally:
            self._leave(me)
        results = me.results
        assert results is not None
        return results

    def _leave(self, me: _Waiter[_T, _R]) -> None:
        """Hands on to the next one, also if this thread was interrupted: asleep, or before its run."""
        with self._lock:
            if me in self._waiting:
                self._waiting.remove(me)
            if not me.leads:
                return
            if self._waiting:
                self._waiting[0].leads = True
                self._waiting[0].wake()
            else:
                self._busy = False

    def _gather(self, me: _Waiter[_T, _R]) -> None:
        """Waits a moment until those who were served together last time are there: they come again at once, and whoever
        of them misses this run waits for two.
        """
        number, seconds = self._last
        with self._lock:
            if len(self._waiting) >= number:
                return
            self._gathering = me
        me.sleep(min(_MOST_SECONDS, seconds / _PART))
        with self._lock:
            self._gathering = None

    def _run_some(self, me: _Waiter[_T, _R]) -> None:
        self._gather(me)
        taken = [me]
        with self._lock:
            self._waiting.remove(me)
            number = len(me.things)
            while self._waiting and number + len(self._waiting[0].things) <= self._most:
                number += len(self._waiting[0].things)
                taken.append(self._waiting.popleft())
        things = [thing for one in taken for thing in one.things]
        results: Sequence[_R | Exception]
        start = time.perf_counter()
        try:
            results = self._run(things)
            self._last = (len(taken), time.perf_counter() - start)
        except BaseException as error:
            # Everybody has to hear of it; what is no error of the work, but the end of this thread, goes on from here.
            results = [error if isinstance(error, Exception) else RuntimeError(repr(error))] * len(things)
            if not isinstance(error, Exception):
                self._deliver(taken, results, me)
                raise
        self._deliver(taken, results, me)

    @staticmethod
    def _deliver(taken: Sequence[_Waiter[_T, _R]], results: Sequence[_R | Exception], me: _Waiter[_T, _R]) -> None:
        start = 0
        for one in taken:
            one.results = list(results[start : start + len(one.things)])
            start += len(one.things)
        for one in taken:
            if one is not me:
                one.wake()
