"""Run a crew's purchases through the coordinator, and check every balance, budget and proof at the end.

    python scripts/demo.py                      the research crew
    python scripts/demo.py my_crew.toml         yours; coordinator/crew/research_crew.toml shows every key
    python scripts/demo.py --json > run.json    one JSON document, amounts in base units, ids in full
    python scripts/demo.py --store run.db       keeps the ledger: coordinator proof list --store sqlite:///run.db
    python scripts/demo.py --fail crash         kills a worker after it has sent a payment, and starts another one

Exit codes: 0 everything adds up, 1 it does not, 2 the scenario cannot be run.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from coordinator.crew import run_crash_demo, run_demo


def main(argv: Sequence[str] | None = None) -> int:
    summary, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument(
        "scenario", nargs="?", type=Path, metavar="FILE", help="a scenario (default: the research crew)"
    )
    parser.add_argument("--plain", action="store_true", help="no colours and no lines, even on a terminal")
    parser.add_argument("--json", action="store_true", dest="as_json", help="one JSON document instead of the story")
    parser.add_argument(
        "--store", type=Path, metavar="FILE", help="a new file for the treasury's ledger (default: in memory)"
    )
    parser.add_argument("--fail", choices=["crash"], help="show what becomes of a failure, instead of a scenario")
    arguments = parser.parse_args(argv)
    if arguments.fail and (arguments.scenario or arguments.as_json or arguments.store):
        parser.error("--fail has a story of its own, and takes neither a scenario nor --json nor --store")
    # Names come from a file and may have letters that the terminal's encoding lacks.
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    sys.stderr.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        if arguments.fail:
            return run_crash_demo(out=sys.stdout, err=sys.stderr)
        return run_demo(
            arguments.scenario,
            plain=arguments.plain,
            as_json=arguments.as_json,
            store=arguments.store,
            out=sys.stdout,
            err=sys.stderr,
        )
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader has gone (`| head`). Without this, the interpreter would complain once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


if __name__ == "__main__":
    sys.exit(main())
