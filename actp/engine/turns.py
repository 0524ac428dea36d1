"""Threads of one process that share an account take turns, first come first served."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from actp.errors import SendError

__all__ = ["Turns"]


class Turns:
    """A queue in front of one account."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: deque[threading.Event] = deque()

    @property
    def waiting(self) -> int:
        """How many threads are in the queue, the one whose turn it is included."""
        return len(self._queue)

    @contextmanager
    def turn(self, timeout: float) -> Iterator[None]:
        """The right to sign and hand over. Raises SendError if it is not free within `timeout` s."""
        mine = threading.Event()
        try:
            with self._lock:
                self._queue.append(mine)
                self._queue[0].set()
            if not mine.wait(timeout):
                raise SendError(
                    f"Other sends of this account were still being handed over after {timeout:g} s.",
                    hint="Nothing was sent: try again, and check that the node answers.",
                    retryable=True,
                )
            yield
        finally:
            with self._lock:
                if mine in self._queue:
                    self._queue.remove(mine)
                if self._queue:
                    self._queue[0].set()
