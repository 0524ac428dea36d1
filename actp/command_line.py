"""What every command line of this project has in common: nouns and verbs found in a package, exit codes for errors."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import pkgutil
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import IntEnum
from importlib.metadata import PackageNotFoundError, version
from types import FrameType, ModuleType

from actp.config import STORE_VARIABLE
from actp.errors import ActpError, InvalidInput
from actp.units import shown

__all__ = ["CHAIN_IDS", "STORE_HELP", "ExitCode", "run", "stop_signals", "whole_number"]

CHAIN_IDS = (1, 2**63 - 37)
"""The chain ids that eth transactions can be signed for (EIP-2294)."""

STORE_HELP = f"a database: the path of its file, or postgresql://user@host/name (default: {STORE_VARIABLE})"
"""What every `--store` takes."""

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ExitCode(IntEnum):
    """What a command's exit code says."""

    OK = 0
    FAILED = 1
    USAGE = 2
    DENIED = 3
    WAITS_FOR_APPROVAL = 4
    OUTCOME_UNKNOWN = 5
    CLOSED_PIPE = 141
    """Nobody reads the results any more; the same code as that of other programs then (128 and SIGPIPE)."""


def run(program: str, description: str, commands: ModuleType, argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code. Results go to stdout, everything else to stderr.

    Each module of the package `commands` whose name does not begin with an underscore is a noun, with a `HELP` line and
    a `configure(parser)` that sets the default `run` of each verb: a function of the parsed arguments that returns an
    exit code. A package with many of them names `GROUPS`: titles, and under each the nouns that the help shows there.
    """
    arguments = _parser(program, description, commands).parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()  # here, as nobody could say at the interpreter's end that the reader has gone
    except ActpError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return _exit_code(error)
    except UnicodeEncodeError:
        print(f"{program}: An argument has bytes that are no text.", file=sys.stderr)
        return ExitCode.USAGE
    except BrokenPipeError:
        # What is left in the buffer must not be tried again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.CLOSED_PIPE
    return code


@contextlib.contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that SIGINT, SIGTERM or SIGHUP sets; the handlers that were there before come back at the end."""
    stop = threading.Event()

    def set_stop(number: int, frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, set_stop) for number in _STOP_SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def whole_number(lowest: int, highest: int) -> Callable[[str], int]:
    """An argparse type: a whole number from `lowest` to `highest`, with an error that says so."""

    def parse(text: str) -> int:
        if not re.fullmatch("-?[0-9]{1,30}", text) or not lowest <= int(text) <= highest:
            raise argparse.ArgumentTypeError(f"{shown(text)} is not a whole number from {lowest} to {highest}")
        return int(text)

    return parse


def _exit_code(error: ActpError) -> ExitCode:
    if error.outcome == "unknown":
        return ExitCode.OUTCOME_UNKNOWN
    return ExitCode.USAGE if isinstance(error, InvalidInput) else ExitCode.FAILED


def _parser(program: str, description: str, commands: ModuleType) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program, description=description, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"{program} {_version()}")
    names = [one.name for one in pkgutil.iter_modules(commands.__path__) if not one.name.startswith("_")]
    modules = {name.replace("_", "-"): importlib.import_module(f"{commands.__name__}.{name}") for name in names}
    groups: Mapping[str, Sequence[str]] | None = getattr(commands, "GROUPS", None)
    if groups is None:
        nouns = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    else:
        nouns = parser.add_subparsers(metavar="COMMAND", required=True, help=argparse.SUPPRESS)
        parser.usage = "%(prog)s [-h] [--version] COMMAND ..."  # the suppressed list is not named there either
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        parser.epilog = _grouped(program, groups, {name: module.HELP for name, module in modules.items()})
    for name, module in modules.items():
        module.configure(nouns.add_parser(name, help=module.HELP, description=module.HELP, allow_abbrev=False))
    return parser


def _grouped(program: str, groups: Mapping[str, Sequence[str]], helps: Mapping[str, str]) -> str:
    width = max(map(len, helps))
    parts = [
        "\n".join([f"{title}:", *(f"  {name:<{width}}  {helps[name]}" for name in names)])
        for title, names in groups.items()
    ]
    return "\n\n".join([*parts, f"`{program} COMMAND --help` says what each of them takes."])


def _version() -> str:
    try:
        return version("actp-escrow")
    except PackageNotFoundError:
        return "unknown (not installed)"
