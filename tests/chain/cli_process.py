"""`actp chain` as users start it: a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from actp.rpc import HttpTransport

__all__ = ["Running", "actp_chain"]


class Running:
    """A started `actp chain`: what it printed, and a transport to it."""

    def __init__(self, process: subprocess.Popen[str], output: list[str]) -> None:
        self.process = process
        self.output = output
        self.url = self.value_of("RPC URL")
        self.transport = HttpTransport(self.url)

    def value_of(self, name: str) -> str:
        return next(line for line in self.output if line.startswith(name))[len(name) :].strip()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(15)


@contextmanager
def actp_chain(folder: Path, *arguments: str) -> Iterator[Running]:
    process = subprocess.Popen(
        [sys.executable, "-m", "actp.cli", "chain", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "ACTP_DEPLOYMENTS_DIR": str(folder)},
    )
    try:
        assert process.stdout is not None
        yield Running(process, _introduction(process.stdout))
    finally:
        process.kill()
        process.wait()


def _introduction(stdout: IO[str]) -> list[str]:
    """What it prints before it serves; ends early if the process does."""
    lines = []
    for line in stdout:
        lines.append(line.rstrip("\n"))
        if line.startswith("Stop with"):
            break
    return lines
