"""Batches of the leader on PostgreSQL: in one round trip or two, each request becomes what it would have alone."""

from __future__ import annotations

import pytest

from coordinator.authority import KeyTaken, batching
from coordinator.authority.batching import Batches, Deposed
from coordinator.authority.deciding import Item, Unfunded
from coordinator.budget.judging import rule
from coordinator.budget.words import Period, ReservationState, Scope, ScopeKind
from coordinator.errors import RulesChanged
from coordinator.store import asks, dispatches, journal, pauses, writers
from tests.coordinator.authority.support import DAY, TOKEN, USDC, agent, ask, book, fund, total

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

    run.batches, run.epoch = batches, epoch
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


@pytest.fixture
def tried(monkeypatch):
    """Whether each batch that counted on what the last one left was right about that."""
    found = []

    def book_if(*arguments):
        committed = real(*arguments)
        found.append(committed.done)
        return committed

    real = batching.book_if
    monkeypatch.setattr(batching, "book_if", book_if)
    return found


@pytest.fixture
def remembered(decide, tried):
    """As `decide`, after batches that found one another's cells as they were left."""
    for _ in range(3):
        assert [one.state for one in decide(ask(), ask("bob"))] == [S.HELD] * 2
    assert tried == [True], "the first two had to read"
    tried.clear()
    return decide


def test_a_batch_that_counts_on_the_last_one_writes_all_that_others_do(
    authority, ledger, account, clock, remembered, tried
):
    one, large, much = ask(), ask("bob", 60 * USDC), ask(amount=101 * USDC)
    held, pending, denied = remembered(one, large, much)
    assert tried == [True]
    assert [held.state, pending.state, denied.state] == [S.HELD, S.PENDING_APPROVAL, S.DENIED]
    found = [authority.find(each.reservation_id) for each in (held, pending, denied)]
    assert [each.key for each in found] == [one.key, large.key, much.key]
    assert {each.created_at for each in found} == {clock.time()}
    with ledger.read() as connection:
        entries = journal.listed(connection, account)[-3:]
        question = asks.by_reservations(connection, [pending.reservation_id])[pending.reservation_id]
        assert set(dispatches.by_reservations(connection, [each.id for each in found])) == {held.reservation_id}
    assert [each.entry.event for each in entries] == ["granted", "approval_wanted", "denied"]
    assert question.approval_id == pending.approval_id
    assert question.expires_at == clock.time() + book().approvals.seconds
    assert total(authority) == (0, 130 * USDC)
    assert authority.approve(pending.approval_id).state is S.HELD


def test_what_others_took_meanwhile_is_neither_lost_nor_spent_again(authority, remembered, tried):
    authority._direct.decide(Item(*_ruled(authority, ask(amount=40 * USDC))))
    assert remembered(ask(), ask("bob"))[0].state is S.HELD
    assert tried == [False]
    assert total(authority) == (0, 120 * USDC)


def test_one_cell_that_changed_is_enough_to_look_at_all_again(authority, remembered, tried):
    """Somebody gives back what only the treasury's cells show."""
    fund(authority, usdc=65, number=2)
    granted, denied = remembered(ask("bob", 5 * USDC), ask("bob"))
    assert tried == [False]
    assert [granted.state, denied.denial.rule, denied.denial.used] == [S.HELD, "treasury_balance", 65 * USDC]


def test_a_pause_a_freeze_and_other_rules_hold_for_the_next_batch(authority, ledger, account, remembered, tried):
    with ledger.write() as connection:
        pauses.add(connection, account, "bob", by="olga", reason="odd", now=ledger.now())
    first, second = remembered(ask(), ask("bob"))
    assert [first.state, second.denial.rule, tried] == [S.HELD, "paused", [False]]
    with ledger.write() as connection:
        pauses.remove(connection, account, "bob", by="olga", reason="", now=ledger.now())
    _settle(remembered, tried)
    authority.freeze(Scope(ScopeKind.AGENT, "bob", Period.EVER, TOKEN), "look")
    first, second = remembered(ask(), ask("bob"))
    assert [first.state, second.denial.rule, tried] == [S.HELD, "scope_frozen", [False]]
    authority.unfreeze(Scope(ScopeKind.AGENT, "bob", Period.EVER, TOKEN), "seen")
    _settle(remembered, tried)
    old = [Item(*_ruled(authority, one)) for one in (ask(), ask("bob"))]
    authority.apply(book(agent("ann", spending_limit=99 * USDC), agent("bob")), "no cell shows it")
    assert [type(one) for one in remembered.batches.decide(old, remembered.epoch)] == [RulesChanged] * 2
    assert tried == [False]


def test_a_key_that_was_used_keeps_its_answer_where_nobody_looks_for_it(authority, remembered, tried):
    one = ask()
    (first,) = remembered(one)
    again, other = remembered(one, ask())
    assert (again.reservation_id, again.replayed, other.replayed) == (first.reservation_id, True, False)
    assert total(authority) == (0, 80 * USDC)


def test_an_epoch_that_is_over_writes_nothing_by_what_it_remembers(authority, ledger, account, remembered, tried):
    with ledger.write() as connection:
        writers.take_over(connection, account)
    with pytest.raises(Deposed):
        remembered(ask(), ask("bob"))
    assert tried == [False]
    assert total(authority) == (0, 60 * USDC)


def test_what_was_left_in_another_hour_is_read_again(authority, clock, remembered, tried, monkeypatch):
    """The process's clock stands still, so that it takes the windows for those of the hour before."""
    before, wall = clock.time(), clock.time() + DAY
    assert _windows(authority) == {before - before % DAY}
    times = iter([before])
    monkeypatch.setattr(authority.ledger, "now", lambda: next(times, wall))
    assert remembered(ask(), ask("bob"))[0].state is S.HELD
    assert tried == [False]
    assert _windows(authority) == {before - before % DAY, wall - wall % DAY}


def _ruled(authority, one):
    return one, rule(one, authority.book(), authority.treasury())


def _settle(decide, tried):
    """Batches until one of them counts on the one before."""
    tried.clear()
    for _ in range(3):
        decide(ask(amount=1), ask("bob", 1))
    assert tried[-1:] == [True]
    tried.clear()


def _windows(authority):
    return {one.cell.window_start for one in authority.usage() if one.scope.period is Period.DAY}
