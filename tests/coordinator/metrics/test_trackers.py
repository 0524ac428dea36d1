"""Every tracker tells of denials, overruns, and how much is used, whichever ledger it is over."""

from __future__ import annotations

import gc
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest

from actp import observing
from coordinator import measures
from coordinator.measures import OTHER
from coordinator.metrics.exposing import Exported
from coordinator.tracker.errors import BudgetExceededError
from coordinator.tracker.ledger import LedgerTracker
from coordinator.tracker.local import LocalTracker
from coordinator.tracker.redis import RedisTracker
from coordinator.tracker.words import Tracker
from tests.heard import hearing
from tests.resilience.conftest import redis_binary, redis_url

__all__ = ["redis_binary", "redis_url"]


def local(request: pytest.FixtureRequest, folder: Path) -> Tracker:
    return LocalTracker()


def ledger(request: pytest.FixtureRequest, folder: Path) -> Tracker:
    return LedgerTracker(f"sqlite:///{folder / 'budgets.db'}")


def redis(request: pytest.FixtureRequest, folder: Path) -> Tracker:
    return RedisTracker(request.getfixturevalue("redis_url"), root=secrets.token_hex(8))


@pytest.fixture(params=[local, ledger, redis], ids=lambda one: one.__name__)
def tracker(request, tmp_path):
    make: Callable[[pytest.FixtureRequest, Path], Tracker] = request.param
    with make(request, tmp_path) as made:
        yield made


def test_denials_are_counted_with_their_scope_and_reason(tracker: Tracker):
    tracker.set_budget("session:x", "1")
    tracker.set_budget("workflow:y", "5")
    with hearing() as heard:
        for scopes, amount in ((["session:x"], "2"), (["session:x", "workflow:y"], "1.5"), (["nobody's"], "1")):
            with pytest.raises(BudgetExceededError):
                tracker.reserve(scopes, amount)
        tracker.commit(tracker.reserve("session:x", "1"), "3")
        with pytest.raises(BudgetExceededError):
            tracker.reserve("session:x", "0.01")
    assert {key[1:]: value for key, value in heard.counts.items() if key[0] == "actp_budget_rejections"} == {
        ("session:x", "limit"): 2,
        ("nobody's", "no_limit"): 1,
        ("session:x", "overrun"): 1,
    }


def test_an_overrun_counts_once_for_each_scope_however_often_it_is_told(tracker: Tracker):
    tracker.set_budget("session:x", "10")
    tracker.set_budget("workflow:y", "10")
    with hearing() as heard:
        token = tracker.reserve(["session:x", "workflow:y"], "1")
        tracker.commit(token, "1.5")
        tracker.commit(token, "1.5")  # the answer was lost
        tracker.commit(tracker.reserve(["session:x"], "1"), "1")
    assert heard.counts == {("actp_budget_overrun", "session:x"): 1, ("actp_budget_overrun", "workflow:y"): 1}


def test_what_is_used_is_read_when_somebody_scrapes_and_not_after_it_is_closed(tracker: Tracker):
    tracker.set_budget("session:shown", "10")
    tracker.set_budget("chain:shown", 5_000_000, unit="usdc")
    tracker.commit(tracker.reserve("session:shown", "2"), "0.000001")
    tracker.reserve("session:shown", "1.25")
    tracker.reserve("chain:shown", 1_000_000, unit="usdc")
    exported = Exported()
    try:
        value = exported.registry.get_sample_value
        assert value("actp_budget_remaining_usd", {"scope": "session:shown"}) == float(Decimal("8.749999"))
        assert value("actp_budget_reserved_usd", {"scope": "session:shown"}) == 1.25
        assert value("actp_budget_remaining_usd", {"scope": "chain:shown"}) == 4
        assert value("actp_budget_reserved_usd", {"scope": "chain:shown"}) == 1
        tracker.close()
        assert value("actp_budget_reserved_usd", {"scope": "chain:shown"}) is None
    finally:
        exported.close()


@pytest.mark.slow
def test_a_tracker_that_nobody_uses_any_more_is_not_read():
    made = LocalTracker({"gone": "1"})
    exported = Exported()
    try:
        assert exported.registry.get_sample_value("actp_budget_remaining_usd", {"scope": "gone"}) == 1
        del made
        gc.collect()
        assert exported.registry.get_sample_value("actp_budget_remaining_usd", {"scope": "gone"}) is None
    finally:
        exported.close()


def test_many_scopes_are_few_lines():
    made = LocalTracker({f"session:{index}": "1" for index in range(300)})
    exported = Exported()
    try:
        (family,) = [one for one in exported.registry.collect() if one.name == "actp_budget_remaining_usd"]
        assert len(family.samples) <= measures.MOST_SCOPES + 1
        assert sum(one.value for one in family.samples) == 300
        assert exported.registry.get_sample_value("actp_budget_remaining_usd", {"scope": OTHER}) == 250
    finally:
        exported.close()
        made.close()


def test_those_who_scrape_at_the_same_time_read_one_after_another():
    reading, together = [], []

    class Read:
        """Something to be read."""

    def read(_: Read) -> list[observing.Reading]:
        reading.append(1)
        together.append(len(reading))
        time.sleep(0.02)
        reading.pop()
        return []

    made, exported = Read(), Exported()
    observing.watch(made, read)
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: list(exported.registry.collect()), range(4)))
        assert together == [1, 1, 1, 1]
    finally:
        observing.unwatch(made)
        exported.close()


def test_a_redis_that_does_not_answer_leaves_the_other_gauges():
    far = RedisTracker("redis://127.0.0.1:9/0")
    near = LocalTracker({"near": "1"})
    exported = Exported()
    try:
        assert exported.registry.get_sample_value("actp_budget_remaining_usd", {"scope": "near"}) == 1
    finally:
        exported.close()
        far.close()
        near.close()
