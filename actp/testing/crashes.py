"""Killing a process at a chosen place of a send."""

from __future__ import annotations

from actp.engine.crash import CRASH_VARIABLE, CrashPoint
from actp.errors import InvalidInput

__all__ = ["CrashPoint", "crash_at"]


def crash_at(where: CrashPoint, hit: int = 1) -> dict[str, str]:
    """The environment for a child process that is to die there, as by `kill -9`, when it passes for the `hit`-th time:

        subprocess.run([...], env={**os.environ, **crash_at(CrashPoint.AFTER_SIGN)})    # returncode is -9

    Raises InvalidInput unless `hit` is positive.
    """
    if hit < 1:
        raise InvalidInput(f"A point is passed for the first time at hit 1, not {hit}.")
    return {CRASH_VARIABLE: f"{where.value}:{hit}"}
