"""Stopping everything when a budget is spent: later calls do not begin, and running ones may be cancelled."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from coordinator.tracker.errors import BudgetExceededError, SpendingStopped

__all__ = ["Stop"]

_Hook = Callable[[], None]


class Stop:
    """An event, for threads and tasks. It is set by hand, or by the first denial for which waiting is no cure: of one
    of `scopes`, or of any scope if none is named. Given to a `Budget`, no call begins any more once it is set. It stays
    set. Thread-safe.

    A denial because others hold what is left does not set it: they may give it back.
    """

    def __init__(self, *scopes: str) -> None:
        self._scopes = frozenset(scopes)
        self._lock = threading.Lock()
        self._event = threading.Event()
        self._why = ""
        self._denial: BudgetExceededError | None = None
        self._hooks: dict[object, _Hook] = {}

    def set(self, why: str = "somebody has said so.") -> None:
        """Stops. The first one says why."""
        self._set(why, None)

    def note(self, denial: BudgetExceededError) -> None:
        """Stops if this denial says that the budget is spent."""
        if _final(denial) and (not self._scopes or denial.scope in self._scopes):
            self._set(denial.message, denial)

    def is_set(self) -> bool:
        """Whether it was set."""
        return self._event.is_set()

    def check(self) -> None:
        """Raises SpendingStopped once it is set."""
        if self._event.is_set():
            raise SpendingStopped(self._why, self._denial)

    def wait(self, timeout: float | None = None) -> bool:
        """Waits in this thread until it is set, or for so many seconds; whether it is set."""
        return self._event.wait(timeout)

    async def waited(self) -> None:
        """Waits in this task until it is set."""
        loop = asyncio.get_running_loop()
        reached = asyncio.Event()

        def wake() -> None:
            loop.call_soon_threadsafe(reached.set)

        with self._hooked(wake):
            await reached.wait()

    @contextmanager
    def cancelling(self) -> Iterator[None]:
        """Cancels the current task if it is set while this is open. The task that sets it is not cancelled: it has its
        denial. Raises SpendingStopped if it is set already.
        """
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("Only a task can be cancelled: open this in a coroutine.")
        self.check()
        loop = asyncio.get_running_loop()
        open_ = True

        def cancel() -> None:
            if open_:
                task.cancel("Spending was stopped.")

        def later() -> None:
            if _current_task() is not task:
                loop.call_soon_threadsafe(cancel)

        try:
            with self._hooked(later):
                yield
        finally:
            open_ = False

    def _set(self, why: str, denial: BudgetExceededError | None) -> None:
        with self._lock:
            if self._event.is_set():
                return
            self._why, self._denial = why, denial
            self._event.set()
            hooks = list(self._hooks.values())
            self._hooks.clear()
        for hook in hooks:
            hook()

    @contextmanager
    def _hooked(self, hook: _Hook) -> Iterator[None]:
        """Calls `hook` once, in the thread that sets this; at once if it is set already."""
        key = object()
        with self._lock:
            begun = not self._event.is_set()
            if begun:
                self._hooks[key] = hook
        if not begun:
            hook()
        try:
            yield
        finally:
            with self._lock:
                self._hooks.pop(key, None)


def _final(denial: BudgetExceededError) -> bool:
    """Whether it would be denied still if all that is reserved were given back."""
    if denial.limit is None or denial.requested is None:
        return True
    return denial.spent + denial.requested > denial.limit


def _current_task() -> asyncio.Task[object] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None  # a thread without a loop
