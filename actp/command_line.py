"""What every command line of this project has in common: nouns and verbs found in a package, exit codes for errors."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import re
import sys
from collections.abc import Callable, Sequence
from enum import IntEnum
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

from actp.errors import ActpError, InvalidInput
from actp.units import shown

__all__ = ["CHAIN_IDS", "ExitCode", "run", "whole_number"]

CHAIN_IDS = (1, 2**63 - 37)
"""The chain ids that eth transactions can be signed for (EIP-2294)."""


class ExitCode(IntEnum):
    """What a command's exit code says."""

    OK = 0
    FAILED = 1
    USAGE = 2
    DENIED = 3
    WAITS_FOR_APPROVAL = 4
    OUTCOME_UNKNOWN = 5


def run(program: str, description: str, commands: ModuleType, argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code. Results go to stdout, everything else to stderr.

    Each module of the package `commands` is a noun, with a `HELP` line and a `configure(parser)` that sets the
    default `run` of each verb: a function of the parsed arguments that returns an exit code.
    """
    arguments = _parser(program, description, commands).parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except ActpError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return _exit_code(error)
    return code


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
    nouns = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module_info in pkgutil.iter_modules(commands.__path__):
        module = importlib.import_module(f"{commands.__name__}.{module_info.name}")
        noun = nouns.add_parser(
            module_info.name.replace("_", "-"), help=module.HELP, description=module.HELP, allow_abbrev=False
        )
        module.configure(noun)
    return parser


def _version() -> str:
    try:
        return version("actp-escrow")
    except PackageNotFoundError:
        return "unknown (not installed)"
