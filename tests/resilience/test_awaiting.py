from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from coordinator.tracker import (
    AsyncTracker,
    BudgetExceededError,
    LocalBudgetTracker,
    LocalTracker,
    RedisBudgetTracker,
    TokenUsed,
)


class Slow(LocalTracker):
    """Answers when it is let."""

    def __init__(self) -> None:
        super().__init__({"s": 1})
        self.asked, self.let, self.released = threading.Event(), threading.Event(), threading.Event()

    def reserve(self, *args, **named):
        self.asked.set()
        assert self.let.wait(timeout=20)
        return super().reserve(*args, **named)

    def release(self, token):
        super().release(token)
        self.released.set()


@pytest.fixture(params=["local", "redis"])
def tracker(request):
    if request.param == "local":
        return LocalBudgetTracker()
    return RedisBudgetTracker(request.getfixturevalue("redis_url"), f"awaiting {time.time_ns()}")


def test_every_method_can_be_awaited(tracker):
    async def flow() -> None:
        async with tracker:
            await tracker.set_budget("s", 10)
            token = await tracker.reserve(["s", "w"], 3, ttl_seconds=60)
            assert [one.token for one in await tracker.reservations()] == [token]
            assert await tracker.get_reserved("w") == 3
            assert (await tracker.commit(token, 2)).returned_micros == 1_000_000
            with pytest.raises(TokenUsed):
                await tracker.release(token)
            with pytest.raises(BudgetExceededError):
                await tracker.reserve("s", 9)
            assert (await tracker.get_spent("s"), await tracker.get_budget("s")) == (2, 10)
            assert [one.scope for one in await tracker.scopes()] == ["s", "w"]
            assert await tracker.check() == tracker.warnings == tracker.sync.warnings
            assert tracker.sync.get_spent("s") == 2

    asyncio.run(flow())


def test_a_server_that_is_slow_does_not_stop_the_loop():
    slow = Slow()

    async def flow() -> int:
        reserving = asyncio.create_task(AsyncTracker(slow).reserve("s", 1))
        turns = 0
        while not slow.asked.is_set() or turns < 10:
            await asyncio.sleep(0.001)
            turns += 1
        slow.let.set()
        await reserving
        return turns

    assert asyncio.run(flow()) >= 10
    assert slow.get_reserved("s") == 1


def test_what_is_granted_to_a_caller_who_was_cancelled_is_given_back():
    slow = Slow()

    async def flow() -> None:
        reserving = asyncio.create_task(AsyncTracker(slow).reserve("s", 1))
        await asyncio.to_thread(slow.asked.wait, 20)
        reserving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reserving
        slow.let.set()
        assert await asyncio.to_thread(slow.released.wait, 20)

    asyncio.run(flow())
    assert slow.get_reserved("s") == 0
    assert slow.reservations() == ()


def test_a_program_that_is_stopped_while_it_reserves_leaves_nothing_behind():
    slow = Slow()

    async def flow() -> None:
        task = asyncio.create_task(AsyncTracker(slow).reserve("s", 1))
        await asyncio.to_thread(slow.asked.wait, 20)
        threading.Timer(0.05, slow.let.set).start()
        task.cancel()

    asyncio.run(flow())
    assert slow.released.wait(timeout=20)
    assert slow.get_reserved("s") == 0


def test_a_commit_whose_caller_is_cancelled_is_made_although_no_thread_was_free():
    tracker = LocalTracker({"s": 1})

    async def flow() -> None:
        loop, busy = asyncio.get_running_loop(), threading.Event()
        loop.set_default_executor(ThreadPoolExecutor(1))
        working = loop.run_in_executor(None, busy.wait, 20)
        committing = asyncio.create_task(AsyncTracker(tracker).commit(tracker.reserve("s", 1), 1))
        await asyncio.sleep(0)
        committing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await committing
        busy.set()
        await working

    asyncio.run(flow())
    assert (tracker.get_spent("s"), tracker.get_reserved("s")) == (1, 0)


def test_what_is_denied_to_a_caller_who_was_cancelled_troubles_nobody(caplog):
    slow = Slow()
    slow.set_budget("s", None)

    async def flow() -> None:
        reserving = asyncio.create_task(AsyncTracker(slow).reserve("s", 1))
        await asyncio.to_thread(slow.asked.wait, 20)
        reserving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reserving
        slow.let.set()
        await asyncio.sleep(0.05)

    asyncio.run(flow())
    assert caplog.records == []
