"""A process of the fleet that the tracker bench measures: `python -m scripts.bench.tracker_client`, told by JSON lines.

Each order names a tracker and what to do with it; each answer is a line of JSON.
"""

from __future__ import annotations

import gc
import json
import logging
import sys
import time
from typing import Any

from coordinator.tracker import BudgetExceededError, RedisTracker, Tracker
from coordinator.tracker.ledger import LedgerTracker

__all__ = ["open_tracker", "race", "reserve_for"]


def open_tracker(kind: str, url: str, root: str) -> Tracker:
    """A tracker over a server: redis, or a ledger."""
    return RedisTracker(url, root) if kind == "redis" else LedgerTracker(url, root)


def reserve_for(tracker: Tracker, scopes: list[str], seconds: float, start_at: float) -> tuple[list[int], float]:
    """Reserves a millionth after the other: the microseconds that each took, and the seconds that all took."""
    time.sleep(max(0.0, start_at - time.time()))
    taken: list[int] = []
    begun = now = time.perf_counter()
    while now < begun + seconds:
        tracker.reserve(scopes, "0.000001")
        before, now = now, time.perf_counter()
        taken.append(round((now - before) * 1_000_000))
    return taken, now - begun


def race(tracker: Tracker, scopes: list[str], amount: str) -> int:
    """Reserves until it is denied, and commits every other reservation; how often it was granted."""
    granted = 0
    while True:
        try:
            token = tracker.reserve(scopes, amount)
        except BudgetExceededError:
            return granted
        granted += 1
        if granted % 2:
            tracker.commit(token, amount)


def _serve() -> None:
    logging.getLogger("coordinator.tracker").setLevel(logging.ERROR)
    trackers: dict[tuple[str, str, str], Tracker] = {}
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        order: dict[str, Any] = json.loads(line)
        where = (order["kind"], order["url"], order["root"])
        tracker = trackers.get(where)
        if tracker is None:
            for old in trackers.values():
                old.close()
            trackers = {where: open_tracker(*where)}
            tracker = trackers[where]
        match order["do"]:
            case "reserve":
                answer: Any = reserve_for(tracker, order["scopes"], order["seconds"], order["start_at"])
            case "race":
                answer = race(tracker, order["scopes"], order["amount"])
            case _:
                answer = str(tracker.get_spent(order["scopes"][0]))
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _serve()
