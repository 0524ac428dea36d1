"""A program under a session's budget: told where the budget is, and stopped when it is spent."""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from actp.errors import ActpError, ConfigError, InvalidInput
from coordinator.commands._tracking import existing, place_of

if TYPE_CHECKING:
    from coordinator.tracker import Tracker
    from coordinator.tracker.opening import Place

__all__ = ["execute"]

_FORWARDED = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
    if hasattr(signal, name)
)
_FROM_TERMINALS = (signal.SIGINT, signal.SIGQUIT)
_LOOK_SECONDS = 0.25
_POLL_SECONDS = 0.1
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126
"""What shells answer for a program that is not there, or is none."""


def execute(arguments: argparse.Namespace) -> int:
    """`coordinator budget exec`: runs the program, and returns its exit code; 128 and the signal's number if one ended
    it. Raises ConfigError, InvalidInput, TrackerError before it has begun.
    """
    from coordinator.tracker.money import amount_of, micros_of
    from coordinator.tracker.naming import session_scope

    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if not command:
        raise InvalidInput("There is no program to run.", hint="coordinator budget exec [FLAGS] -- COMMAND ...")
    least = amount_of(micros_of(arguments.least, name="--least"))
    scope = session_scope(arguments.budget_session_id or _new_session())
    with ExitStack() as stack:
        named = place_of(arguments)
        if arguments.budget_session_limit is None:
            if named.kind == "local":
                raise ConfigError(
                    "No ledger is named, so this makes a new one, in which the session has no limit.",
                    hint="Give --budget-session-limit.",
                )
            existing(named)
        place = _shared(named, stack)
        tracker = stack.enter_context(place.open())
        if arguments.budget_session_limit is not None:
            tracker.set_budget(scope, arguments.budget_session_limit)
        elif tracker.get_budget(scope) is None:
            raise ConfigError(f"{scope} has no limit.", hint="Give --budget-session-limit.")
        print(f"Budget    {scope} in {place.label}", file=sys.stderr, flush=True)
        child = _Child(command, {**os.environ, **place.environment(scope)})
        watching = _Watching(tracker, scope, least) if arguments.stop_when_spent else None
        code = child.run(watching, arguments.grace)
        _summarize(tracker, scope, stopped=watching is not None and watching.spent.is_set())
    return code


def _new_session() -> str:
    return f"exec-{time.strftime('%Y-%m-%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(3)}"


def _shared(place: Place, stack: ExitStack) -> Place:
    """A place that two processes see: a file of SQLite for as long as this runs, where it would have been local."""
    from coordinator.tracker.opening import Kind, Place

    if place.kind is not Kind.LOCAL:
        return place
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="actp-budget-"))
    return Place(Kind.SQLITE, str(Path(folder) / "budget.db"), place.root)


class _Watching:
    """Looks at the session again and again, in a thread, until it is spent."""

    def __init__(self, tracker: Tracker, scope: str, least: Decimal) -> None:
        self.spent = threading.Event()
        self._tracker = tracker
        self._scope = scope
        self._least = least
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="budget watch", daemon=True)

    def __enter__(self) -> _Watching:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        silent = False
        while not self._end.wait(_LOOK_SECONDS):
            try:
                if self._is_spent():
                    self.spent.set()
                    return
                silent = False
            except ActpError as error:
                # The program's own calls are refused meanwhile; whether it goes on is its decision.
                if not silent:
                    print(f"coordinator: The budget cannot be looked at: {error}", file=sys.stderr, flush=True)
                silent = True

    def _is_spent(self) -> bool:
        limit = self._tracker.get_budget(self._scope)
        if limit is None:
            return True  # nothing is granted any more
        left = limit - self._tracker.get_spent(self._scope)
        return left <= 0 or left < self._least


class _Child:
    """A program of which this process is no more than the messenger."""

    def __init__(self, command: Sequence[str], environment: dict[str, str]) -> None:
        self._command = command
        self._environment = environment
        # On a terminal it stays in the group that Ctrl-C goes to; elsewhere its own children get signals, too.
        self._on_terminal = sys.stdin is not None and sys.stdin.isatty()
        self._process: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []

    def run(self, watching: _Watching | None, grace: float) -> int:
        """Its exit code."""
        with self._forwarding(), ExitStack() as stack:
            try:
                process = subprocess.Popen(
                    self._command, env=self._environment, process_group=None if self._on_terminal else 0
                )
            except FileNotFoundError:
                print(f"coordinator: {self._command[0]}: not found", file=sys.stderr)
                return _NOT_FOUND
            except (OSError, ValueError) as error:
                print(f"coordinator: {self._command[0]}: {error}", file=sys.stderr)
                return _NOT_EXECUTABLE
            self._process = process
            for number in self._early:
                self._send(number)
            if watching is not None:
                stack.enter_context(watching)
            code = self._wait(process, watching, grace)
        return code if code >= 0 else 128 - code

    def _wait(self, process: subprocess.Popen[bytes], watching: _Watching | None, grace: float) -> int:
        told_at: float | None = None
        killed = False
        while True:
            try:
                return process.wait(_POLL_SECONDS)
            except subprocess.TimeoutExpired:
                if watching is None or not watching.spent.is_set():
                    continue
            now = time.monotonic()
            if told_at is None:
                told_at = now
                print("coordinator: The session is spent: the program is told to end.", file=sys.stderr, flush=True)
                self._send(signal.SIGTERM)
            elif not killed and now - told_at >= grace:
                killed = True
                print("coordinator: It has not ended, and is killed.", file=sys.stderr, flush=True)
                self._send(signal.SIGKILL)

    @contextmanager
    def _forwarding(self) -> Iterator[None]:
        # What whoever started this process wants ignored, the program inherits so.
        numbers = [one for one in _FORWARDED if signal.getsignal(one) is not signal.SIG_IGN]
        before = {number: signal.signal(number, self._forward) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _forward(self, number: int, frame: FrameType | None) -> None:
        if self._on_terminal and number in _FROM_TERMINALS:
            return  # the terminal has told the program, too
        if self._process is None:
            self._early.append(number)
        else:
            self._send(number)

    def _send(self, number: int) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        if self._on_terminal:
            process.send_signal(number)
            return
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return


def _summarize(tracker: Tracker, scope: str, *, stopped: bool) -> None:
    try:
        (found,) = (one for one in tracker.scopes() if one.scope == scope)
    except (ActpError, ValueError) as error:
        print(f"coordinator: The budget cannot be read any more: {error}", file=sys.stderr)
        return
    limit = "no limit" if found.limit is None else f"{found.limit:,f}"
    line = f"Spent     {found.spent:,f} of {limit}" + (", and was stopped" if stopped else "")
    lines = [line]
    if found.reservations:
        lines.append(f"Reserved  {found.reserved:,f} in {found.reservations}: by others, or by what was cut off")
    if found.overruns:
        lines.append(f"Overruns  {found.overruns}")
    print("\n".join(lines), file=sys.stderr, flush=True)
