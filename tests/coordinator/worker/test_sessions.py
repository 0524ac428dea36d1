"""A session's budget over all that a treasury funds."""

from __future__ import annotations

from decimal import Decimal

import pytest

from coordinator.budget.requests import escrow_number
from coordinator.commands._tracking import used_by
from coordinator.crash import CrashPoint
from coordinator.store import alerts
from coordinator.tracker import LocalTracker, TrackerUnavailable
from coordinator.worker import Session, Worker
from tests.coordinator.worker.support import COMMITTED, HELD, PURSE, RELEASED, USDC, Firm

SCOPE = "session:night"


@pytest.fixture
def tracker() -> LocalTracker:
    return LocalTracker({SCOPE: 100})


def worker_in(firm: Firm, tracker: LocalTracker) -> Worker:
    session = Session(firm.authority, tracker, SCOPE)
    return Worker(firm.client, firm.authority, firm.lifecycle(), reconcile_seconds=0.0, session=session)


def used(tracker: LocalTracker) -> tuple[Decimal, Decimal]:
    return tracker.get_spent(SCOPE), tracker.get_reserved(SCOPE)


def forget_the_pause(worker: Worker) -> None:
    worker._session._asks_at = float("-inf")


def test_what_is_funded_is_reserved_first_and_committed_when_it_is_final(firm, tracker):
    worker = worker_in(firm, tracker)
    worker.look()
    answers = [firm.request(10 * USDC), firm.request(15 * USDC)]
    worker._dispatching.round()
    assert used(tracker) == (0, 25)
    firm.funded(worker, *answers)
    firm.rounds(worker, 1)
    assert used(tracker) == (25, 0)
    assert tracker.reservations() == ()
    assert [one.scope for one in used_by(tracker, ended=False)] == [SCOPE]
    firm.sound()


@pytest.mark.slow
def test_what_does_not_fit_waits_and_is_funded_once_it_does(firm, tracker):
    worker = worker_in(firm, tracker)
    worker.look()
    first, second, third = firm.request(70 * USDC), firm.request(40 * USDC), firm.request(30 * USDC)
    firm.funded(worker, first, third)
    firm.rounds(worker)
    assert firm.find(second).state is HELD
    assert used(tracker) == (100, 0)
    with firm.ledger.read() as connection:
        told = alerts.listed(connection, firm.key)
    assert [one.title for one in told if SCOPE in one.title] == [f"The budget of {SCOPE} holds up what was granted"]
    tracker.set_budget(SCOPE, 140)
    forget_the_pause(worker)
    firm.funded(worker, second)
    firm.rounds(worker, 1)
    assert used(tracker) == (140, 0)
    assert firm.client.token.balance_of() == PURSE - 140 * USDC
    firm.sound()


@pytest.mark.slow
def test_of_a_batch_only_what_failed_for_good_is_free_again(firm, tracker):
    # The number was used before there was this ledger: the kernel refuses to use it twice.
    plain = firm.client_of(firm.account)
    number = str(escrow_number("ann", "bad"))
    plain.pay(provider=firm.provider.address, amount=USDC, deadline=plain.now() + 9_000, idempotency_key=number)
    worker = worker_in(firm, tracker)
    worker.look()
    good, bad = firm.request(20 * USDC, key="good"), firm.request(60 * USDC, key="bad")
    assert worker._dispatching.round()
    assert used(tracker) == (0, 80)
    rows = firm.funded(worker, good, bad)
    assert [row.state for row in rows] == [COMMITTED, RELEASED]
    firm.rounds(worker, 1)
    assert used(tracker) == (20, 0)
    assert not any(one.reserved for one in tracker.scopes())
    assert not any(bad.transaction_id in one.scope for one in tracker.scopes())


@pytest.mark.slow
@pytest.mark.parametrize("place", [CrashPoint.BEFORE_DISPATCH, CrashPoint.AFTER_DISPATCH])
def test_another_worker_goes_on_with_what_one_that_died_had_reserved(firm, tracker, place, monkeypatch):
    class Killed(BaseException):
        pass

    def die(where: CrashPoint) -> None:
        if where is place:
            raise Killed

    first, second = worker_in(firm, tracker), worker_in(firm, tracker)
    first.look()
    second._session.round()  # it has looked at what is reserved, and found nothing
    answer = firm.request(60 * USDC)
    monkeypatch.setattr("coordinator.worker.dispatching.point", die)
    with pytest.raises(Killed):
        first._dispatching.round()
    monkeypatch.undo()
    assert used(tracker) == (0, 60)
    (row,) = firm.funded(second, answer)
    second._session._looks_at = float("-inf")
    firm.rounds(second, 1)
    assert row.state is COMMITTED
    assert used(tracker) == (60, 0)


@pytest.mark.slow
def test_two_workers_reserve_a_grant_once(firm, tracker):
    first, second = worker_in(firm, tracker), worker_in(firm, tracker)
    first.look()
    answer = firm.request(40 * USDC)  # there is room for it twice
    with firm.ledger.read() as connection:
        due = first._dispatching._due(connection)
    second._session.round()  # it has looked at what is reserved, and found nothing
    assert first._session.admit(due) == second._session.admit(due) == due
    assert used(tracker) == (0, 40)
    firm.funded(second, answer)
    firm.rounds(second, 1)
    firm.rounds(first, 1)
    assert used(tracker) == (40, 0)


class Away(LocalTracker):
    """A tracker whose ledger does not answer."""

    away = True

    def _now(self) -> float:
        if self.away:
            raise TrackerUnavailable("Nobody answers.", retryable=True)
        return super()._now()


def test_while_the_tracker_is_away_nothing_is_handed_on(firm):
    Away.away = False
    tracker = Away({SCOPE: 100})
    worker = worker_in(firm, tracker)
    worker.look()
    tracker.away = True
    answer = firm.request(10 * USDC)
    firm.rounds(worker, 2)
    assert (firm.find(answer).state, firm.operations()) == (HELD, [])
    tracker.away = False
    forget_the_pause(worker)
    firm.funded(worker, answer)
    tracker.away = True
    firm.rounds(worker, 1)
    tracker.away = False
    forget_the_pause(worker)
    firm.rounds(worker, 1)
    assert used(tracker) == (10, 0)
