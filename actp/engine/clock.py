"""The engine's clock, so that tests can stop it.

Durations are measured with `monotonic`, which nobody sets. `time` is only written down, for people and for those who
come after a restart; whatever is decided by it is decided so that a clock that was set wrong does no harm.
"""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """Seconds, as the engine counts them."""

    def time(self) -> float:
        """Seconds since 1970, which an administrator may set back."""

    def monotonic(self) -> float:
        """Seconds that only grow, of this process."""

    def sleep(self, seconds: float) -> None:
        """Waits."""


class SystemClock:
    """The machine's clock."""

    def time(self) -> float:
        """See Clock."""
        return time.time()

    def monotonic(self) -> float:
        """See Clock."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """See Clock."""
        time.sleep(seconds)
