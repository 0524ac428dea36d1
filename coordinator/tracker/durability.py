"""What is wrong with the settings of a ledger: looked at once, and logged before the first budget is made."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

__all__ = ["Durability"]

_log = logging.getLogger(__name__)


class Durability:
    """Who only reads is told nothing: what may be forgotten concerns those who count on it."""

    def __init__(self, look: Callable[[], tuple[str, ...]]) -> None:
        self._look = look
        self._lock = threading.Lock()
        self._found: tuple[str, ...] | None = None
        self._told = False

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was found: sentences; nothing as long as nobody has looked."""
        return self._found or ()

    def check(self) -> tuple[str, ...]:
        """Looks, unless that was done. Raises what the look raises."""
        if self._found is None:
            self._found = self._look()
        return self.warnings

    def tell(self) -> None:
        """Looks, and logs each warning, unless that was done. Raises what the look raises."""
        if self._told:
            return
        found = self.check()
        with self._lock:
            first, self._told = not self._told, True
        for warning in found if first else ():
            _log.warning("%s", warning)

    def forked(self) -> None:
        """In a process that was forked from one in which a thread may have held the lock."""
        self._lock = threading.Lock()
