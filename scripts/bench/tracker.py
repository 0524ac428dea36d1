"""How many reservations a second a tracker gives, beside its server's own benchmark: `make bench NAME=tracker`.

What is measured is one reservation that is granted, in 1, 3 and 10 scopes, of which all clients share the outermost
ones. Clients are processes with a tracker each, as pods of a fleet are; of the dictionary, threads of one process.
redis-benchmark runs the very same script, and pgbench the very same SQL function, on the same server, in turns with
ours. The Redis writes nothing to disk; PostgreSQL and SQLite do with every commit, so that their figures are the
disk's.

Prints a table and, as the last line, one JSON object; exits with 1 if a figure misses its bound. `redis_ratio_8` and
`postgres_ratio_8` compare with those benchmarks at 8 clients and 3 scopes, `local_per_second` is one thread's in one
scope, `threads_ratio_8` what 8 threads on one tracker get of PostgreSQL beside 8 clients of pgbench. `overspend` and
`false_denials` are what was granted above limits, and denied below them, when 8 clients spent all of them.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import logging
import secrets
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from coordinator.tracker import LocalTracker, Tracker
from scripts.bench.budget_world import databases
from scripts.bench.tracker_client import open_tracker, race, reserve_for
from scripts.bench.tracker_world import Fleet, Place, Run, a_redis, redis_benchmark, redis_ceiling, sql_ceiling
from scripts.verdicts import conclude

AT_LEAST = {"redis_ratio_8": 0.40, "local_per_second": 100_000}
AT_MOST = {"overspend": 0, "false_denials": 0}
CLIENTS = (1, 8, 32)
DEPTHS = (1, 3, 10)
_COUNTED = (8, 3)
_LIMIT = 9_000_000
_REQUESTS_PER_SECOND = 15_000
_AT_ONCE = 20_000


def scopes_of(depth: int) -> list[str]:
    """A session, a workflow in it, a step in that, and so on. pgbench takes what follows a colon for a variable."""
    return [f"level {number} of evaluation 2026-04-12" for number in range(depth)]


class Figures:
    """What was measured, by name: the median of its values counts."""

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = {}

    def note(self, name: str, value: float) -> None:
        """One value more."""
        self._values.setdefault(name, []).append(value)

    def medians(self) -> dict[str, float]:
        """Each figure."""
        found = {name: statistics.median(values) for name, values in self._values.items()}
        return {name: round(value, 3 if value < 1_000 else None) for name, value in found.items()}


def measure(seconds: float, rounds: int, folder: Path) -> dict[str, float]:
    """Every figure."""
    redis_benchmark()
    logging.getLogger("coordinator.tracker").setLevel(logging.ERROR)  # that this Redis keeps nothing is wanted here
    found = Figures()
    gc.collect()
    gc.freeze()
    for _ in range(3 * rounds):
        found.note("local_per_second", local_per_second())
    fleet = Fleet(max(CLIENTS))
    try:
        with a_redis(folder) as redis_url, databases(folder) as (sqlite, postgresql):
            urls = {
                "redis": redis_url,
                "postgres": postgresql.store.engine.url.render_as_string(hide_password=False),
                "sqlite": sqlite.store.engine.url.render_as_string(hide_password=False),
            }
            for number, depth in itertools.product(CLIENTS, DEPTHS):
                for _ in range(rounds if (number, depth) == _COUNTED else 1):
                    beside(found, fleet, urls, number, depth, seconds, folder)
            for _ in range(rounds):
                threads(found, urls["postgres"], seconds, folder)
            for backend, url in urls.items():
                limit, granted = 500, fleet.race(8, a_place(backend, url, ["race"], 500), ["race", "own"], "1")
                found.note("overspend", max(0, granted - limit))
                found.note("false_denials", max(0, limit - granted))
    finally:
        fleet.close()
    over, denied = local_race()
    figures = found.medians()
    figures["overspend"] = max(figures["overspend"], over)
    figures["false_denials"] = max(figures["false_denials"], denied)
    return figures


def local_per_second() -> float:
    """Reservations a second of one thread on a dictionary, in one scope."""
    with LocalTracker({"session": _LIMIT}) as tracker:
        begun = time.perf_counter()
        for _ in range(_AT_ONCE):
            tracker.reserve("session", "0.000001")
        return _AT_ONCE / (time.perf_counter() - begun)


def a_place(backend: str, url: str, scopes: Sequence[str], limit: int = _LIMIT) -> Place:
    """A root of its own, whose outermost scope has a limit, and every second one below it."""
    place = Place("redis" if backend == "redis" else "ledger", url, secrets.token_hex(8))
    with open_tracker(place.kind, place.url, place.root) as tracker:
        for scope in scopes[::2]:
            tracker.set_budget(scope, limit)
    return place


def beside(
    found: Figures, fleet: Fleet, urls: dict[str, str], number: int, depth: int, seconds: float, folder: Path
) -> None:
    """Every backend with so many clients and scopes, those with servers in turns with the servers' benchmarks."""
    scopes = scopes_of(depth)
    case = f"{number}_depth_{depth}"
    ceilings: dict[str, Callable[[Place], float]] = {
        "redis": lambda place: redis_ceiling(place, scopes, number, round(seconds * _REQUESTS_PER_SECOND)),
        "postgres": lambda place: sql_ceiling(place, scopes, number, seconds, folder),
    }
    line = [f"{number:>2} clients, {depth:>2} scopes:"]
    for backend, url in urls.items():
        ours = fleet.reserve(number, a_place(backend, url, scopes), scopes, seconds)
        note(found, backend, case, ours)
        line.append(f"{backend} {ours.per_second:,.0f}/s p99 {ours.p99_ms:.1f} ms")
        if backend in ceilings:
            most = ceilings[backend](a_place(backend, url, scopes))
            found.note(f"{backend}_ceiling_{case}", most)
            line[-1] += f" of {most:,.0f}/s"
            if depth == _COUNTED[1]:
                found.note(f"{backend}_ratio_{number}", ours.per_second / most)
    local = in_threads(LocalTracker(dict.fromkeys(scopes, _LIMIT)), number, scopes, min(seconds, 0.5))
    note(found, "local", case, local)
    print(*line, f"local {local.per_second:,.0f}/s", flush=True)


