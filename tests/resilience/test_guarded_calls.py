"""A guarded call costs what it cost, whatever becomes of it, and none begins without headroom."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from actp.errors import InvalidInput
from actp.testing import FakeClock
from coordinator.tracker import (
    AsyncTracker,
    Budget,
    BudgetExceededError,
    LocalTracker,
    NotCharged,
    ReservationToken,
    SpendingStopped,
    Stop,
    TokenUsed,
    Tracker,
    TrackerUnavailable,
    Unrecorded,
    guarded,
)
from tests.resilience.servers import RedisServer

SESSION, WORKFLOW = "session:eval", "workflow:one"


@pytest.fixture(params=["local", "redis"])
def tracker(request) -> Tracker:
    if request.param == "local":
        return LocalTracker()
    return request.getfixturevalue("open_redis")(request.getfixturevalue("redis_url"))


@pytest.fixture
def budget(tracker) -> Budget:
    tracker.set_budget(SESSION, 1)
    return Budget(tracker, SESSION)


def used(budget: Budget, scope: str = SESSION) -> tuple[Decimal, Decimal]:
    return budget.tracker.get_spent(scope), budget.tracker.get_reserved(scope)


def call(budget: Budget, body: Any, kind: str) -> None:
    """A guarded call of 0.02 with this body, in a `with` or an `async with`."""
    if kind == "sync":
        with budget.spend(estimate="0.02") as one:
            body(one)
        return

    async def awaited() -> None:
        async with budget.spend(estimate="0.02") as one:
            body(one)

    asyncio.run(awaited())


both = pytest.mark.parametrize("kind", ["sync", "async"])


@both
def test_a_call_holds_its_estimate_and_then_costs_what_it_cost(budget, kind):
    def body(one):
        assert used(budget) == (0, Decimal("0.02"))
        one.actual = "0.013"

    call(budget, body, kind)
    assert used(budget) == (Decimal("0.013"), 0)


@both
def test_a_call_that_costs_more_than_its_estimate_is_recorded_in_full(budget, kind):
    call(budget, lambda one: setattr(one, "actual", "1.50"), kind)
    assert used(budget) == (Decimal("1.50"), 0)
    with pytest.raises(BudgetExceededError):
        call(budget, lambda one: None, kind)


@both
def test_a_call_that_does_not_say_what_it_cost_has_cost_its_estimate(budget, kind):
    call(budget, lambda one: None, kind)
    assert used(budget) == (Decimal("0.02"), 0)


@both
@pytest.mark.parametrize(
    "error", [TimeoutError, ConnectionResetError, ValueError, KeyboardInterrupt, SystemExit, GeneratorExit], ids=repr
)
def test_a_call_with_an_unknown_outcome_has_cost_its_estimate(budget, kind, error):
    def body(one):
        raise error

    with pytest.raises(error):
        call(budget, body, kind)
    assert used(budget) == (Decimal("0.02"), 0)


@both
def test_a_call_that_was_not_sent_costs_nothing(budget, kind):
    def body(one):
        raise NotCharged("No connection.")

    with pytest.raises(NotCharged):
        call(budget, body, kind)
    assert used(budget) == (0, 0)
    call(budget, lambda one: one.not_charged(), kind)
    assert used(budget) == (0, 0)


@both
def test_what_cannot_follow_a_charge_is_the_callers_to_name(tracker, kind):
    tracker.set_budget(SESSION, 1)
    budget = Budget(tracker, SESSION, not_charged=(ConnectionRefusedError,))

    def body(one):
        raise ConnectionRefusedError

    with pytest.raises(ConnectionRefusedError):
        call(budget, body, kind)
    assert used(budget) == (0, 0)


@both
def test_a_cost_that_is_known_counts_although_the_call_failed_afterwards(budget, kind):
    def body(one):
        one.actual = "0.005"
        raise NotCharged("Its answer cannot be read.")

    with pytest.raises(NotCharged):
        call(budget, body, kind)
    assert used(budget) == (Decimal("0.005"), 0)


def test_one_call_that_was_not_charged_does_not_free_the_one_around_it(budget):
    with pytest.raises(NotCharged), budget.spend(estimate="0.10"), budget.spend(estimate="0.02"):
        raise NotCharged("No connection.")
    assert used(budget) == (Decimal("0.10"), 0)


def test_a_denial_within_a_call_does_not_free_it(budget):
    with pytest.raises(BudgetExceededError), budget.spend(estimate="0.10"), budget.spend(estimate=2):
        pytest.fail("began without headroom")
    assert used(budget) == (Decimal("0.10"), 0)


def test_what_a_stream_has_cost_so_far_counts_if_it_is_more_than_the_estimate(budget):
    def stream(one):
        one.at_least = "0.03"
        one.at_least = "0.01"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        call(budget, stream, "sync")
    assert used(budget) == (Decimal("0.03"), 0)


@pytest.mark.parametrize("bad", [0.013, "-1", None, True, "NaN"], ids=repr)
def test_a_cost_that_is_no_amount_is_refused_and_the_estimate_counts(budget, bad):
    with pytest.raises(InvalidInput), budget.spend(estimate="0.02") as one:
        one.actual = bad
    assert used(budget) == (Decimal("0.02"), 0)


@pytest.mark.parametrize("bad", [0.02, 0, "-1", None, "NaN"], ids=repr)
def test_an_estimate_that_is_no_amount_is_refused_before_anything_is_held(budget, bad):
    with pytest.raises(InvalidInput):
        budget.spend(estimate=bad)
    assert used(budget) == (0, 0)


def test_a_call_begins_once(budget):
    one = budget.spend(estimate="0.02")
    with one:
        pass
    with pytest.raises(RuntimeError, match="begun already"), one:
        pytest.fail("began again")
    assert used(budget) == (Decimal("0.02"), 0)


def test_a_call_in_no_scope_is_refused(tracker):
    with pytest.raises(InvalidInput, match="no scope"):
        Budget(tracker).spend(estimate="0.02")


def test_usdc_is_counted_in_base_units(tracker):
    tracker.set_budget("usdc", 1_000, unit="usdc")
    with Budget(tracker, unit="usdc").spend("usdc", estimate=500) as one:
        one.actual = 123
    assert tracker.get_spent("usdc") == 123


# Scopes


def test_what_is_spent_within_a_scope_is_in_it_and_in_those_around_it(budget):
    budget.tracker.set_budget(WORKFLOW, "0.5")
    with budget.scope(WORKFLOW), budget.scope("step:1"):
        with budget.spend(["call:1", WORKFLOW], estimate="0.02") as one:
            assert one.scopes == (SESSION, WORKFLOW, "step:1", "call:1")
        with pytest.raises(BudgetExceededError) as caught, budget.spend(estimate="0.6"):
            pytest.fail("the workflow's limit does not count")
    assert caught.value.scope == WORKFLOW
    assert used(budget, "step:1") == (Decimal("0.02"), 0)
    assert budget.spend(estimate="0.02").scopes == (SESSION,)


def test_scopes_of_one_tracker_are_not_those_of_another(budget):
    with Budget(LocalTracker({"other": 1})).scope("other"):
        assert budget.spend(estimate="0.02").scopes == (SESSION,)
        assert Budget(budget.tracker, "s").spend(estimate="0.02").scopes == ("s",)


def test_tasks_that_run_at_the_same_time_have_scopes_of_their_own(budget):
    async def workflow(name: str) -> None:
        with budget.scope(name):
            await asyncio.sleep(0)
            async with budget.spend(estimate="0.02") as one:
                assert one.scopes == (SESSION, name)
            inner = asyncio.create_task(asyncio.to_thread(lambda: budget.spend(estimate="0.02").scopes))
            assert await inner == (SESSION, name)

    async def flow() -> None:
        await asyncio.gather(*(workflow(f"workflow:{number}") for number in range(5)))

    asyncio.run(flow())


def test_a_scope_that_a_generator_has_open_may_be_closed_elsewhere(budget):
    async def steps() -> AsyncIterator[int]:
        with budget.scope(WORKFLOW):
            yield 1

    async def flow() -> None:
        stream = steps()
        await asyncio.create_task(anext(stream))
        await asyncio.create_task(stream.aclose())
        assert budget.spend(estimate="0.02").scopes == (SESSION,)

    asyncio.run(flow())


# Headroom


def test_parallel_tasks_do_not_begin_without_headroom(budget):
    """Twenty tasks of 0.30 with a budget of 1: three run, seventeen never begin."""
    running: list[int] = []

    async def step(number: int) -> bool:
        try:
            async with budget.spend(estimate="0.30") as one:
                running.append(number)
                await asyncio.sleep(0.05)
                one.actual = "0.25"
        except BudgetExceededError:
            return False
        return True

    async def flow() -> list[bool]:
        return await asyncio.gather(*(step(number) for number in range(20)))

    assert sum(asyncio.run(flow())) == len(running) == 3
    assert used(budget) == (Decimal("0.75"), 0)


def test_parallel_threads_do_not_begin_without_headroom(budget):
    barrier = threading.Barrier(20)
    hold = threading.Event()

    def step(_: int) -> bool:
        barrier.wait(timeout=30)
        try:
            with budget.spend(estimate="0.30"):
                hold.wait(timeout=30)
        except BudgetExceededError:
            return False
        return True

    with ThreadPoolExecutor(20) as threads:
        answers = [threads.submit(step, number) for number in range(20)]
        deadline = time.monotonic() + 30
        while sum(one.done() for one in answers) < 17 and time.monotonic() < deadline:
            time.sleep(0.005)
        hold.set()
    assert sum(one.result() for one in answers) == 3
    assert used(budget) == (Decimal("0.90"), 0)


# Cancellation


def test_a_call_that_is_cancelled_has_cost_its_estimate(budget):
    async def step() -> None:
        async with budget.spend(estimate="0.02"):
            await asyncio.sleep(60)

    async def flow() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(step(), 0.05)

    asyncio.run(flow())
    assert used(budget) == (Decimal("0.02"), 0)


class Slow(LocalTracker):
    """A tracker whose server takes its time; with `waits`, commits are made in threads."""

    def commit(self, token, actual_usd):
        time.sleep(0.1)
        return super().commit(token, actual_usd)


def slow_budget() -> Budget:
    budget = Budget(Slow({SESSION: 1}), SESSION)
    budget._waits = True
    return budget


def test_a_cost_is_recorded_although_its_task_is_cancelled_while_it_is():
    budget = slow_budget()

    async def step() -> None:
        async with budget.spend(estimate="0.02") as one:
            one.actual = "0.01"

    async def flow() -> None:
        task = asyncio.create_task(step())
        for _ in range(3):
            await asyncio.sleep(0.02)
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert used(budget) == (Decimal("0.01"), 0)

    asyncio.run(flow())


def test_a_cost_is_recorded_although_the_loop_ends_meanwhile():
    budget = slow_budget()

    async def step() -> None:
        async with budget.spend(estimate="0.02") as one:
            one.actual = "0.01"

    async def flow() -> None:
        flow.task = asyncio.create_task(step())  # which asyncio.run cancels when flow returns
        await asyncio.sleep(0.02)

    asyncio.run(flow())
    assert used(budget) == (Decimal("0.01"), 0)


# Trouble with the ledger


@pytest.mark.slow
def test_an_answer_is_not_lost_with_the_ledger_and_nothing_more_begins_until_it_is_recorded(new_server, open_redis):
    server: RedisServer = new_server()
    budget = Budget(open_redis(server.url), SESSION)
    budget.tracker.set_budget(SESSION, 1)

    @guarded(budget, estimate="0.02", actual=lambda answer: "0.013")
    def ask() -> str:
        server.kill()
        return "an answer"

    assert ask() == "an answer"
    assert [one.micros for one in budget.unrecorded] == [13_000]
    began = []
    with pytest.raises(TrackerUnavailable), budget.spend(estimate="0.02"):
        began.append(1)
    assert not began
    server.restart()
    with budget.spend(estimate="0.02") as one:
        one.actual = 0
    assert budget.unrecorded == ()
    assert used(budget) == (Decimal("0.013"), 0)


def test_those_who_wait_while_the_ledger_is_asked_in_vain_are_refused_with_the_first():
    class Away(LocalTracker):
        away, asked, begun, there = False, 0, threading.Event(), threading.Event()

        def commit(self, token, actual):
            if not self.away:
                return super().commit(token, actual)
            self.asked += 1
            self.begun.set()
            assert self.there.wait(timeout=20)
            raise TrackerUnavailable("It is away.", retryable=True)

    tracker = Away({SESSION: 10})
    budget = Budget(tracker, SESSION)
    Away.there.set()
    with budget.spend(estimate=1):
        tracker.away = True
    Away.there.clear()
    Away.begun.clear()
    tracker.asked = 0

    def ask() -> None:
        with pytest.raises(TrackerUnavailable), budget.spend(estimate=1):
            raise AssertionError("nothing may begin")

    with ThreadPoolExecutor(6) as pool:
        asking = [pool.submit(ask) for _ in range(6)]
        assert Away.begun.wait(timeout=20)
        time.sleep(0.1)
        Away.there.set()
        for one in asking:
            one.result(timeout=20)
    assert tracker.asked == 1
    tracker.away = False
    with budget.spend(estimate=1):
        assert budget.unrecorded == ()


def test_what_the_call_has_raised_goes_on_although_the_ledger_is_away(new_server, open_redis):
    server: RedisServer = new_server()
    budget = Budget(open_redis(server.url), SESSION)
    budget.tracker.set_budget(SESSION, 1)

    async def flow() -> None:
        async with budget.spend(estimate="0.02"):
            server.kill()
            raise TimeoutError("the model")

    with pytest.raises(TimeoutError, match="the model"):
        asyncio.run(flow())
    assert [one.micros for one in budget.unrecorded] == [20_000]


def test_a_reservation_that_somebody_else_has_ended_is_said(budget):
    with pytest.raises(TokenUsed), budget.spend(estimate="0.02") as one:
        budget.tracker.release(one.token)


def test_what_is_committed_after_its_time_is_recorded_in_full():
    clock = FakeClock()
    budget = Budget(LocalTracker({SESSION: 1}, clock=clock.monotonic), SESSION, ttl_seconds=30)
    with budget.spend(estimate="0.60") as one:
        clock.advance(31)
        assert used(budget) == (0, 0)
        with budget.spend(estimate="0.60"):
            pass
        one.actual = "0.55"
    assert used(budget) == (Decimal("1.15"), 0)
    (usage,) = budget.tracker.scopes()
    assert usage.late == 1


def test_a_ledger_that_can_never_record_a_cost_does_not_hold_up_everything(budget, caplog):
    with budget.spend(estimate="0.02") as one:
        token: ReservationToken = one.token
    budget._unrecorded.append(Unrecorded(token._replace(tracker="another"), 20_000))
    with budget.spend(estimate="0.03"):
        pass
    assert "never be recorded" in caplog.text
    assert budget.unrecorded == ()


# The decorator


def test_a_function_is_guarded_with_what_its_arguments_cost(budget):
    @guarded(
        budget,
        scopes=lambda prompt, **_: ["workflow:" + prompt],
        estimate=lambda prompt, *, tokens: Decimal(tokens) / 1000,
        actual=lambda answer: answer["cost"],
    )
    def ask(prompt: str, *, tokens: int) -> dict[str, str]:
        """Asks."""
        assert used(budget, "workflow:" + prompt) == (0, Decimal(tokens) / 1000)
        return {"cost": "0.007"}

    assert ask("a", tokens=10) == {"cost": "0.007"}
    assert (ask.__name__, ask.__doc__) == ("ask", "Asks.")
    assert used(budget) == used(budget, "workflow:a") == (Decimal("0.007"), 0)
    with pytest.raises(BudgetExceededError):
        ask("a", tokens=1_000)


def test_a_coroutine_is_guarded_while_it_runs(tracker):
    tracker.set_budget(SESSION, "0.05")

    @guarded(AsyncTracker(tracker), scopes=SESSION, estimate="0.02")
    async def ask() -> Decimal:
        await asyncio.sleep(0.01)
        return tracker.get_reserved(SESSION)

    async def flow() -> list[Any]:
        return await asyncio.gather(ask(), ask(), ask(), return_exceptions=True)

    answers = asyncio.run(flow())
    assert sum(isinstance(one, BudgetExceededError) for one in answers) == 1
    assert tracker.get_spent(SESSION) == Decimal("0.04")


def test_an_answer_whose_cost_is_not_in_it_has_cost_the_estimate(budget):
    assert guarded(budget, estimate="0.02", actual=lambda answer: None)(lambda: "x")() == "x"
    with pytest.raises(KeyError):
        guarded(budget, estimate="0.02", actual=lambda answer: answer["usage"])(dict)()
    assert used(budget) == (Decimal("0.04"), 0)


def test_a_stream_is_one_call_from_its_first_item_to_its_last(budget):
    @guarded(budget, estimate="0.02", actual=lambda last: last)
    def stream() -> Iterator[str]:
        yield "a"
        yield "0.009"

    begun = stream()
    assert used(budget) == (0, 0)
    assert next(begun) == "a"
    assert used(budget) == (0, Decimal("0.02"))
    assert list(begun) == ["0.009"]
    assert used(budget) == (Decimal("0.009"), 0)


def test_a_stream_that_is_closed_early_has_cost_its_estimate_and_is_closed_within(budget):
    closed = []

    @guarded(budget, estimate="0.02", actual=lambda last: "0")
    def stream() -> Iterator[int]:
        try:
            yield from range(5)
        finally:
            closed.append(used(budget)[1])

    for _ in stream():
        break
    with contextlib.closing(stream()) as left:
        next(left)
    assert used(budget) == (Decimal("0.04"), 0)
    assert closed == [Decimal("0.02")] * 2, "what it does at its end is part of the call"


def test_an_awaited_stream_is_one_call_too(budget):
    closed = []

    @guarded(budget, estimate="0.02", actual=lambda last: last)
    async def stream() -> AsyncIterator[str]:
        try:
            yield "0.001"
            yield "0.009"
        finally:
            closed.append(1)

    async def flow() -> None:
        assert [one async for one in stream()] == ["0.001", "0.009"]
        async for _ in stream():
            break  # what is left open is closed by the loop, at its end at the latest

    asyncio.run(flow())
    assert used(budget) == (Decimal("0.029"), 0)
    assert closed == [1, 1]


def test_objects_and_partials_are_guarded_as_what_they_are(budget):
    class Model:
        async def __call__(self, prompt: str) -> str:
            return prompt

    async def ask(prompt: str) -> str:
        return prompt

    for one in (functools.partial(ask, "x"), functools.partial(Model(), "x")):
        assert asyncio.run(guarded(budget, estimate="0.02")(one)()) == "x"
    assert used(budget) == (Decimal("0.04"), 0)


@pytest.mark.filterwarnings("error")
def test_a_function_that_only_makes_a_coroutine_is_refused_as_it_would_run_unguarded(budget):
    async def ask() -> None:
        pytest.fail("ran")

    with pytest.raises(InvalidInput, match="runs later"):
        guarded(budget, estimate="0.02")(lambda: ask())()
    assert used(budget) == (0, 0)


# Stopping everything


def test_once_the_session_is_spent_no_call_begins_anywhere(tracker):
    tracker.set_budget(SESSION, "0.05")
    tracker.set_budget("cheap", 1)
    stop = Stop(SESSION)
    budget = Budget(tracker, SESSION, stop=stop)
    with budget.spend(estimate="0.02"):
        # Others hold the rest: they may give it back.
        with pytest.raises(BudgetExceededError), budget.spend(estimate="0.04"):
            pytest.fail("began")
        assert not stop.is_set()
    with budget.spend(estimate="0.02") as one:
        one.actual = "0.04"
    with pytest.raises(BudgetExceededError) as denial, budget.spend(estimate="0.02"):
        pytest.fail("began")
    assert stop.is_set()
    with pytest.raises(SpendingStopped) as caught, Budget(tracker, "cheap", stop=stop).spend(estimate="0.02"):
        pytest.fail("began after the stop")
    assert caught.value.denial is denial.value
    assert used(budget, "cheap") == (0, 0)


def test_a_workflow_that_is_spent_does_not_stop_the_session(tracker):
    tracker.set_budget(SESSION, 1)
    tracker.set_budget(WORKFLOW, "0.01")
    stop = Stop(SESSION)
    budget = Budget(tracker, SESSION, stop=stop)
    with pytest.raises(BudgetExceededError), budget.spend(WORKFLOW, estimate="0.02"):
        pytest.fail("began")
    assert not stop.is_set()
    with budget.spend(estimate="0.02"):
        pass


def test_running_tasks_are_cancelled_when_the_session_is_spent_and_have_cost_their_estimates(tracker):
    tracker.set_budget(SESSION, "0.10")
    stop = Stop()
    budget = Budget(tracker, SESSION, stop=stop)
    running = []
    started = asyncio.Event()

    async def step() -> None:
        with stop.cancelling():
            async with budget.spend(estimate="0.02"):
                running.append(1)
                if len(running) == 3:
                    started.set()
                await asyncio.sleep(60)

    async def dear() -> None:
        with stop.cancelling():
            await asyncio.wait_for(started.wait(), 30)
            async with budget.spend(estimate="0.02") as one:
                one.actual = "0.10"
            async with budget.spend(estimate="0.02"):
                pytest.fail("began")

    async def flow() -> list[Any]:
        waiting = asyncio.create_task(stop.waited())
        found = await asyncio.gather(*(step() for _ in range(3)), dear(), return_exceptions=True)
        await asyncio.wait_for(waiting, 5)
        return found

    *cancelled, denied = asyncio.run(asyncio.wait_for(flow(), 30))
    assert [type(one) for one in cancelled] == [asyncio.CancelledError] * 3
    assert isinstance(denied, BudgetExceededError)
    assert used(budget) == (Decimal("0.16"), 0)


def test_a_task_that_has_left_is_not_cancelled_and_one_that_comes_later_is_told():
    stop = Stop()

    async def flow() -> str:
        with stop.cancelling():
            pass
        threading.Thread(target=stop.set, args=("enough.",)).start()
        assert await asyncio.to_thread(stop.wait, 5)
        await asyncio.sleep(0.01)
        with pytest.raises(SpendingStopped, match="enough"), stop.cancelling():
            pytest.fail("went on")
        await stop.waited()
        return "went on"

    assert asyncio.run(flow()) == "went on"


def test_the_task_that_finds_the_session_spent_is_not_cancelled_itself(budget):
    budget.stop = Stop()

    async def flow() -> str:
        with budget.stop.cancelling():
            with pytest.raises(BudgetExceededError):
                await budget.spend(estimate=2).__aenter__()
            await asyncio.sleep(0.01)
            return "it has tidied up"

    assert asyncio.run(flow()) == "it has tidied up"
    assert budget.stop.is_set()


def test_a_task_that_leaves_as_everything_is_stopped_is_not_cancelled_later():
    stop = Stop()

    async def flow() -> str:
        with stop.cancelling():
            thread = threading.Thread(target=stop.set)
            thread.start()
            thread.join()
        await asyncio.sleep(0.01)
        return "went on"

    assert asyncio.run(flow()) == "went on"


def test_threads_can_wait_for_the_stop():
    stop = Stop()
    assert not stop.wait(0)
    threading.Timer(0.02, stop.set).start()
    assert stop.wait(5)
