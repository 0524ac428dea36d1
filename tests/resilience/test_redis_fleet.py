"""Many real processes, one budget in one Redis."""

from __future__ import annotations

import secrets
import time
from contextlib import ExitStack
from decimal import Decimal

import pytest

from tests.resilience.fleet import Pod

FACTORY = "coordinator.tracker:RedisTracker"
SESSION = "session:nightly"


@pytest.mark.slow
@pytest.mark.parametrize("size", [20, 100])
def test_a_fleet_is_granted_exactly_its_budget_and_those_who_are_killed_leak_nothing(redis_url, open_redis, size):
    tracker = open_redis(redis_url, root := secrets.token_hex(8))
    budget = 3 * size
    tracker.set_budget(SESSION, budget)
    with ExitStack() as running:
        pods = [running.enter_context(Pod(FACTORY, redis_url, root)) for _ in range(size)]
        together(pods, lambda number: ("spent", SESSION))  # none begins before the last one is there
        granted = together(pods, lambda number: ("race", [SESSION, f"workflow:{number}"], "1"))
        assert sum(granted) == budget
        assert sum(map(bool, granted)) > 1
        assert tracker.get_spent(SESSION) + tracker.get_reserved(SESSION) == budget
        assert sum(one.spent + one.reserved for one in tracker.scopes() if one.scope != SESSION) == budget

        # Each still holds its last one. All give that back, and the first ones die while they hold another.
        given_back = together(pods, lambda number: ("release",))
        assert tracker.get_spent(SESSION) == budget - sum(given_back)
        doomed = pods[: min(size // 4, sum(given_back))]
        held = together(doomed, lambda number: ("reserve", [SESSION, f"workflow:{number}"], "1", 3.0))
        assert held == ["granted"] * len(doomed)
        for pod in doomed:
            pod.kill()
        until(lambda: tracker.get_reserved(SESSION) == 0)
        assert tracker.reservations() == ()
        assert {one.reserved for one in tracker.scopes()} == {Decimal(0)}

        alive = pods[len(doomed) :]
        again = together(alive, lambda number: ("race", [SESSION, f"workflow:{number}"], "1"))
        assert sum(again) == sum(given_back)
        assert tracker.get_spent(SESSION) + tracker.get_reserved(SESSION) == budget
        assert [one.overruns + one.late + one.lost for one in tracker.scopes()] == [0] * len(tracker.scopes())


def together(pods, order):
    """Tells all of them before it hears the first."""
    for number, pod in enumerate(pods):
        pod.tell(*order(number))
    return [pod.answer() for pod in pods]


def until(true, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it does not come true"
        time.sleep(0.05)
