"""Several real processes on one PostgreSQL: none overspends, none is denied for nothing, and one leads."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from actp.engine.store import open_store
from coordinator.authority import Authority, AuthoritySettings
from coordinator.authority.batching import Deposed
from coordinator.authority.deciding import Item
from coordinator.authority.verifying import verify
from coordinator.budget.judging import rule
from coordinator.budget.words import LARGEST, Answer
from coordinator.store import Ledger, open_ledger, reservations, writers
from coordinator.store.seals import seal_all
from tests.coordinator.authority.support import TOKEN, ScopeKind, agent, ask, book, cell, fund

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[3]
AGENTS = ("ann", "bob", "cat", "dan")


class Spender:
    """A process of `spender.py`."""

    def __init__(self, url: str, wallet: str, name: str, **orders: object) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.coordinator.authority.spender"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
        )  # fmt: skip
        self.say({"url": url, "wallet": wallet, "name": name} | orders)

    def say(self, orders: dict[str, object]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(orders).encode() + b"\n")
        self.process.stdin.flush()

    def spend(self, threads: int, each: int, amount: int = 1) -> None:
        self.say({"threads": threads, "each": each, "amount": amount, "agents": AGENTS, "name": self.name})

    def hear(self, seconds: float = 60.0) -> dict[str, object]:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        assert ready, f"{self.name} says nothing"
        return json.loads(self.process.stdout.readline())

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)


@pytest.fixture
def url(shared) -> str:
    return shared.engine.url.render_as_string(hide_password=False)


@pytest.fixture
def spender(url, account) -> Iterator[Callable[..., Spender]]:
    made = []

    def start(name: str, **orders: object) -> Spender:
        # What stands still within a transaction is thrown out sooner than usual.
        impatient = f"{url}&options=-c%20idle_in_transaction_session_timeout%3D1s"
        made.append(Spender(impatient, account.wallet, name, **orders))
        return made[-1]

    yield start
    for one in made:
        one.kill()


@pytest.fixture
def treasury(url, account) -> Iterator[Authority]:
    """An authority of this process, over a treasury with enough of everything."""
    store = open_store(url)
    settings = AuthoritySettings(heartbeat_seconds=0.1, silent_seconds=1.0)
    with Authority(open_ledger(store), account, token=TOKEN, settings=settings) as made:
        rich = {"spending_limit": LARGEST, "daily_limit": LARGEST, "requires_approval": None}
        made.apply(book(*(agent(name, **rich) for name in AGENTS), total=LARGEST), "test")
        fund(made)
        yield made
    store.close()


def limit_to(treasury: Authority, total: int) -> None:
    treasury.apply(replace(treasury.book(), total_budget=total), "test")


def held(treasury: Authority) -> int:
    with treasury.ledger.read() as connection:
        found = reservations.listed(connection, treasury.account, limit=100_000)
    return sum(one.amount for one in found if one.denial is None)


def assert_sound(treasury: Authority) -> None:
    """The cells are the sum of the requests, and the journal gives the same cells."""
    assert cell(treasury, ScopeKind.TOTAL)[:2] == (0, held(treasury))
    cells = [cell(treasury, ScopeKind.AGENT, name) for name in AGENTS]
    assert sum(one[1] for one in cells if one is not None) == held(treasury)
    seal_all(treasury.ledger, treasury.account)
    assert not verify(treasury.ledger, treasury.account).findings


def lead(treasury: Authority) -> None:
    treasury.request_all([ask("ann", 1), ask("bob", 1)])
    wait_until(lambda: treasury.leads)


def wait_until(true: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_eight_processes_grant_all_that_there_is_and_not_a_unit_more(treasury, spender):
    limit_to(treasury, 1_001)
    processes = [spender(f"p{number}") for number in range(8)]
    for one in processes:
        assert one.hear()["ready"]
    for one in processes:
        one.spend(threads=4, each=20, amount=2)
    granted = sum(int(one.hear()["granted"]) for one in processes)
    assert granted == 500, "640 asked for 2 each, of 1,001"
    assert held(treasury) == 1_000
    assert_sound(treasury)


def test_processes_that_are_killed_lose_nothing_and_leak_nothing(treasury, spender):
    processes = [spender(f"p{number}", lead=number == 0) for number in range(4)]
    for one in processes:
        assert one.hear()["ready"]
    for one in processes:
        one.spend(threads=8, each=200)
    wait_until(lambda: held(treasury) > 50)
    for one in processes[:3]:
        one.kill()
    assert processes[3].hear(120)["granted"] == 1_600
    assert_sound(treasury)
    assert isinstance(treasury.request(ask("ann", 1)), Answer)


def test_a_leader_that_stands_still_is_replaced_and_then_writes_no_batch(treasury, spender):
    frozen = spender("frozen", lead=True)
    assert frozen.hear()["leads"]
    assert not treasury.leads
    frozen.process.send_signal(signal.SIGSTOP)
    lead(treasury)
    frozen.process.send_signal(signal.SIGCONT)
    frozen.spend(threads=8, each=10)
    heard = frozen.hear()
    assert heard == {"granted": 80, "leads": False}
    assert treasury.leads
    assert_sound(treasury)


def test_a_batch_in_which_a_process_stands_still_is_written_by_nobody_or_once(treasury, spender):
    frozen = spender("frozen", lead=True, stop_in_batch=True)
    assert frozen.hear()["leads"]
    frozen.spend(threads=8, each=5)
    assert int(frozen.hear()["stopping"]) > 2
    before = held(treasury)
    lead(treasury)  # waits until the server has thrown out what stands still
    assert held(treasury) == before + 2, "nothing of that batch is there"
    frozen.process.send_signal(signal.SIGCONT)
    assert frozen.hear() == {"granted": 40, "leads": False}
    assert held(treasury) == 2 + 2 + 40
    assert_sound(treasury)


def test_who_takes_over_ends_the_epoch_of_everybody_else(treasury, shared, monkeypatch):
    lead(treasury)
    with Ledger(shared).write() as connection:
        writers.take_over(connection, treasury.account)
    known = treasury.book()
    items = [Item(one, rule(one, known, treasury.treasury())) for one in (ask("ann", 1), ask("bob", 1))]

    real, ended = treasury._batches.decide, []

    def decide(*batch):
        with pytest.raises(Deposed):
            real(*batch)
        ended.append(True)
        raise Deposed

    monkeypatch.setattr(treasury._batches, "decide", decide)
    outcomes = treasury._decide_batch(items)
    assert ended
    assert [one.denial for one in outcomes] == [None, None], "each was decided alone"
    assert_sound(treasury)
