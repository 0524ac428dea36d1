from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import random
import secrets
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from decimal import Decimal

import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from actp.engine.store import StoreBusy, database, open_store
from actp.errors import InvalidInput
from actp.testing import FakeClock
from coordinator.authority import Authority
from coordinator.authority.verifying import verify
from coordinator.store import Ledger as Tables
from coordinator.store import open_ledger, tracker_calls, tracker_holds
from coordinator.store.accounts import Account
from coordinator.store.seals import seal_all
from coordinator.tracker import BudgetExceededError, ForeignToken, TrackerUnavailable, UnknownToken
from coordinator.tracker import ledger as ledger_module
from coordinator.tracker.ledger import LedgerBudgetTracker, LedgerTracker
from coordinator.tracker.words import KEPT_SECONDS
from tests.coordinator.authority.support import TOKEN, ask, book, fund
from tests.engine.conftest import postgresql
from tests.resilience.contract import Ledger, NewLedger, TrackerContract

__all__ = ["postgresql"]


@pytest.fixture(scope="session")
def postgresql_url(postgresql: str) -> str:
    """A database for all tests: each uses a root of its own."""
    name = f"tracker_{secrets.token_hex(6)}"
    server = create_engine(make_url(postgresql).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    server.dispose()
    return make_url(postgresql).set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def shared(postgresql_url: str) -> Iterator[Tables]:
    """The tables in it."""
    store = open_store(postgresql_url)
    yield open_ledger(store)
    store.close()


@pytest.fixture
def open_tracker() -> Iterator[Callable[..., LedgerTracker]]:
    """Opens trackers, and closes them: old ones early, as a server has only so many connections."""
    opened: list[LedgerTracker] = []

    def open_one(*args, **named) -> LedgerTracker:
        if len(opened) > 10:
            opened.pop(0).close()
        opened.append(LedgerTracker(*args, **named))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


class TestSQLite(TrackerContract):
    """SQLite keeps what every tracker keeps."""

    @pytest.fixture
    def new_ledger(self, open_tracker) -> NewLedger:
        def make() -> Ledger:
            clock = FakeClock()
            return Ledger(open_tracker("sqlite://", clock=clock), clock.advance)

        return make


class TestPostgreSQL(TrackerContract):
    """PostgreSQL keeps what every tracker keeps, by its own clock."""

    test_any_order_of_calls_agrees_with_the_model = pytest.mark.slow(
        TrackerContract.test_any_order_of_calls_agrees_with_the_model
    )

    @pytest.fixture
    def new_ledger(self, open_tracker, shared) -> NewLedger:
        def make() -> Ledger:
            return Ledger(open_tracker(shared, secrets.token_hex(8)), time.sleep)

        return make


DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)]
"""PostgreSQL's contract runs without `slow` already."""


@pytest.fixture(params=DATABASES)
def tables(request, tmp_path) -> Iterator[Tables]:
    """A ledger on each database, by its own clock."""
    if request.param == "postgresql":
        yield request.getfixturevalue("shared")
        return
    store = open_store(tmp_path / "ledger.db")
    yield open_ledger(store)
    store.close()


@pytest.fixture
def root() -> str:
    return secrets.token_hex(8)


def test_trackers_of_one_root_are_one_and_of_another_root_strangers(tables, root, open_tracker):
    here, there, stranger = open_tracker(tables, root), open_tracker(tables, root), open_tracker(tables, root + "'s")
    here.set_budget("session", 10)
    token = there.reserve("session", 4)
    assert here.get_reserved("session") == 4
    assert stranger.scopes() == stranger.reservations() == ()
    with pytest.raises(ForeignToken):
        stranger.release(token)
    here.commit(token, 3)
    assert there.get_spent("session") == 3


def test_a_treasury_in_the_same_ledger_is_not_touched(tables, root, open_tracker):
    account = Account(31_337, "0x" + secrets.token_hex(20))
    with Authority(tables, account, token=TOKEN) as authority:
        authority.apply(book(), "test")
        fund(authority)
        authority.request(ask())
        before = authority.usage()
        tracker = open_tracker(tables, root)
        tracker.set_budget("total", 5)
        tracker.commit(tracker.reserve(["total", "agent", "ann"], 2), 3)
        assert authority.usage() == before
        assert authority.request(ask()).denial is None
        seal_all(tables, account)
        assert verify(tables, account).ok
    assert {one.scope: one.spent for one in tracker.scopes()} == {"total": 3, "agent": 3, "ann": 3}