def note(found: Figures, backend: str, case: str, run: Run) -> None:
    """A run's two figures."""
    found.note(f"{backend}_per_second_{case}", run.per_second)
    found.note(f"{backend}_p99_ms_{case}", run.p99_ms)


def threads(found: Figures, url: str, seconds: float, folder: Path) -> None:
    """Threads that share one tracker share its commits, and are not as slow as the disk."""
    scopes = scopes_of(_COUNTED[1])
    place = a_place("postgres", url, scopes)
    with open_tracker(place.kind, place.url, place.root) as tracker:
        ours = in_threads(tracker, 8, scopes, seconds)
    most = sql_ceiling(a_place("postgres", url, scopes), scopes, 8, seconds, folder)
    found.note("threads_per_second_8", ours.per_second)
    found.note("threads_ratio_8", ours.per_second / most)


def in_threads(tracker: Tracker, number: int, scopes: list[str], seconds: float) -> Run:
    """So many threads of this process reserve with one tracker."""
    runs: list[tuple[list[int], float]] = []
    start_at = time.time() + 0.05

    def work() -> None:
        runs.append(reserve_for(tracker, scopes, seconds, start_at))

    together(work, number)
    taken = sorted(itertools.chain.from_iterable(one for one, _ in runs))
    return Run(sum(len(one) / passed for one, passed in runs), tuple(taken))


def local_race() -> tuple[int, int]:
    """What 8 threads were granted above a limit, and denied below it."""
    limit, granted = 5_003, 0
    tracker = LocalTracker({"race": limit})
    won: list[int] = []
    together(lambda: won.append(race(tracker, ["race", "own"], "1")), 8)
    granted = sum(won)
    return max(0, granted - limit), max(0, limit - granted)


def together(work: Callable[[], None], number: int) -> None:
    """Runs it in so many threads at once."""
    workers = [threading.Thread(target=work) for _ in range(number)]
    for one in workers:
        one.start()
    for one in workers:
        one.join()


def misses(found: dict[str, float]) -> list[str]:
    """The figures that miss their bounds."""
    return [
        *(f"{name} is {found[name]}, below {least}" for name, least in AT_LEAST.items() if found[name] < least),
        *(f"{name} is {found[name]}, above {most}" for name, most in AT_MOST.items() if found[name] > most),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each run takes")
    parser.add_argument("--rounds", type=int, default=5, help="how often the figures with bounds are measured")
    parser.add_argument("--folder", type=Path, help="where the databases go, for measuring a disk")
    arguments = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
            found = measure(arguments.seconds, arguments.rounds, Path(name))
    except RuntimeError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    return conclude(found, misses(found))


if __name__ == "__main__":
    sys.exit(main())
