"""Settle, refund and close what is due: the same as `coordinator run settlement`.

    python scripts/settlement_bot.py --network base-sepolia --for everyone --dry-run
    python scripts/settlement_bot.py --network base-sepolia --deployment agirails-g1 --for 0x... --store bot.db

See coordinator/settlement/README.md.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from coordinator.cli import main as coordinator


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of the command."""
    return coordinator(["run", "settlement", *(sys.argv[1:] if argv is None else argv)])


if __name__ == "__main__":
    sys.exit(main())