def test_a_ledger_that_was_given_stays_open_and_one_of_its_own_is_closed(tables, root):
    tracker = LedgerTracker(tables, root)
    tracker.set_budget("s", 1)
    tracker.close()
    with LedgerTracker(tables, root) as again:
        assert again.get_budget("s") == 1


def test_what_has_ended_is_forgotten_an_hour_after_its_time_and_nothing_else(tmp_path, open_tracker):
    clock = FakeClock()
    tracker = open_tracker(tmp_path_url(tmp_path), clock=clock)
    tracker.set_budget("s", 10)
    committed, expired = tracker.reserve("s", 1, ttl_seconds=60), tracker.reserve("s", 1, ttl_seconds=70)
    lasting = tracker.reserve("s", 1, ttl_seconds=30 * 86_400)
    tracker.commit(committed, 1)
    begun = clock.monotonic()

    def at(seconds: float) -> None:
        clock.advance(begun + seconds - clock.monotonic())
        tracker._forgets_at = 0.0
        tracker.set_budget("s", 10)

    at(60 + KEPT_SECONDS - 1)
    assert tracker.commit(committed, 1).repeated
    at(60 + KEPT_SECONDS + 1)
    with pytest.raises(UnknownToken):
        tracker.commit(committed, 1)
    assert tracker.commit(expired, 1).late
    at(80 + KEPT_SECONDS)
    assert tracker.commit(expired, 1).repeated, "its hour begins when it was ended"
    assert tracker.commit(lasting, 2).overrun_micros == 1_000_000
    assert tracker.get_spent("s") == 4


def test_a_call_that_is_done_is_not_undone_in_the_callers_eyes_if_nothing_can_be_forgotten(
    tmp_path, open_tracker, monkeypatch, caplog
):
    tracker = open_tracker(tmp_path_url(tmp_path))
    tracker.set_budget("s", 10)

    def forget(*_):
        raise StoreBusy("Somebody else writes.", retryable=True)

    monkeypatch.setattr(tracker_holds, "forget", forget)
    tracker._forgets_at = 0.0
    token = tracker.reserve("s", 4)
    assert tracker._forgets_at > 0
    assert "Somebody else writes" in caplog.text
    assert [one.token for one in tracker.reservations()] == [token]


def test_more_than_can_be_forgotten_at_once_does_not_pile_up(tmp_path, open_tracker, monkeypatch):
    monkeypatch.setattr(tracker_holds, "MOST_FORGOTTEN", 2)
    monkeypatch.setattr(ledger_module, "_FORGET_MORE_SECONDS", 0.0)
    clock = FakeClock()
    tracker = open_tracker(tmp_path_url(tmp_path), clock=clock)
    tracker.set_budget("s", 10)
    for _ in range(5):
        tracker.release(tracker.reserve("s", 1, ttl_seconds=1))
    clock.advance(2 + KEPT_SECONDS)
    tracker._forgets_at = 0.0
    left = []
    for _ in range(4):
        tracker.set_budget("s", 10)
        with tracker.ledger.read() as connection:
            left.append(connection.exec_driver_sql("SELECT count(*) FROM co_holds").scalar_one())
    assert left == [3, 1, 0, 0]


def _reserves(tracker: LedgerTracker, start, answers) -> None:
    start.wait()
    granted = 0
    with contextlib.suppress(BudgetExceededError):
        while True:
            tracker.reserve("s", 1)
            granted += 1
    answers.put(granted)


def _tries(tracker: LedgerTracker, answers) -> None:
    try:
        tracker.reserve("s", 1)
    except TrackerUnavailable as error:
        answers.put((error.outcome, error.retryable, error.message))
    tracker.close()


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def test_processes_that_are_forked_share_the_budget_and_no_connection(kind, request, tmp_path, root, open_tracker):
    url = tmp_path_url(tmp_path) if kind == "sqlite" else request.getfixturevalue("postgresql_url")
    tracker = open_tracker(url, root)
    tracker.set_budget("s", 60)
    token = tracker.reserve("s", 1)
    ledger = tracker.ledger
    context = multiprocessing.get_context("fork")
    start, answers = context.Event(), context.Queue()
    children = [context.Process(target=_reserves, args=(tracker, start, answers)) for _ in range(3)]
    for one in children:
        one.start()
    start.set()
    told = [answers.get(timeout=60) for _ in children]
    for one in children:
        one.join(timeout=60)
    assert [one.exitcode for one in children] == [0, 0, 0]
    assert sum(told) == 59
    assert tracker.ledger is ledger
    assert (tracker.get_reserved("s"), len(tracker.reservations())) == (60, 60)
    tracker.commit(token, 1)
    tracker.forked()
    assert tracker.get_spent("s") == 1
    assert tracker.ledger is not ledger
    assert tracker.commit(token, 1).repeated
    ledger.store.close()


