"""The `coordinator` command line."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from actp.command_line import run
from coordinator import commands

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code (`actp.command_line.ExitCode`)."""
    return run("coordinator", "Spending by agents, and proof of what happened.", commands, argv)


if __name__ == "__main__":
    sys.exit(main())
