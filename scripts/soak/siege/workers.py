"""The processes that work treasuries: started, killed at random or at a crash point of the engine, started again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from actp.testing import CrashPoint, crash_at
from scripts.soak.siege.treasury import KEY_VARIABLE, READY_VARIABLE

__all__ = ["Seat", "Workers"]

_ROOT = Path(__file__).resolve().parents[3]
_ARMED = 0.5
"""How often a new process is to die at a crash point."""
_LATEST_HIT = 4
_LIFE = (5.0, 25.0)
"""For how many seconds a process works, if it reaches no crash point before. To begin may take it longer than that, on
a busy machine.
"""


@dataclass(frozen=True, slots=True)
class Seat:
    """A place for one process: it works the treasury of this plan with this key."""

    name: str
    plan: Path
    private_key: str


@dataclass(slots=True)
class _Process:
    process: subprocess.Popen[bytes]
    ready: Path
    """There as soon as it works."""
    armed: bool
    until: float | None = None


class Workers:
    """One process on each seat, most of the time."""

    def __init__(self, seats: list[Seat], dice: random.Random, folder: Path) -> None:
        self.kills = self.crashes = 0
        self.wrong: list[str] = []
        self._seats = seats
        self._dice = dice
        self._folder = folder
        self._running: dict[str, _Process] = {}

    def __enter__(self) -> Workers:
        self.tend()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for one in self._running.values():
            one.process.kill()
            one.process.wait()

    def tend(self, *, kill: bool = True) -> None:
        """Starts what has ended, and kills whoever's time has come."""
        now = time.monotonic()
        for seat in self._seats:
            running = self._running.get(seat.name)
            if running is not None and running.process.poll() is None:
                if running.until is None and running.ready.exists():
                    running.until = now + self._dice.uniform(*_LIFE)
                if not kill or running.until is None or now < running.until:
                    continue
                running.process.send_signal(signal.SIGKILL)
                running.process.wait()
                self.kills += 1
            elif running is not None:
                self._note_end(seat, running)
            self._running[seat.name] = self._start(seat, kill)

    def _note_end(self, seat: Seat, ended: _Process) -> None:
        if ended.armed and ended.process.returncode == -signal.SIGKILL:
            self.crashes += 1
        else:
            self.wrong.append(f"A process of {seat.name} ended by itself with {ended.process.returncode}.")

    def _start(self, seat: Seat, kill: bool) -> _Process:
        armed = kill and self._dice.random() < _ARMED
        ready = self._folder / f"{seat.name}.ready"
        ready.unlink(missing_ok=True)
        environment = {
            **os.environ, KEY_VARIABLE: seat.private_key, READY_VARIABLE: str(ready), "PYTHONPATH": str(_ROOT),
        }  # fmt: skip
        if armed:
            environment |= crash_at(self._dice.choice(list(CrashPoint)), self._dice.randint(1, _LATEST_HIT))
        with (self._folder / f"{seat.name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "scripts.soak.siege.treasury", str(seat.plan)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        return _Process(process, ready, armed)
