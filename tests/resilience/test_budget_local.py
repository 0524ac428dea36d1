from __future__ import annotations

import asyncio
import time
from decimal import Decimal

import pytest

from actp.engine.store import open_store
from actp.errors import InvalidInput
from actp.testing import FakeClock
from coordinator.authority import Authority
from coordinator.cli import main
from coordinator.store import open_ledger
from coordinator.store.accounts import Account
from coordinator.tracker import BudgetExceededError, LocalBudgetTracker, LocalTracker, UnknownToken, money, open_tracker
from coordinator.tracker import local as local_module
from tests.coordinator.authority.support import NOON, TOKEN, USDC, WALLET, agent, ask, book, fund
from tests.resilience.contract import Ledger, NewLedger, TrackerContract


@pytest.fixture
def new_ledger() -> NewLedger:
    def make() -> Ledger:
        clock = FakeClock()
        return Ledger(LocalTracker(clock=clock.monotonic), clock.advance)

    return make


class TestContract(TrackerContract):
    """A dictionary keeps what every tracker keeps."""


def test_local_budget_tracker_existing_behavior_unchanged():
    """The authority, which knows no trackers, grants, denies and counts as before; a tracker with its limit agrees."""
    tracker = LocalTracker({"total": 100})
    store = open_store("sqlite://", clock=FakeClock(wall=NOON))
    with Authority(open_ledger(store), Account(31_337, WALLET), token=TOKEN) as authority:
        authority.apply(book(agent("ann", requires_approval=None), total=100 * USDC), "test")
        fund(authority)
        for dollars, fits, used in [(60, True, 0), (40.5, False, 60), (30, True, 60), (11, False, 90), (10, True, 90)]:
            answer = authority.request(ask(amount=int(dollars * USDC)))
            assert (answer.denial is None) is fits
            if answer.denial is None:
                tracker.reserve("total", str(dollars))
            else:
                assert (answer.denial.rule, answer.denial.limit, answer.denial.used) == (
                    "total_budget", 100 * USDC, used * USDC,
                )  # fmt: skip
                with pytest.raises(BudgetExceededError) as caught:
                    tracker.reserve("total", str(dollars))
                assert (caught.value.limit, caught.value.reserved) == (100, used)
    store.close()


def test_local_budget_reserve_and_commit_track_correctly():
    async def flow() -> None:
        tracker = LocalBudgetTracker()
        await tracker.set_budget("session:eval-2026-04-12", "50")
        token = await tracker.reserve("session:eval-2026-04-12", "0.25")
        assert await tracker.get_spent("session:eval-2026-04-12") == 0
        assert await tracker.get_reserved("session:eval-2026-04-12") == Decimal("0.25")
        await tracker.commit(token, Decimal("0.21"))
        assert await tracker.get_spent("session:eval-2026-04-12") == Decimal("0.21")
        assert await tracker.get_reserved("session:eval-2026-04-12") == 0
        assert await tracker.get_budget("session:eval-2026-04-12") == 50

    asyncio.run(flow())


def test_local_budget_release_decrements_reserved():
    async def flow() -> None:
        tracker = LocalBudgetTracker({"s": 1})
        first, second = await tracker.reserve("s", "0.40"), await tracker.reserve("s", "0.60")
        await tracker.release(first)
        assert await tracker.get_reserved("s") == Decimal("0.60")
        with pytest.raises(BudgetExceededError):
            await tracker.reserve("s", "0.41")
        await tracker.release(second)
        assert await tracker.get_reserved("s") == 0
        assert await tracker.get_spent("s") == 0

    asyncio.run(flow())


def test_pre_flight_reservation_prevents_overshoot():
    """100 parallel steps that cost 0.05 each, with a budget of 1: twenty run, and the others never start."""
    bill: list[Decimal] = []

    async def step(tracker: LocalBudgetTracker) -> bool:
        try:
            token = await tracker.reserve("workflow", "0.05")
        except BudgetExceededError:
            return False
        await asyncio.sleep(0.001)
        bill.append(Decimal("0.05"))
        await tracker.commit(token, "0.05")
        return True

    async def flow() -> list[bool]:
        tracker = LocalBudgetTracker({"workflow": 1})
        return await asyncio.gather(*(step(tracker) for _ in range(100)))

    assert sum(asyncio.run(flow())) == 20
    assert sum(bill) == 1


