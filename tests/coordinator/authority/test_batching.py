"""Batches of the leader on PostgreSQL: two round trips, and nothing that a request alone would not have become."""

from __future__ import annotations

import pytest

from coordinator.authority import KeyTaken
from coordinator.authority.batching import Batches, Deposed
from coordinator.authority.deciding import Item, Unfunded
from coordinator.budget.judging import rule
from coordinator.budget.words import ReservationState
from coordinator.store import writers
from tests.coordinator.authority.support import DAY, USDC, agent, ask, book, fund, total

pytestmark = pytest.mark.parametrize("backend", ["function"], indirect=True)
S = ReservationState


@pytest.fixture
def decide(authority):
    """Decides asks in a batch, as the leader of the first epoch."""
    with authority.ledger.write() as connection:
        epoch = writers.take_over(connection, authority.account)
    batches = Batches(authority.ledger, authority.account, authority._numbers)

    def run(*asks, epoch=epoch, final=True):
        items = [Item(one, rule(one, authority.book(), authority.treasury()), final) for one in asks]
        authority._direct.learn(items)
        return batches.decide(items, epoch)

    yield run
    batches.close()


def test_keys_that_were_used_before_keep_their_answers(authority, decide):
    one, two = ask(key="one"), ask("bob", key="two")
    first = decide(one, two)
    assert [each.replayed for each in first] == [False, False]
    assert decide(ask("bob"), ask())[0].state is S.HELD
    again = decide(one, ask(key="three"), two)
    assert [again[0].reservation_id, again[2].reservation_id] == [each.reservation_id for each in first]
    assert [again[0].replayed, again[1].replayed, again[2].replayed] == [True, False, True]
    assert isinstance(decide(ask(key="one", amount=11 * USDC))[0], KeyTaken)
    assert total(authority) == (0, 50 * USDC)


def test_a_key_that_was_used_is_known_even_if_now_the_balance_is_in_the_way(authority, decide):
    one = ask(key="one")
    (first,) = decide(one)
    fund(authority, usdc=0, number=2)
    answers = decide(one, ask(), final=False)
    assert answers[0].reservation_id == first.reservation_id
    assert isinstance(answers[1], Unfunded)


def test_a_guess_of_the_time_in_another_window_is_corrected(authority, decide, clock, monkeypatch):
    authority.apply(book(agent(daily_limit=10 * USDC)), "test")
    assert decide(ask())[0].state is S.HELD
    yesterday, now = clock.time(), clock.time() + DAY
    times = iter([yesterday, now, now, now])
    monkeypatch.setattr(authority.ledger, "now", lambda: next(times, now))
    assert decide(ask())[0].state is S.HELD, "it is the next day"


def test_an_epoch_that_is_over_writes_nothing_and_holds_nothing(authority, decide):
    decide(ask())
    with pytest.raises(Deposed):
        decide(ask(), epoch=7)
    assert authority.request(ask()).state is S.HELD, "its locks are gone"
    assert total(authority) == (0, 20 * USDC)
    assert decide(ask())[0].state is S.HELD
