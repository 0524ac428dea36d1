"""One endpoint of a pool: what is known of it, and the threads that work for it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from actp.errors import ConfigError
from actp.rpc import Transport

__all__ = ["BEST_SCORE", "Courier", "Endpoint", "EndpointDropped", "EndpointStatus", "WrongGenesis"]

BEST_SCORE = 100


class WrongGenesis(ConfigError):
    """The endpoint serves another chain with the same chain id: its first block has another hash."""

    default_code = "wrong_genesis"

    def __init__(self, expected: str, actual: str, *, endpoint: str) -> None:
        super().__init__(
            f"The node {endpoint} serves a chain with the first block {actual}, not {expected}.",
            hint="Take it out of the pool, or start this program again if its chain was started again.",
        )
        self.expected = expected
        self.actual = actual


class EndpointDropped(UserWarning):
    """An endpoint serves another chain than the pool, which does not use it any more."""


@dataclass(frozen=True, slots=True)
class EndpointStatus:
    """An endpoint as a pool sees it. `score` is 0 to 100, `head` the newest block that it is known to have."""

    label: str
    score: int
    connected: bool
    head: int | None
    behind: int
    """By how many blocks it was behind the newest one seen, when it was last asked."""
    dropped: ConfigError | None
    problem: str
    """The last failure, "" if the last exchange went well."""


@dataclass(eq=False)
class Endpoint:
    """State of one endpoint. Fields that must agree with one another change under the pool's lock."""

    transport: Transport
    index: int
    courier: Courier
    score: int = BEST_SCORE
    head: int | None = None
    asked_at: float = float("-inf")
    """When its newest block was last asked for, by the pool's clock."""
    identity: tuple[int, str] | None = None
    """Chain id and genesis hash, once it has told them."""
    admitted: bool = False
    dropped: ConfigError | None = None
    problem: str = ""
    probing: bool = field(default=False)

    @property
    def label(self) -> str:
        return self.transport.label

    def change(self, points: int) -> None:
        """Adds to the score, which stays within 0 and 100."""
        self.score = max(0, min(BEST_SCORE, self.score + points))


class Courier:
    """Runs work for one endpoint in a few daemon threads, which end when there was nothing to do for a while.

    Threads are kept because the transport keeps a connection for each; they are few, and so is what may wait, because
    an endpoint that hangs must not collect work.
    """

    def __init__(self, name: str, *, most_threads: int = 4, most_waiting: int = 64, idle_seconds: float = 30.0) -> None:
        self._name = name
        self._most_threads = most_threads
        self._most_waiting = most_waiting
        self._idle_seconds = idle_seconds
        self._changed = threading.Condition()
        self._waiting: deque[Callable[[], None]] = deque()
        self._threads = 0
        self._idle = 0
        self._closed = False

    def submit(self, work: Callable[[], None]) -> bool:
        """Has `work` run soon; False if too much waits already, and it will never run."""
        with self._changed:
            if self._closed or len(self._waiting) >= self._most_waiting:
                return False
            self._waiting.append(work)
            if len(self._waiting) > self._idle and self._threads < self._most_threads:
                self._threads += 1
                threading.Thread(target=self._run, name=self._name, daemon=True).start()
            else:
                self._changed.notify()
        return True

    def close(self) -> None:
        """Takes no more work; threads end when what they have is done."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _run(self) -> None:
        ended = False
        try:
            while True:
                with self._changed:
                    self._idle += 1
                    self._changed.wait_for(lambda: self._waiting or self._closed, self._idle_seconds)
                    self._idle -= 1
                    if not self._waiting:
                        # Within the lock: whoever submits next must not count on this thread.
                        self._threads -= 1
                        ended = True
                        return
                    work = self._waiting.popleft()
                work()
        finally:
            if not ended:
                with self._changed:
                    self._threads -= 1