@pytest.mark.parametrize("kind", ["given", "in memory"])
def test_a_ledger_that_cannot_be_opened_again_is_refused_in_a_forked_process(kind, tmp_path, root):
    with closing(open_store(tmp_path_url(tmp_path))) as store:
        tracker = LedgerTracker(open_ledger(store) if kind == "given" else "sqlite://", root)
        tracker.set_budget("s", 2)
        context = multiprocessing.get_context("fork")
        answers = context.Queue()
        child = context.Process(target=_tries, args=(tracker, answers))
        child.start()
        outcome, retryable, message = answers.get(timeout=60)
        child.join(timeout=60)
        assert (outcome, retryable) == ("not_sent", False)
        assert "forked" in message
        tracker.reserve("s", 1)
        tracker.close()


def test_threads_share_commits(tmp_path, open_tracker):
    tracker = open_tracker(tmp_path_url(tmp_path))
    tracker.set_budget("s", 100)
    run, runs = tracker._opened.combiner._run, []

    def slowly(calls):
        runs.append(len(calls))
        time.sleep(0.02)
        return run(calls)

    tracker._opened.combiner._run = slowly
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda _: tracker.commit(tracker.reserve("s", 1), 1), range(40)))
    assert sum(runs) == 80
    assert len(runs) < 30
    assert tracker.get_spent("s") == 40


@pytest.mark.slow
def test_many_that_want_the_same_scopes_in_another_order_all_get_through(shared, root):
    """Processes lock and make the same ones, while reservations in others' scopes expire."""
    trackers = [LedgerTracker(shared, root) for _ in range(8)]
    areas = [f"area {number}" for number in range(8)]
    for area in areas:
        trackers[0].set_budget(area, 1_000)
    start = threading.Barrier(len(trackers))

    def work(index: int) -> Counter[str]:
        order, spent = random.Random(index), Counter[str]()
        for number in range(30):
            fresh = [f"step {number}-{n}" for n in range(4)]
            scopes = order.sample(areas, order.randint(1, 3)) + order.sample(fresh, 3)
            ttl = 0.005 if order.random() < 0.2 else 60
            if number % 10 == 0:
                start.wait(60)
            token = trackers[index].reserve(scopes, 1, ttl_seconds=ttl)
            if ttl == 60:
                trackers[index].commit(token, 1)
                spent.update(scopes)
        return spent

    with ThreadPoolExecutor(len(trackers)) as pool:
        spent = sum(pool.map(work, range(len(trackers))), Counter[str]())
    time.sleep(0.01)
    found = {one.scope: one for one in trackers[0].scopes()}
    assert {scope: int(one.spent) for scope, one in found.items() if one.spent} == spent
    assert {one.reserved for one in found.values()} == {0}
    for one in trackers:
        one.close()


@pytest.mark.slow
def test_a_connection_that_the_server_has_ended_is_made_again(shared, root, open_tracker):
    tracker = open_tracker(shared, root)
    tracker.set_budget("s", 10)
    with shared.write() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = "
            "current_database()"
        )
    tracker.commit(tracker.reserve("s", 2), 1)
    assert (tracker.get_spent("s"), tracker.get_reserved("s")) == (1, 0)


@pytest.mark.slow
def test_an_answer_that_is_lost_after_the_commit_counts_once(shared, root, open_tracker, monkeypatch):
    tracker = open_tracker(shared, root)
    tracker.set_budget("s", 10)
    call, lost = tracker_calls.call, []

    def lose(connection, statement, parameters):
        row = call(connection, statement, parameters)
        if len(lost) % 2 == 0:
            connection.connection.dbapi_connection.close()
            lost.append(row)
            raise OperationalError(None, None, Exception("the connection is gone"))
        lost.append(None)
        return row

    monkeypatch.setattr(tracker_calls, "call", lose)
    token = tracker.reserve("s", 4)
    assert tracker.get_reserved("s") == 4
    assert tracker.commit(token, 3).repeated
    assert (tracker.get_spent("s"), tracker.get_reserved("s")) == (3, 0)
    assert len([row for row in lost if row is not None]) == 2
    assert len(tracker.reservations()) == 0


