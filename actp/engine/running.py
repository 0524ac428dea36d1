"""Loops around rounds of work: quick while there is work, slower and slower while there is none."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from actp.engine.trouble import Trouble
from actp.errors import ActpError, ConfigError

__all__ = ["run_rounds", "run_until"]

_SHORTEST, _GROWTH, _AFTER_TROUBLE = 0.01, 1.5, 0.5
_LONGEST_AWAITED = 0.1

_T = TypeVar("_T")


def run_rounds(step: Callable[[], bool], stop: threading.Event, *, longest: float, log: logging.Logger) -> None:
    """Calls `step`, which says whether there was anything to do, until `stop` is set; pauses of at most `longest`
    seconds lie between idle rounds. Trouble (ActpError) is logged as `Trouble` does and waited out; raises ConfigError.
    """
    pause, trouble = 0.0, Trouble(log, every=longest)
    while not stop.wait(pause):
        busy = _tried(step, trouble)
        if busy is None:
            pause = _AFTER_TROUBLE
        pause = _next_pause(pause, longest, busy=bool(busy))


def run_until(
    step: Callable[[], bool],
    look: Callable[[], _T],
    over: Callable[[_T], bool],
    *,
    timeout: float,
    log: logging.Logger,
) -> _T:
    """Calls `step` until what `look` finds is `over`, or `timeout` seconds have passed; what it finds then. Somebody
    waits for it, so pauses are short, also after trouble (ActpError), which is logged. Raises ConfigError, and what
    `look` raises.
    """
    until = time.monotonic() + timeout
    pause, trouble = 0.0, Trouble(log)
    while True:
        found = look()
        if over(found) or time.monotonic() >= until:
            return found
        pause = _next_pause(pause, _LONGEST_AWAITED, busy=bool(_tried(step, trouble)))
        time.sleep(pause)


def _tried(step: Callable[[], bool], trouble: Trouble) -> bool | None:
    """Whether a round had anything to do; None if there was trouble."""
    try:
        busy = step()
    except ConfigError:
        raise
    except ActpError as error:
        trouble.met(error)
        return None
    trouble.missed()
    return busy


def _next_pause(pause: float, longest: float, *, busy: bool) -> float:
    return 0.0 if busy else min(max(pause * _GROWTH, _SHORTEST), longest)
