"""The processes of a run: started, killed at random or at a crash point, started again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import TracebackType

from actp.engine.crash import CRASH_VARIABLE as ENGINE_VARIABLE
from actp.engine.crash import CrashPoint as EnginePoint
from coordinator.crash import CRASH_VARIABLE, CrashPoint
from scripts.soak.market.plan import KEY_VARIABLE, READY_VARIABLE

__all__ = ["ASKING", "WORKING", "Processes", "Seat"]

_ROOT = Path(__file__).resolve().parents[3]
_ARMED = 0.5
_LATEST_HIT = 20

ASKING: tuple[Enum, ...] = (CrashPoint.BEFORE_RESERVE, CrashPoint.AFTER_RESERVE)
WORKING: tuple[Enum, ...] = (
    CrashPoint.BEFORE_DISPATCH,
    CrashPoint.AFTER_DISPATCH,
    CrashPoint.BEFORE_FOLLOW,
    CrashPoint.AFTER_FOLLOW,
    CrashPoint.BEFORE_EXPIRY,
    CrashPoint.AFTER_EXPIRY,
    *EnginePoint,
)


@dataclass(frozen=True, slots=True)
class Seat:
    """A place for one process. It may die at one of `points`, or after a `life` of so many seconds, at random between
    two numbers, from when it begins to work. `ends` if it is done one day.
    """

    name: str
    module: str
    arguments: tuple[str, ...]
    points: Sequence[Enum]
    life: tuple[float, float]
    ends: bool = False


@dataclass(slots=True)
class _Process:
    process: subprocess.Popen[bytes]
    ready: Path
    """There as soon as it works."""
    armed: bool
    until: float | None = None


class Processes:
    """One process on each seat, most of the time."""

    def __init__(self, seats: Sequence[Seat], private_key: str, dice: random.Random, folder: Path) -> None:
        self.kills = self.crashes = 0
        self.wrong: list[str] = []
        self._seats = list(seats)
        self._key = private_key
        self._dice = dice
        self._folder = folder
        self._running: dict[str, _Process] = {}
        self._done: set[str] = set()

    def __enter__(self) -> Processes:
        self.tend()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for one in self._running.values():
            one.process.kill()
            one.process.wait()

    @property
    def asked(self) -> bool:
        """Whether all that end have ended."""
        return all(one.name in self._done for one in self._seats if one.ends)

    def add(self, seats: Sequence[Seat]) -> None:
        """More seats, which the next `tend` fills."""
        self._seats += seats

    def tend(self, *, kill: bool = True) -> None:
        """Starts what has ended, and kills whoever's time has come."""
        now = time.monotonic()
        for seat in self._seats:
            if seat.name in self._done:
                continue
            running = self._running.get(seat.name)
            if running is not None and running.process.poll() is None:
                if running.until is None and running.ready.exists():
                    running.until = now + self._dice.uniform(*seat.life)
                if not kill or running.until is None or now < running.until:
                    continue
                running.process.send_signal(signal.SIGKILL)
                running.process.wait()
                self.kills += 1
            elif running is not None and self._has_ended(seat, running):
                continue
            self._running[seat.name] = self._start(seat, kill)

    def _has_ended(self, seat: Seat, ended: _Process) -> bool:
        code = ended.process.returncode
        if seat.ends and code == 0:
            self._done.add(seat.name)
            return True
        if ended.armed and code == -signal.SIGKILL:
            self.crashes += 1
        else:
            self.wrong.append(f"The process {seat.name} ended by itself with {code}.")
        return False

    def _start(self, seat: Seat, kill: bool) -> _Process:
        armed = kill and self._dice.random() < _ARMED
        ready = self._folder / f"{seat.name}.ready"
        ready.unlink(missing_ok=True)
        environment = {
            **os.environ, KEY_VARIABLE: self._key, READY_VARIABLE: str(ready), "PYTHONPATH": str(_ROOT),
        }  # fmt: skip
        if armed:
            where = self._dice.choice(list(seat.points))
            variable = ENGINE_VARIABLE if isinstance(where, EnginePoint) else CRASH_VARIABLE
            environment[variable] = f"{where.value}:{self._dice.randint(1, _LATEST_HIT)}"
        with (self._folder / f"{seat.name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", seat.module, *seat.arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        return _Process(process, ready, armed)
