"""A clock that a test moves."""

from __future__ import annotations

import threading

__all__ = ["FakeClock"]


class FakeClock:
    """Stands in for `time.monotonic`, `time.time` and `time.sleep`; thread-safe. Nothing moves it but its own methods.

    `set_back` moves wall time alone, as a correction of the system's clock does.
    """

    def __init__(self, *, wall: float = 1_700_000_000.0, monotonic: float = 1_000.0) -> None:
        self._lock = threading.Lock()
        self._wall = wall
        self._monotonic = monotonic
        self.slept: list[float] = []

    def monotonic(self) -> float:
        """Seconds since some start; never goes back."""
        with self._lock:
            return self._monotonic

    def time(self) -> float:
        """Seconds since 1970."""
        with self._lock:
            return self._wall

    def advance(self, seconds: float) -> None:
        """Lets time pass, on both clocks. Raises ValueError if negative."""
        if seconds < 0:
            raise ValueError("time passes forward: to set the wall clock back use set_back")
        with self._lock:
            self._wall += seconds
            self._monotonic += seconds

    def sleep(self, seconds: float) -> None:
        """Returns at once, with `seconds` passed; `slept` lists how long each call would have taken."""
        self.slept.append(seconds)
        self.advance(seconds)

    def set_back(self, seconds: float) -> None:
        """Sets the wall clock back (ahead, if negative); monotonic time goes on."""
        with self._lock:
            self._wall -= seconds
