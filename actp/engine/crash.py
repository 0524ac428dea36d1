"""Places where a process may be killed, for tests of what a restart makes of it.

The engine calls `point(CrashPoint.AFTER_SIGN)` and so on; that does nothing unless ACTP_CRASH_AT names the point. Then
the process ends there as by `kill -9`: no clean-up, no flush, no exception. `ACTP_CRASH_AT=after_sign:3` waits for the
third time. The variable is read once, when the first point is passed.
"""

from __future__ import annotations

import os
import signal
import threading
from enum import Enum

from actp.errors import ConfigError

__all__ = ["CRASH_VARIABLE", "CrashPoint", "Trap", "point"]

CRASH_VARIABLE = "ACTP_CRASH_AT"


class CrashPoint(Enum):
    """Where a send can be when its process dies, in the order in which it gets there."""

    AFTER_ENQUEUE = "after_enqueue"
    """The intent is committed, and nobody has begun to work on it."""
    BEFORE_SIGN = "before_sign"
    """A nonce and fees are chosen, and nothing is signed."""
    AFTER_SIGN = "after_sign"
    """Signed bytes exist in memory only."""
    AFTER_COMMIT = "after_commit"
    """Nonce and bytes are committed."""
    BEFORE_BROADCAST = "before_broadcast"
    """Everything is ready for the node, which has seen nothing."""
    AFTER_BROADCAST = "after_broadcast"
    """The node has answered, and nothing of the answer is committed."""
    AFTER_REPLY = "after_reply"
    """What the answer means is committed."""
    BEFORE_REPLACE = "before_replace"
    """Bytes with higher fees exist for a nonce that is stuck, in memory only."""
    AFTER_REPLACE = "after_replace"
    """They are committed, and the node has not seen them."""
    BEFORE_SEALED = "before_sealed"
    """The receipt was read, and nothing of it is committed."""
    AFTER_SEALED = "after_sealed"
    """The result is committed."""


class Trap:
    """Ends this process at one of `places`, which the setting `variable` of the environment names."""

    def __init__(self, variable: str, places: type[Enum]) -> None:
        self._variable = variable
        self._places = {str(one.value): one for one in places}
        self._lock = threading.Lock()
        self._read = False
        self._where: Enum | None = None
        self._left = 0

    def pass_by(self, where: Enum) -> None:
        """Ends the process if this place is armed. Raises ConfigError if the setting names no place."""
        if not self._read:
            self._arm(os.environ.get(self._variable, ""))
        if self._where is not where:
            return
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def _arm(self, setting: str) -> None:
        name, _, count = setting.partition(":")
        if setting:
            if name not in self._places or (count and not (count.isascii() and count.isdigit() and int(count))):
                raise ConfigError(
                    f"{self._variable}={setting!r} names no crash point.",
                    hint=f"Unset it, or use NAME or NAME:COUNT with one of {', '.join(self._places)}.",
                )
            self._left = int(count or 1)
            self._where = self._places[name]
        self._read = True


_trap = Trap(CRASH_VARIABLE, CrashPoint)

point = _trap.pass_by
"""Ends the process if this point is armed. Raises ConfigError if ACTP_CRASH_AT names no point."""
