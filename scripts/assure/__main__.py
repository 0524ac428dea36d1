"""python -m scripts.assure [NAME ...]: check the contracts with tools that need more than Python.

Without names all steps run but `mutants`, which takes too long. A step whose tool is not installed is reported, and
with --strict that is a failure.
"""

from __future__ import annotations

import argparse
import functools
import sys
import time
from collections.abc import Callable

from scripts.assure import coverage, findings, gas, invariants, mutants, proofs
from scripts.assure.workspace import Failed, NotRun

STEPS: dict[str, Callable[[], str]] = {
    "invariants": invariants.run,
    "proofs": proofs.run,
    "findings": findings.run,
    "gas": gas.run,
    "coverage": coverage.run,
    "mutants": mutants.run,
}
USUAL = [name for name in STEPS if name != "mutants"]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts.assure", description="Check the contracts.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(STEPS)}; without: all but mutants")
    parser.add_argument("--strict", action="store_true", help="a step that cannot run is a failure")
    parser.add_argument("--update", action="store_true", help="accept the gas figures of today")
    options = parser.parse_args(argv)
    unknown = [name for name in options.names if name not in STEPS]
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}; choose from {', '.join(STEPS)}")
    steps: dict[str, Callable[[], str]] = {**STEPS, "gas": functools.partial(gas.run, update=options.update)}

    outcomes = [_run(name, steps[name]) for name in options.names or USUAL]
    print("\n== assurance")
    for name, outcome, detail, seconds in outcomes:
        print(f"{outcome:<8} {name:<11} {seconds:>6.0f} s  {detail}")
    bad = {"FAILED"} | ({"NOT RUN"} if options.strict else set())
    return 1 if any(outcome in bad for _, outcome, _, _ in outcomes) else 0


def _run(name: str, step: Callable[[], str]) -> tuple[str, str, str, float]:
    print(f"\n== {name}", flush=True)
    started = time.monotonic()
    try:
        outcome, detail = "ok", step()
    except NotRun as error:
        outcome, detail = "NOT RUN", str(error)
    except Failed as error:
        print(error, file=sys.stderr)
        outcome, detail = "FAILED", str(error).splitlines()[0]
    return name, outcome, detail, time.monotonic() - started


if __name__ == "__main__":
    sys.exit(main())
