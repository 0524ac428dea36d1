"""Trouble that lasts, in few lines of a log: when it begins, now and then while it lasts, and when it is over."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from actp.errors import ActpError

__all__ = ["Trouble"]

_STILL_EVERY = 60.0
_CALM = 5.0


class Trouble:
    """What goes wrong in rounds of work that are tried again and again, several times a second.

    Each kind of error is a warning when it is first met, and one more every minute while any lasts. It is over, which
    is said once, when none was met for some seconds: not every round asks what is in trouble. For one thread.
    """

    def __init__(
        self, log: logging.Logger, what: str = "", *, every: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`what` stands before each error, with its colon; `every` is how many seconds lie between rounds that ask."""
        self._log = log
        self._what = f"{what} " if what else ""
        self._calm = max(_CALM, 2 * every)
        self._clock = clock
        self._known: set[str] = set()
        self._last = ""
        self._since = self._met_at = self._said_at = 0.0

    def met(self, error: ActpError) -> None:
        """A round has failed."""
        now = self._clock()
        if not self._known:
            self._since = now
        self._met_at, self._last = now, f"{self._what}{error}"
        if error.code not in self._known:
            self._log.warning("%s", self._last)
        elif now - self._said_at >= _STILL_EVERY:
            self._log.warning("Still, after %.0f s: %s", now - self._since, self._last)
        else:
            return
        self._known.add(error.code)
        self._said_at = now

    def missed(self) -> None:
        """A round has not failed."""
        if self._known and self._clock() - self._met_at >= self._calm:
            self._log.warning("Over, after %.0f s: %s", self._met_at - self._since, self._last)
            self._known.clear()
