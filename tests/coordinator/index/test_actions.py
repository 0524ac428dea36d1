"""Who does what about an escrow that is due: two who look at the same time never both do it."""

from __future__ import annotations

import threading

import pytest

from actp.units import usdc
from coordinator.errors import LedgerConflict
from coordinator.index import Index
from coordinator.store import index_actions, index_escrows
from coordinator.store.index_words import ActionState, Due
from tests.client.support import DAY, delivered

SETTLE = Due.SETTLE


@pytest.fixture
def market(anywhere, endpoint, requester, provider):
    """(ledger, kernel id, two escrows that can be settled, a time at which they can)."""
    ids = [delivered(requester, provider, amount=usdc(amount)) for amount in (10, 20)]
    index = Index(anywhere, endpoint)
    index.catch_up()
    return anywhere, index.kernel.id, ids, requester.now() + DAY


def due(market, now):
    ledger, kernel_id, _, later = market
    with ledger.read() as connection:
        found = index_escrows.due(connection, kernel_id, Due, chain_now=later, now=now)
    return {one.transaction_id for one in found}


def test_what_is_claimed_is_due_for_nobody_else(market):
    ledger, kernel_id, (one, two), _ = market
    assert due(market, 100) == {one, two}
    with ledger.write() as connection:
        index_actions.claim(connection, kernel_id, SETTLE, [one], 7, 100)
    assert due(market, 10_000) == {two}
    with pytest.raises(LedgerConflict), ledger.write() as connection:
        index_actions.claim(connection, kernel_id, SETTLE, [two, one], 8, 101)
    with ledger.read() as connection:
        (claimed,) = index_actions.claimed(connection, kernel_id)
        assert index_actions.claimed(connection, kernel_id, operation_id=8) == []
    assert (claimed.transaction_id, claimed.operation_id, claimed.state) == (one, 7, ActionState.CLAIMED)
    assert due(market, 10_000) == {two}, "nothing of a claim that did not get all"


def test_what_fails_waits_twice_as_long_each_time_and_then_anybody_may_try_again(market):
    ledger, kernel_id, (one, two), _ = market
    now, waits = 100.0, []
    for attempt in range(9):
        with ledger.write() as connection:
            index_actions.claim(connection, kernel_id, SETTLE, [one], attempt, now)
            index_actions.back_off(connection, kernel_id, SETTLE, [one], now, code="blocked", reason="No.")
        with ledger.read() as connection:
            (failing,) = index_actions.failing(connection, kernel_id)
        assert (failing.attempts, failing.code, failing.operation_id) == (attempt + 1, "blocked", attempt)
        waits.append(failing.next_at - now)
        assert due(market, failing.next_at - 1) == {two}
        assert due(market, failing.next_at) == {one, two}
        with pytest.raises(LedgerConflict), ledger.write() as connection:
            index_actions.claim(connection, kernel_id, SETTLE, [one], 99, failing.next_at - 1)
        now = failing.next_at
    assert waits == [30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600]


def test_what_was_done_rests_until_events_can_say_so_and_what_was_released_does_not(market):
    ledger, kernel_id, (one, two), _ = market
    with ledger.write() as connection:
        index_actions.claim(connection, kernel_id, SETTLE, [one, two], 7, 100)
    with ledger.write() as connection:
        index_actions.done(connection, kernel_id, SETTLE, [one], 100)
        index_actions.release(connection, kernel_id, SETTLE, [two])
    assert due(market, 100) == {two}
    assert due(market, 219) == {two}
    assert due(market, 220) == {one, two}, "a reorganisation took it back"
    with ledger.write() as connection:
        index_actions.claim(connection, kernel_id, SETTLE, [one, two], 8, 220)


@pytest.mark.slow
def test_what_failed_before_is_released_with_its_failures(market):
    ledger, kernel_id, (one, two), _ = market
    with ledger.write() as connection:
        index_actions.back_off(connection, kernel_id, SETTLE, [one], 0, code="x")
        index_actions.claim(connection, kernel_id, SETTLE, [one, two], 7, 100)
        index_actions.release(connection, kernel_id, SETTLE, [one, two])
    assert due(market, 100) == {one, two}
    with ledger.read() as connection:
        assert [action.attempts for action in index_actions.of(connection, kernel_id, one)] == [1]
        tried = index_escrows.due(connection, kernel_id, Due, chain_now=market[3], now=100, tried=True)
    assert [row.transaction_id for row in tried] == [one]
    with ledger.write() as connection:
        index_actions.claim(connection, kernel_id, SETTLE, [one, two], 8, 100)
        index_actions.release(connection, kernel_id, SETTLE, [one, two], until=130)
    assert due(market, 129) == set()
    assert due(market, 130) == {one, two}


@pytest.mark.slow
def test_one_kind_of_action_does_not_stop_another(market):
    ledger, kernel_id, (one, two), _ = market
    with ledger.write() as connection:
        index_actions.claim(connection, kernel_id, Due.CLOSE, [one], 7, 100)
    assert due(market, 100) == {one, two}


@pytest.mark.slow
def test_of_many_that_claim_at_once_one_wins(market):
    ledger, kernel_id, ids, _ = market
    won, lost, others = [], [], []
    start = threading.Barrier(6)

    def work(number: int) -> None:
        start.wait(10)
        try:
            with ledger.write() as connection:
                index_actions.claim(connection, kernel_id, SETTLE, ids, number, 100)
            won.append(number)
        except LedgerConflict:
            lost.append(number)
        except Exception as error:
            others.append(error)
            raise

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (len(won), len(lost), others) == (1, 5, [])
    with ledger.read() as connection:
        assert {one.operation_id for one in index_actions.claimed(connection, kernel_id)} == set(won)
