"""The `actp` command line."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from actp import commands
from actp.command_line import run

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code (`actp.command_line.ExitCode`)."""
    return run("actp", "Escrowed payments between agents on an EVM chain.", commands, argv)


if __name__ == "__main__":
    sys.exit(main())
