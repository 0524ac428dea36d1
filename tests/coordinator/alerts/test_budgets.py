"""Thresholds of budgets: the highest one that was crossed, once for each window and limit."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from coordinator.alerts import notice
from coordinator.budget.rulebook import RuleBook
from coordinator.budget.words import REQUESTS, Period, ReservationState, ScopeKind
from coordinator.store import alerts, rulebooks, seals, treasuries
from coordinator.store.alerts import AlertKind
from coordinator.store.budget_schema import seals as ends
from coordinator.types import ETH
from tests.coordinator.journal.entries import change, write
from tests.coordinator.journal.spending import TOKEN, charge, end, spend

S = ReservationState
USDC = 1_000_000


def told(ledger, account):
    """The titles of what is new, after looking."""
    with ledger.read() as connection:
        before = {one.id for one in alerts.listed(connection, account, limit=1000)}
    notice(ledger, account)
    with ledger.read() as connection:
        rows = alerts.listed(connection, account, limit=1000)
    return [one.title for one in reversed(rows) if one.id not in before and one.kind is AlertKind.BUDGET]


def percents(titles):
    return [int(title.split()[0]) for title in titles]


def test_each_threshold_is_told_once_and_what_is_below_is_not(ledger, account):
    day = charge(100 * USDC)
    found = []
    for amount in (79, 1, 4, 6, 9, 1):
        assert spend(ledger, account, amount * USDC, day).denial is None
        found.append(percents(told(ledger, account)))
        assert told(ledger, account) == []
    assert found == [[], [80], [], [90], [], [100]]


def test_only_the_highest_that_was_crossed_is_told_and_lower_ones_never_after_it(ledger, account):
    day = charge(100 * USDC)
    answer = spend(ledger, account, 20 * USDC, day)
    spend(ledger, account, 80 * USDC, day)
    assert percents(told(ledger, account)) == [100]
    end(ledger, account, answer, S.RELEASED)
    assert told(ledger, account) == [], "80 % are used again, and people know of 100"
    spend(ledger, account, 20 * USDC, day)
    assert told(ledger, account) == []


def test_what_was_used_for_a_moment_between_two_looks_is_told(ledger, account):
    day = charge(100 * USDC)
    spend(ledger, account, 10 * USDC, day)
    answer = spend(ledger, account, 85 * USDC, day)
    end(ledger, account, answer, S.RELEASED)
    spend(ledger, account, 1 * USDC, day)
    (title,) = told(ledger, account)
    assert percents([title]) == [90]


def test_what_is_not_sealed_yet_belongs_to_the_next_look(ledger, account):
    day = charge(100 * USDC)
    spend(ledger, account, 50 * USDC, day)
    spend(ledger, account, 45 * USDC, day, seal=False)
    assert told(ledger, account) == []
    seals.seal_all(ledger, account)
    assert percents(told(ledger, account)) == [90]


def test_another_day_is_another_budget(ledger, account, clock):
    day = charge(100 * USDC)
    spend(ledger, account, 95 * USDC, day)
    assert percents(told(ledger, account)) == [90]
    clock.advance(86_400)
    spend(ledger, account, 95 * USDC, day)
    assert percents(told(ledger, account)) == [90]


def test_what_was_crossed_just_before_midnight_is_told_after_it(ledger, account, clock):
    clock.advance(86_400 - clock.time() % 86_400 - 1)
    spend(ledger, account, 95 * USDC, charge(100 * USDC))
    clock.advance(2)
    (title,) = told(ledger, account)
    assert percents([title]) == [90]


def test_under_another_limit_it_is_told_again(ledger, account):
    spend(ledger, account, 95 * USDC, charge(100 * USDC))
    assert percents(told(ledger, account)) == [90]
    spend(ledger, account, 5 * USDC, charge(120 * USDC))
    assert percents(told(ledger, account)) == [80]


def test_a_limit_that_was_lowered_under_what_is_used_is_told(ledger, account):
    spend(ledger, account, 50 * USDC, charge(100 * USDC))
    assert told(ledger, account) == []
    assert spend(ledger, account, 1, charge(60 * USDC)).denial is None
    assert percents(told(ledger, account)) == [80]


def test_a_rolling_window_is_told_about_once_a_day(ledger, account, clock):
    rolling = charge(100 * USDC, period=Period.ROLLING_DAY)
    spend(ledger, account, 85 * USDC, rolling)
    assert percents(told(ledger, account)) == [80]
    spend(ledger, account, 1 * USDC, rolling)
    assert told(ledger, account) == []
    clock.advance(26 * 3600)
    spend(ledger, account, 10 * USDC, rolling)
    assert told(ledger, account) == [], "what was spent 26 hours ago does not count"
    spend(ledger, account, 75 * USDC, rolling)
    assert percents(told(ledger, account)) == [80]


def test_hours_of_a_rolling_window_that_are_over_do_not_count_though_nothing_was_charged_since(ledger, account, clock):
    rolling = charge(100 * USDC, period=Period.ROLLING_DAY)
    spend(ledger, account, 50 * USDC, rolling)
    clock.advance(20 * 3600)
    answer = spend(ledger, account, 40 * USDC, rolling)
    end(ledger, account, answer)
    assert percents(told(ledger, account)) == [90]
    clock.advance(6 * 3600)
    end(ledger, account, answer, returned=USDC)
    assert told(ledger, account) == [], "it is another day, and 39 are used"


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (charge(100 * USDC, kind=ScopeKind.TOTAL, key="", period=Period.EVER), "total budget"),
        (charge(100 * USDC, kind=ScopeKind.CATEGORY, key="data", period=Period.MONTH), "budget of category data for"),
        (charge(100 * USDC, period=Period.EVER), "budget of agent ann used"),
        (charge(10**18, kind=ScopeKind.GAS, key="", unit=ETH, amount=9 * 10**17), "gas budget"),
    ],
)
def test_any_budget_is_watched(ledger, account, made, words):
    spend(ledger, account, 91 * USDC, made)
    (title,) = told(ledger, account)
    assert percents([title]) == [90]
    assert words in title


def test_what_is_no_budget_is_not_watched(ledger, account):
    spend(
        ledger,
        account,
        100 * USDC,
        charge(None, period=Period.EVER),
        charge(1, unit=REQUESTS, period=Period.HOUR, amount=1),
    )
    assert told(ledger, account) == []


@pytest.mark.parametrize(("percents_of_the_rules", "expected"), [((50,), [50]), ((), []), ((60, 70), [])])
def test_the_rules_say_at_which_thresholds(ledger, account, percents_of_the_rules, expected):
    with ledger.write() as connection:
        treasuries.require(connection, account, TOKEN)
        book = RuleBook(alerts_at=percents_of_the_rules)
        rulebooks.add(connection, account, book, 1, "operator", ledger.now())
        treasuries.set_rulebook(connection, account, 1)
    spend(ledger, account, 55 * USDC, charge(100 * USDC), rulebook=1)
    assert percents(told(ledger, account)) == expected


def test_an_alert_says_how_much_of_what_and_nothing_of_the_purpose(ledger, account):
    spend(ledger, account, 91 * USDC, charge(100 * USDC))
    notice(ledger, account)
    with ledger.read() as connection:
        (one,) = alerts.listed(connection, account)
    assert one.title == "90 % of the budget of agent ann for the day used"
    assert one.body == "91.00 USDC of 100.00 USDC are spent or reserved (91 %) since 2023-11-14 00:00 UTC."


def test_a_long_journal_is_gone_along_in_steps_and_not_twice(ledger, account, monkeypatch):
    monkeypatch.setattr("coordinator.alerts.noticing._PAGE", 3)
    for _ in range(4):
        write(ledger, account, 3)
        spend(ledger, account, 23 * USDC, charge(100 * USDC))
    assert percents(told(ledger, account)) == [90]
    with ledger.read() as connection:
        assert connection.execute(select(ends.c.alerted, ends.c.number)).one() == (16, 16)


def test_an_entry_that_somebody_has_damaged_keeps_nobody_from_being_told(ledger, account):
    spend(ledger, account, 10 * USDC, charge(100 * USDC))
    change(ledger, 1, detail="{")
    spend(ledger, account, 75 * USDC, charge(100 * USDC))
    assert percents(told(ledger, account)) == [80]


def test_what_another_process_has_noticed_meanwhile_is_not_noticed_again(ledger, account):
    with ledger.read() as connection:
        before = seals.alerted(connection, account)
    spend(ledger, account, 95 * USDC, charge(100 * USDC))
    assert percents(told(ledger, account)) == [90]
    with ledger.write() as connection:
        assert not seals.note_alerted(connection, account, before, 1)