def test_session_scope_enforced_in_addition_to_workflow_scope():
    tracker = LocalTracker({"session": 5, "workflow:1": 4, "workflow:2": 4})
    tracker.commit(tracker.reserve(["session", "workflow:1"], 3), 3)
    with pytest.raises(BudgetExceededError) as workflow:
        tracker.reserve(["session", "workflow:1"], 2)
    with pytest.raises(BudgetExceededError) as session:
        tracker.reserve(["session", "workflow:2"], 3)
    assert (workflow.value.scope, session.value.scope) == ("workflow:1", "session")
    tracker.reserve(["session", "workflow:2"], 2)


def test_nothing_looks_at_the_counters_without_the_lock():
    """Races between threads come once in a million calls: this one is looked for where it would begin."""
    tracker = LocalTracker({"s": 10})

    class Watched(dict):
        def get(self, key, default=None):
            assert tracker._lock.locked()
            return super().get(key, default)

        def items(self):
            assert tracker._lock.locked()
            return super().items()

    tracker._cells, tracker._open = Watched(tracker._cells), Watched(tracker._open)
    token = tracker.reserve(["s", "w"], 1)
    tracker.commit(token, 1)
    tracker.release(tracker.reserve("s", 1))
    tracker.set_budget("s", 5)
    assert [one.scope for one in tracker.scopes()] == ["s", "w"]
    assert (tracker.get_spent("s"), tracker.get_reserved("s"), tracker.get_budget("s")) == (1, 0, 5)
    with pytest.raises(BudgetExceededError):
        tracker.reserve("s", 5)


def test_looking_at_many_scopes_keeps_nobody_from_reserving(monkeypatch):
    tracker = LocalTracker({f"s{number}": 10 for number in range(3)})
    written = []

    def amount_of(micros, unit):
        assert not tracker._lock.locked()
        written.append(micros)
        return money.amount_of(micros, unit)

    monkeypatch.setattr(local_module, "amount_of", amount_of)
    assert [(one.scope, one.limit) for one in tracker.scopes()] == [("s0", 10), ("s1", 10), ("s2", 10)]
    assert len(written) == 9


def test_what_ended_long_ago_is_forgotten_and_does_not_pile_up(monkeypatch):
    monkeypatch.setattr(local_module, "_MOST_KEPT", 3)
    clock = FakeClock()
    tracker = LocalTracker({"s": 10}, clock=clock.monotonic)
    tokens = [tracker.reserve("s", 1) for _ in range(5)]
    for token in tokens:
        tracker.release(token)
    with pytest.raises(UnknownToken):
        tracker.release(tokens[1])
    tracker.release(tokens[2])
    late = tracker.reserve("s", 1)
    clock.advance(900 + 3_599)
    assert tracker.commit(late, 1).late
    clock.advance(3_601)
    tracker.release(tracker.reserve("s", 1))
    with pytest.raises(UnknownToken):
        tracker.release(tokens[2])


def test_the_times_of_what_has_ended_do_not_pile_up():
    tracker = LocalTracker({"s": 10})
    kept = tracker.reserve("s", 1)
    for _ in range(5_000):
        tracker.release(tracker.reserve("s", 1))
    assert len(tracker._due) < 1_100
    assert [one.token for one in tracker.reservations()] == [kept]


def test_a_clock_that_is_set_does_not_free_what_is_held(monkeypatch):
    tracker = LocalTracker({"s": 1})
    tracker.reserve("s", 1)
    monkeypatch.setattr(time, "time", lambda: 4e9)
    with pytest.raises(BudgetExceededError):
        tracker.reserve("s", 1)


def test_limits_to_begin_with_are_checked():
    with pytest.raises(InvalidInput):
        LocalTracker({"s": 0.5})
    with pytest.raises(InvalidInput):
        LocalTracker(ttl_seconds=0)


def test_budget_status_cli_shows_breakdown(tmp_path, capsys):
    file = str(tmp_path / "budget.db")
    with open_tracker(url=file) as tracker:
        tracker.set_budget("session:eval-2026-04-12", 50)
        tracker.set_budget("workflow:scenario-001", 5)
        tracker.set_budget("workflow:scenario-002", 5)
        scopes = ["session:eval-2026-04-12", "workflow:scenario-001"]
        tracker.commit(tracker.reserve(scopes, "0.25"), "0.21")
        tracker.reserve(scopes, "1.50")
    assert main(["budget", "status", "--budget-tracker", "sqlite", "--budget-store", file]) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["limit", "spent", "reserved", "remaining", "open", "overruns", "scope"],
        ["50.00", "0.21", "1.50", "48.29", "1", "0", "session:eval-2026-04-12"],
        ["5.00", "0.21", "1.50", "3.29", "1", "0", "workflow:scenario-001"],
        ["5.00", "0.00", "0.00", "5.00", "0", "0", "workflow:scenario-002"],
    ]
