"""A process of a fleet, told line by line what to do: `python -m tests.resilience.fleet FACTORY ARGUMENT...`.

FACTORY is `module:name` of something that makes a tracker from the arguments. `Pod` is such a process for a test.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from coordinator.tracker import BudgetExceededError, ReservationToken, Tracker

ROOT = Path(__file__).resolve().parents[2]


class Pod:
    """A real process with a tracker of its own."""

    def __init__(self, factory: str, *arguments: str) -> None:
        command = [sys.executable, "-m", "tests.resilience.fleet", factory, *arguments]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def tell(self, order: str, *arguments: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([order, *arguments]) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """What it says to the order that was told it first."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the process has ended with {self._process.wait(timeout=10)}"
        return json.loads(line)

    def ask(self, order: str, *arguments: object) -> Any:
        self.tell(order, *arguments)
        return self.answer()

    def kill(self) -> None:
        """SIGKILL: nothing is put in order."""
        self._process.kill()
        self._process.wait(timeout=10)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


class _Worker:
    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._held: list[ReservationToken] = []

    def reserve(self, scopes: list[str], amount: str, ttl_seconds: float = 600.0) -> str:
        """Holds it: "granted", or the scope that it does not fit into."""
        try:
            self._held.append(self._tracker.reserve(scopes, amount, ttl_seconds=ttl_seconds))
        except BudgetExceededError as error:
            return error.scope
        return "granted"

    def commit(self, actual: str) -> int:
        """Commits the reservation that it holds longest; how many it still holds."""
        self._tracker.commit(self._held.pop(0), actual)
        return len(self._held)

    def spent(self, scope: str) -> str:
        return str(self._tracker.get_spent(scope))

    def race(self, scopes: list[str], amount: str) -> int:
        """Reserves until nothing is granted, and commits all but the last; how often it was granted."""
        granted = 0
        while self.reserve(scopes, amount) == "granted":
            granted += 1
            if len(self._held) > 1:
                self.commit(amount)
        return granted

    def release(self) -> int:
        """Releases all that it holds; how many those were."""
        released = len(self._held)
        while self._held:
            self._tracker.release(self._held.pop())
        return released


def main(arguments: Iterable[str]) -> None:
    factory, *rest = arguments
    module, _, name = factory.partition(":")
    worker = _Worker(getattr(importlib.import_module(module), name)(*rest))
    for line in sys.stdin:
        order, *told = json.loads(line)
        print(json.dumps(getattr(worker, order)(*told)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