def test_a_database_that_is_not_there_is_said_without_its_password():
    with pytest.raises(TrackerUnavailable) as caught:
        LedgerTracker("postgresql://somebody:sesame@127.0.0.1:1/budgets")
    assert "sesame" not in str(caught.value)
    assert (caught.value.retryable, caught.value.outcome) == (True, "not_sent")


def test_a_read_that_fails_has_changed_nothing_and_a_commit_may_have(tmp_path, open_tracker):
    tracker = open_tracker(tmp_path_url(tmp_path))
    tracker.set_budget("s", 2)
    token = tracker.reserve("s", 1)
    tracker.ledger.store.engine.dispose()  # or its connections remember what is in the file
    (tmp_path / "ledger.db").write_bytes(b"no database" * 1000)
    for call, outcome in ((tracker.scopes, "not_sent"), (lambda: tracker.commit(token, 1), "unknown")):
        with pytest.raises(TrackerUnavailable, match="not a database") as caught:
            call()
        assert caught.value.outcome == outcome


def test_a_file_that_somebody_keeps_locked_is_said_and_nothing_is_done(tmp_path, open_tracker, monkeypatch):
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0.05)
    tracker = open_tracker(tmp_path_url(tmp_path))
    tracker.set_budget("s", 1)
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(TrackerUnavailable) as caught:
            tracker.reserve("s", 1)
        other.execute("ROLLBACK")
    assert (caught.value.outcome, caught.value.retryable) == ("not_sent", True)
    assert tracker.get_reserved("s") == 0
    tracker.reserve("s", 1)


@pytest.mark.parametrize("wrong", ["", "x" * 201, "a\nb", None, 5, "a\x00"])
def test_what_is_no_root_is_refused(wrong, tmp_path):
    with pytest.raises(InvalidInput, match="no root of budgets"):
        LedgerTracker(tmp_path_url(tmp_path), wrong)


def test_a_ledger_that_forgets_says_so_once(caplog, open_tracker):
    tracker = open_tracker("sqlite://")
    tracker.set_budget("s", 1)
    tracker.reserve("s", 1)
    (warning,) = tracker.warnings
    assert "in memory" in warning
    assert [one.getMessage() for one in caplog.records] == [warning]


@pytest.mark.slow
def test_a_server_that_answers_before_it_writes_is_said_and_one_that_does_not_is_fine(postgresql_url, open_tracker):
    assert open_tracker(postgresql_url).check() == ()
    careless = open_tracker(postgresql_url + "&options=-c%20synchronous_commit%3Doff")
    assert "synchronous_commit off" in careless.check()[0]


def test_it_may_be_awaited(tmp_path):
    async def spend() -> object:
        async with LedgerBudgetTracker(tmp_path_url(tmp_path)) as tracker:
            await tracker.set_budget("session", "1")
            tokens = await asyncio.gather(*(tracker.reserve("session", "0.25") for _ in range(4)))
            with pytest.raises(BudgetExceededError):
                await tracker.reserve("session", "0.01")
            for token in tokens:
                await tracker.commit(token, "0.20")
            return await tracker.get_spent("session")

    assert asyncio.run(spend()) == Decimal("0.8")


def test_no_call_reads_what_has_ended(tmp_path, open_tracker):
    """However many reservations there were: each statement finds its rows by an index."""
    tracker = open_tracker(tmp_path_url(tmp_path))
    tracker.set_budget("s", 10)
    asked = []

    def note(connection, cursor, statement, parameters, *_):
        asked.append((statement, parameters))

    engine = tracker.ledger.store.engine
    event.listen(engine, "before_cursor_execute", note)
    tracker.commit(tracker.reserve("s", 1), 1)
    tracker.get_reserved("s")
    tracker.reservations("s")
    event.remove(engine, "before_cursor_execute", note)
    with tracker.ledger.read() as connection:
        for statement, parameters in asked:
            if statement.startswith(("SELECT", "UPDATE", "DELETE")):
                given = parameters[0] if isinstance(parameters, list) else parameters
                plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given)]
                assert not any(step.startswith("SCAN co_") for step in plan), (statement, plan)


def tmp_path_url(tmp_path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"
