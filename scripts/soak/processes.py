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

from actp.engine.crash import CrashPoint as EnginePoint
from actp.testing import crash_at
from coordinator.crash import CRASH_VARIABLE

__all__ = ["Processes", "Seat", "key_of_this_process", "say_ready"]

_KEY_VARIABLE = "PRIVATE_KEY"
_READY_VARIABLE = "SOAK_READY"
"""Names the file that a process makes when it begins to work."""
_ROOT = Path(__file__).resolve().parents[2]
_ARMED = 0.5
"""How often a new process is to die at a crash point."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A place for one process, which runs `module` with the key of a treasury. It may die at one of `points`, when it
    passes there for at most the `latest_hit`-th time, or after a `life` of so many seconds, at random between two
    numbers, from when it begins to work: to begin may take it longer than that, on a busy machine. `ends` if it is done
    one day.
    """

    name: str
    module: str
    arguments: tuple[str, ...]
    private_key: str
    points: Sequence[Enum]
    latest_hit: int
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

    def __init__(self, seats: Sequence[Seat], dice: random.Random, folder: Path) -> None:
        self.kills = self.crashes = 0
        self.wrong: list[str] = []
        self._seats = list(seats)
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
    def done(self) -> bool:
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
            **os.environ, _KEY_VARIABLE: seat.private_key, _READY_VARIABLE: str(ready), "PYTHONPATH": str(_ROOT),
        }  # fmt: skip
        if armed:
            environment |= _dying_at(self._dice.choice(list(seat.points)), self._dice.randint(1, seat.latest_hit))
        with (self._folder / f"{seat.name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", seat.module, *seat.arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        return _Process(process, ready, armed)


def key_of_this_process() -> str:
    """In a process on a seat: the key of its treasury."""
    return os.environ[_KEY_VARIABLE]


def say_ready() -> None:
    """In a process on a seat: it begins to work."""
    Path(os.environ[_READY_VARIABLE]).touch()


def _dying_at(where: Enum, hit: int) -> dict[str, str]:
    """The environment of a process that is to die there when it passes for the `hit`-th time: at a point of the engine,
    or of the coordinator.
    """
    return crash_at(where, hit) if isinstance(where, EnginePoint) else {CRASH_VARIABLE: f"{where.value}:{hit}"}
