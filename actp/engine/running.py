"""A loop around rounds of work: quick while there is work, slower and slower while there is none."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from actp.errors import ActpError, ConfigError

__all__ = ["run_rounds"]

_SHORTEST, _GROWTH, _AFTER_TROUBLE = 0.01, 1.5, 0.5


def run_rounds(step: Callable[[], bool], stop: threading.Event, *, longest: float, log: logging.Logger) -> None:
    """Calls `step`, which says whether there was anything to do, until `stop` is set; pauses of at most `longest`
    seconds lie between idle rounds. Trouble (ActpError) is logged and waited out; raises ConfigError.
    """
    pause = 0.0
    while not stop.wait(pause):
        try:
            busy = step()
        except ConfigError:
            raise
        except ActpError as error:
            log.warning("%s", error)
            busy, pause = False, _AFTER_TROUBLE
        pause = 0.0 if busy else min(max(pause * _GROWTH, _SHORTEST), longest)
