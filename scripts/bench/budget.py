"""How many budget decisions a second are durable, beside pgbench: `make bench NAME=budget`.

Every decision measured looks at a limit of every kind (13 cells, three of them hot), and writes its reservation, its
entry of the journal and its row of the outbox in one commit. pgbench calls the very same SQL function on the same
server, in turns with ours. Prints a table and, as the last line, one JSON object; exits with 1 if a figure misses its
bound or a result is wrong: a grant too many, a denial for nothing, or rows that do not add up.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
from pathlib import Path

from coordinator.budget.words import ReservationState
from coordinator.store import Ledger
from scripts.bench.budget_world import (
    AGENTS,
    Run,
    a_request,
    authority_over,
    callers,
    databases,
    median_ms,
    pgbench,
    seed,
    wrong,
)
from scripts.bench.engine import fsync_ms
from scripts.verdicts import conclude

AT_LEAST = {"direct_ratio_8": 0.85, "coalesced_ratio_32": 5.0}
AT_MOST = {"overspend": 0, "false_denials": 0, "flat_ratio_sqlite": 1.5, "flat_ratio_postgresql": 1.5}
_FSYNCS = 20
_FEW = 1_000


def measure(seconds: float, rounds: int, records: int, folder: Path) -> tuple[dict[str, float], list[str]]:
    """Every figure, and what was wrong."""
    problems: list[str] = []
    with databases(folder) as (sqlite, postgresql):
        found: dict[str, float] = {}
        for number in (1, 8, 32, 128):
            runs = [_on_sqlite(sqlite, number, seconds, problems) for _ in range(rounds)]
            found[f"sqlite_per_second_{number}"] = round(statistics.median(one.per_second for one in runs))
        found |= _beside_pgbench(postgresql, seconds, rounds, folder, problems)
        for name, ledger in (("sqlite", sqlite), ("postgresql", postgresql)):
            over, denied = _race(ledger)
            found["overspend"] = found.get("overspend", 0) + over
            found["false_denials"] = found.get("false_denials", 0) + denied
            found[f"flat_ratio_{name}"] = _flat(ledger, records)
    return found, problems


def _on_sqlite(ledger: Ledger, number: int, seconds: float, problems: list[str]) -> Run:
    with authority_over(ledger, leading=True) as authority:
        run = callers(authority, number, seconds)
        problems += wrong(authority)
        return run


def _beside_pgbench(ledger: Ledger, seconds: float, rounds: int, folder: Path, problems: list[str]) -> dict[str, float]:
    found: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        found.setdefault(name, []).append(value)

    for index in range(rounds):
        # In turns, so that whatever else the machine does hits all alike.
        for number in (1, 8, 32, 128):
            with authority_over(ledger, leading=False) as alone:
                beside = pgbench(alone, min(number, 64), seconds, folder) if number != 128 else 0.0
                direct = callers(alone, number, seconds)
                problems += wrong(alone)
            with authority_over(ledger, leading=True) as leading:
                together = callers(leading, number, seconds)
                problems += wrong(leading)
            note(f"direct_per_second_{number}", direct.per_second)
            note(f"coalesced_per_second_{number}", together.per_second)
            note(f"reserve_p99_ms_{number}", together.quantile(0.99))
            if beside:
                note(f"pgbench_per_second_{number}", beside)
                note(f"direct_ratio_{number}", direct.per_second / beside)
                note(f"coalesced_ratio_{number}", together.per_second / beside)
            print(
                f"round {index + 1}, {number} callers: pgbench {beside:,.0f}, direct {direct.per_second:,.0f}, "
                f"coalesced {together.per_second:,.0f} a second, p99 {together.quantile(0.99):.1f} ms"
            )
            # What the disk takes changes with what others write, so it is looked at beside what depends on it.
            note("fsync_ms", statistics.median(fsync_ms(folder) for _ in range(20)))
    return {name: round(statistics.median(values), 3) for name, values in found.items()}


def _race(ledger: Ledger) -> tuple[int, int]:
    """Units granted above a budget, and units denied below it, when many ask for more than there is."""
    budget, each = 1_003, 3
    with authority_over(ledger, leading=False, total=budget) as authority:
        granted: list[int] = []

        def ask(caller: int) -> None:
            for _ in range(20):
                if authority.request(a_request(caller, each)).state is ReservationState.HELD:
                    granted.append(each)

        threads = [threading.Thread(target=ask, args=(caller,)) for caller in range(AGENTS)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    most = budget - budget % each
    return max(0, sum(granted) - most), max(0, most - sum(granted))


def _flat(ledger: Ledger, records: int) -> float:
    """How much longer one decision takes after `records` requests than after a thousand, in turns."""
    with authority_over(ledger, leading=False) as young, authority_over(ledger, leading=False) as old:
        seed(young, _FEW)
        seed(old, records)
        ratios = []
        for _ in range(5):
            few = median_ms(lambda: young.request(a_request(0)), 60)
            ratios.append(median_ms(lambda: old.request(a_request(0)), 60) / few)
    return round(statistics.median(ratios), 2)


def misses(found: dict[str, float]) -> list[str]:
    """The figures that miss their bounds."""
    # A disk decides what a commit takes: twenty fsyncs are as good as 10 ms.
    most = AT_MOST | {"reserve_p99_ms_32": max(10.0, _FSYNCS * found["fsync_ms"])}
    return [
        *(f"{name} is {found[name]}, below {least}" for name, least in AT_LEAST.items() if found[name] < least),
        *(f"{name} is {found[name]}, above {bound:g}" for name, bound in most.items() if found[name] > bound),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each run takes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--records", type=int, default=1_000_000, help="past requests to compare a thousand with")
    parser.add_argument("--folder", type=Path, help="where the databases go, for measuring a disk")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        found, problems = measure(arguments.seconds, arguments.rounds, arguments.records, Path(name))
    return conclude(found, [*problems, *misses(found)])


if __name__ == "__main__":
    sys.exit(main())
