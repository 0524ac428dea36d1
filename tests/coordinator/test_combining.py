"""Many callers share a run, each gets its own result, and nobody is left waiting."""

from __future__ import annotations

import threading
import time

import pytest

from coordinator import combining
from coordinator.combining import Combiner


def all_at_once(combiner, number, things=lambda index: [index]):
    results: dict[int, object] = {}

    def call(index):
        try:
            results[index] = combiner.submit(things(index))
        except KeyboardInterrupt as error:
            results[index] = error

    threads = [threading.Thread(target=call, args=(index,)) for index in range(number)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)
        assert not one.is_alive(), "a caller was left waiting"
    return results


def test_callers_share_runs_that_never_overlap_and_each_gets_its_own():
    runs, active = [], []

    def run(things):
        assert not active
        active.append(True)
        time.sleep(0.005)
        runs.append(len(things))
        active.clear()
        return [10 * thing for thing in things]

    results = all_at_once(Combiner(run, most=8), 40)
    assert results == {index: [10 * index] for index in range(40)}
    assert sum(runs) == 40
    assert max(runs) <= 8
    assert len(runs) < 40


def test_what_a_run_raises_is_told_to_everybody_in_it_and_the_next_run_works():
    def run(things):
        if 13 in things:
            raise ValueError("unlucky")
        return things

    combiner = Combiner(run, most=4)
    results = all_at_once(combiner, 20)
    assert isinstance(results[13][0], ValueError)
    assert combiner.submit([1, 2]) == [1, 2]


def test_the_end_of_a_thread_in_a_run_leaves_nobody_waiting():
    def run(things):
        time.sleep(0.01)
        if 0 in things:
            raise KeyboardInterrupt
        return things

    combiner = Combiner(run, most=4)
    all_at_once(combiner, 12)
    assert combiner.submit([5]) == [5]


def test_a_caller_that_is_interrupted_while_it_waits_keeps_nobody_from_the_next_run(monkeypatch):
    """Its thread is the program's first one, and somebody presses Ctrl-C."""
    running, end = threading.Event(), threading.Event()

    def run(things):
        running.set()
        end.wait(30)
        return things

    def interrupted(self):
        raise KeyboardInterrupt

    combiner = Combiner(run, most=4)
    first = threading.Thread(target=combiner.submit, args=([1],))
    first.start()
    assert running.wait(30)
    with monkeypatch.context() as patch:
        patch.setattr(combining._Waiter, "sleep", interrupted)
        with pytest.raises(KeyboardInterrupt):
            combiner.submit([2])
    end.set()
    first.join(30)
    assert all_at_once(combiner, 3) == {index: [index] for index in range(3)}


def test_a_caller_that_is_interrupted_before_its_run_keeps_nobody_from_the_next_one(monkeypatch):
    def interrupted(self, me):
        raise KeyboardInterrupt

    combiner = Combiner(lambda things: things, most=4)
    with monkeypatch.context() as patch:
        patch.setattr(Combiner, "_gather", interrupted)
        with pytest.raises(KeyboardInterrupt):
            combiner.submit([1])
    assert all_at_once(combiner, 3) == {index: [index] for index in range(3)}


@pytest.mark.parametrize("number", [1, 3])
def test_more_than_fits_into_a_run_is_run_at_once(number):
    combiner = Combiner(lambda things: things, most=2)
    assert combiner.submit(list(range(number))) == list(range(number))
