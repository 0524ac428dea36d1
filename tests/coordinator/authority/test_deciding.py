"""What every way to decide has to do alike: SQLite, PostgreSQL's function, and batches on PostgreSQL."""

from __future__ import annotations

import json
import threading

import pytest

from actp.errors import ActpError, ConfigError
from coordinator.authority import Authority, Change, KeyTaken
from coordinator.authority.verifying import verify
from coordinator.budget.rules import GasRules
from coordinator.budget.words import LARGEST, ReservationState
from coordinator.store import dispatches, journal, pauses, seals
from tests.coordinator.authority.support import (
    DAY,
    ETH,
    GAS,
    TOKEN,
    USDC,
    Period,
    ScopeKind,
    agent,
    ask,
    book,
    cell,
    fund,
    replace,
    total,
)

S = ReservationState


def rule_of(answer):
    return None if answer.denial is None else answer.denial.rule


def entries(authority):
    with authority.ledger.read() as connection:
        return [one.entry for one in journal.listed(connection, authority.account)]


def waiting(authority):
    with authority.ledger.read() as connection:
        return [one.reservation_id for one in dispatches.waiting(connection, authority.account)]


def test_two_requests_of_500_do_not_pass_a_budget_of_600(serve):
    """Checking and recording in separate steps lets both pass."""
    authority = serve()
    authority.apply(
        book(agent(spending_limit=LARGEST, daily_limit=LARGEST, requires_approval=None), total=600 * USDC), "t"
    )
    fund(authority)
    start = threading.Barrier(2)
    answers = []

    def spend():
        start.wait()
        answers.append(authority.request(ask(amount=500 * USDC)))

    threads = [threading.Thread(target=spend) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)
    assert sorted(one.state for one in answers) == [S.DENIED, S.HELD]
    assert total(authority) == (0, 500 * USDC)


@pytest.mark.parametrize(
    ("rules", "amount", "reason"),
    [
        ({}, 100 * USDC + 1, "Amount 100.000001 exceeds per-tx limit 100.0"),
        ({"daily_limit": 15 * USDC}, 6 * USDC, "Would exceed daily limit. Spent: 10.0, Limit: 15.0"),
        ({"weekly_limit": 15 * USDC}, 6 * USDC, "Would exceed weekly limit. Spent: 10.0, Limit: 15.0"),
        ({"monthly_limit": 15 * USDC}, 6 * USDC, "Would exceed monthly limit. Spent: 10.0, Limit: 15.0"),
        ({"budget": 15 * USDC}, 6 * USDC, "Would exceed agent budget. Spent: 10.0, Budget: 15.0"),
    ],
)
def test_a_denial_says_in_the_seed_s_words_which_limit_and_what_is_used(serve, rules, amount, reason):
    authority = serve()
    authority.apply(book(agent(requires_approval=None, **rules)), "test")
    fund(authority)
    assert authority.request(ask(amount=10 * USDC)).denial is None
    before = authority.usage()
    denied = authority.request(ask(amount=amount))
    assert (denied.state, denied.denial.message) == (S.DENIED, reason)
    assert authority.usage() == before, "a denial changes only the journal"
    assert authority.find(denied.reservation_id).denial == denied.denial


def test_limits_are_inclusive_and_the_next_unit_is_denied(serve):
    authority = serve()
    authority.apply(book(agent(daily_limit=20 * USDC), total=30 * USDC), "test")
    fund(authority)
    assert authority.request(ask(amount=20 * USDC)).state is S.HELD
    assert rule_of(authority.request(ask(amount=1))) == "daily_limit"


def test_the_total_counts_all_agents_and_the_category_its_own(authority):
    assert authority.request(ask("ann", category="compute")).state is S.HELD
    assert authority.request(ask("bob", category="data")).state is S.HELD
    assert total(authority) == (0, 20 * USDC)
    assert cell(authority, ScopeKind.CATEGORY, "compute")[:3] == (0, 10 * USDC, 500 * USDC)
    assert cell(authority, ScopeKind.AGENT, "bob")[:3] == (0, 10 * USDC, None)
    assert cell(authority, ScopeKind.TREASURY, unit=ETH)[1] == 2 * GAS


@pytest.mark.parametrize(("agents", "total_budget"), [((agent(daily_limit=None),), 10**9), ((agent(),), None)])
def test_without_a_limit_everything_is_denied(serve, agents, total_budget):
    authority = serve()
    authority.apply(book(*agents, total=total_budget), "test")
    fund(authority)
    assert rule_of(authority.request(ask(amount=1))) == "no_limit"


def test_an_unknown_agent_and_a_treasury_without_any_rules_are_denied(serve):
    authority = serve()
    early = authority.request(ask()).denial
    assert (early.rule, early.message) == ("no_limit", "No rules were applied yet: coordinator policy apply")
    authority.apply(book(), "test")
    assert authority.request(ask("eve")).denial.message == "Agent not registered"


def test_a_treasury_that_was_never_seen_or_has_too_little_denies(serve):
    authority = serve()
    authority.apply(book(), "test")
    assert rule_of(authority.request(ask())) == "treasury_balance"
    fund(authority, usdc=15)
    assert authority.request(ask()).state is S.HELD
    assert rule_of(authority.request(ask())) == "treasury_balance"
    fund(authority, usdc=15_000, ether=GAS / 10**18 * 1.5, number=2)
    assert rule_of(authority.request(ask())) == "treasury_gas"


def test_a_denial_by_the_balance_alone_looks_once_more_and_then_grants(serve):
    authority = serve()
    authority.apply(book(), "test")
    looks = []
    authority.look = lambda: looks.append(fund(authority))
    assert authority.request(ask(key="one")).state is S.HELD
    assert len(looks) == 1
    authority.look = lambda: looks.append(fund(authority, usdc=10, number=2))
    assert rule_of(authority.request(ask("bob", amount=10_000 * USDC))) == "spending_limit"
    assert len(looks) == 1, "a look does not help against the other limits"
    fund(authority, usdc=10, number=2)
    assert rule_of(authority.request(ask(key="two"))) == "treasury_balance"
    assert len(looks) == 2


def test_the_same_key_gives_the_same_answer_and_one_effect(authority):
    first = authority.request(ask(key="one"))
    before = (authority.usage(), entries(authority))
    again = authority.request(ask(key="one"))
    assert again == replace(first, replayed=True)
    assert (authority.usage(), entries(authority)) == before
    denied = authority.request(ask(key="two", amount=10**9))
    assert authority.request(ask(key="two", amount=10**9)) == replace(denied, replayed=True)


def test_a_key_with_another_body_is_refused_and_belongs_to_one_agent_only(authority):
    authority.request(ask("ann", key="one"))
    with pytest.raises(KeyTaken):
        authority.request(ask("ann", key="one", amount=11 * USDC))
    assert authority.request(ask("bob", key="one", amount=11 * USDC)).state is S.HELD
    assert total(authority) == (0, 21 * USDC)


def test_one_key_in_a_batch_has_one_effect(authority):
    one = ask(key="one")
    answers = authority.request_all([one, one, ask(key="two")])
    assert [(each.reservation_id, each.replayed) for each in answers[:2]] == [
        (answers[0].reservation_id, False),
        (answers[0].reservation_id, True),
    ]
    assert total(authority) == (0, 20 * USDC)


def test_a_bad_item_of_a_batch_is_denied_alone(authority):
    answers = authority.request_all([ask(amount=60 * USDC), ask(amount=10**9), ask("eve"), ask(amount=20 * USDC)])
    assert [one.state for one in answers] == [S.PENDING_APPROVAL, S.DENIED, S.DENIED, S.HELD]


@pytest.mark.parametrize("backend", ["function", "batches"], indirect=True)
def test_what_the_database_does_not_take_fails_alone(authority):
    with pytest.raises((ActpError, ValueError)):
        authority.request_all([ask(amount=20 * USDC, key="good"), ask(purpose="half\0")])
    assert authority.request(ask(amount=20 * USDC, key="good")).replayed


def test_a_batch_stops_at_the_limit_and_not_before(serve):
    authority = serve()
    authority.apply(book(agent(), agent("bob"), total=45 * USDC), "test")
    fund(authority)
    answers = authority.request_all([ask("ann" if number % 2 else "bob") for number in range(8)])
    assert [one.state for one in answers] == [S.HELD] * 4 + [S.DENIED] * 4
    assert {one.denial.used for one in answers[4:]} == {40 * USDC}
    assert authority.request(ask(amount=5 * USDC)).state is S.HELD


def test_a_pause_denies_until_it_ends_and_a_new_authority_knows_it(authority, serve):
    def paused(agent, add):
        with authority.ledger.write() as connection:
            change = pauses.add if add else pauses.remove
            change(connection, authority.account, agent, by="op", reason="why", now=1.0)

    paused("ann", True)
    assert authority.request(ask("ann")).denial.message == "Agent is paused: why"
    assert authority.request(ask("bob")).state is S.HELD
    paused(None, True)
    assert serve().request(ask("bob")).denial.message == "Everything is paused: why"
    paused(None, False)
    paused("ann", False)
    assert authority.request(ask("ann")).state is S.HELD


def test_a_frozen_scope_denies_and_says_why(authority):
    authority.request(ask())
    (scope,) = {one.scope for one in authority.usage() if one.scope.kind is ScopeKind.TOTAL}
    assert authority.freeze(scope, "drift")
    assert not authority.freeze(scope, "again")
    assert authority.request(ask()).denial.message == "Nothing may be charged to total (ever): drift"
    assert authority.unfreeze(scope, "looked at")
    assert authority.request(ask()).state is S.HELD


def test_rules_that_changed_meanwhile_are_applied(authority, serve):
    other = serve()
    other.request(ask())
    authority.apply(book(agent(spending_limit=5 * USDC)), "test")
    assert rule_of(other.request(ask(amount=6 * USDC))) == "spending_limit", "its rules were of before"


def test_lowering_a_limit_keeps_what_is_held_and_grants_nothing(authority):
    held = authority.request(ask(amount=40 * USDC))
    assert authority.apply(book(agent(daily_limit=30 * USDC), total=20 * USDC), "test") == 2
    assert cell(authority, ScopeKind.TOTAL) == (0, 40 * USDC, 20 * USDC, 40 * USDC)
    assert rule_of(authority.request(ask(amount=1))) == "daily_limit"
    assert authority.find(held.reservation_id).state is S.HELD
    authority.apply(book(agent(), total=50 * USDC), "test")
    assert authority.request(ask()).state is S.HELD
    assert cell(authority, ScopeKind.TOTAL) == (0, 50 * USDC, 50 * USDC, 50 * USDC)


def test_the_same_rules_again_are_no_new_version(authority):
    before = entries(authority)
    assert authority.apply(book(), "somebody else") == 1
    assert entries(authority) == before
    assert authority.book().version == 1


def test_a_grant_is_one_row_of_the_outbox_and_one_of_the_journal_with_its_cells(authority):
    before = len(entries(authority))
    granted = authority.request(ask())
    asked = authority.request(ask(amount=60 * USDC))
    denied = authority.request(ask(amount=10**9))
    new = entries(authority)[before:]
    assert [(one.event, one.reservation_id, one.after) for one in new] == [
        ("granted", granted.reservation_id, S.HELD),
        ("approval_wanted", asked.reservation_id, S.PENDING_APPROVAL),
        ("denied", denied.reservation_id, S.DENIED),
    ]
    assert waiting(authority) == [granted.reservation_id]
    usage = {(one.cell.scope_id, one.cell.window_start): one.cell for one in authority.usage()}
    for one in new[:2]:
        for scope_id, window, spent, reserved, bucket in one.detail["cells"]:
            assert (spent, bucket) == (0, 0)
            assert reserved in (10 * USDC, 60 * USDC, GAS)
            assert (scope_id, window) in usage
    made = {(scope_id, window) for scope_id, window, _, _ in new[0].detail["limits"]}
    assert made == {key for key, one in usage.items() if one.lim is None or one.lim < 10_000 * USDC}
    assert new[2].detail["denial"] == ["spending_limit", 100 * USDC, 0]
    assert "cells" not in new[2].detail
    assert "limits" not in new[2].detail
    json.dumps([one.detail for one in new])


def test_the_day_starts_again_and_nothing_else_does(authority, clock):
    """A daily reset must not empty the total as well."""
    authority.apply(book(agent(daily_limit=10 * USDC), total=25 * USDC), "test")
    assert authority.request(ask()).state is S.HELD
    assert rule_of(authority.request(ask(amount=1))) == "daily_limit"
    clock.advance(DAY / 2)
    assert authority.request(ask()).state is S.HELD
    clock.advance(DAY)
    denied = authority.request(ask())
    assert denied.denial.message == "Would exceed total budget. Spent: 20.0, Budget: 25.0"


def test_a_clock_that_is_set_back_gives_no_capacity(authority, clock):
    authority.apply(book(agent(daily_limit=10 * USDC)), "test")
    assert authority.request(ask()).state is S.HELD
    clock.advance(DAY)
    assert authority.request(ask()).state is S.HELD
    clock.set_back(DAY)
    assert rule_of(authority.request(ask(amount=1))) == "daily_limit"


def test_a_day_that_comes_back_has_the_limits_of_now(authority, clock):
    authority.apply(book(agent(daily_limit=10 * USDC)), "test")
    assert authority.request(ask()).state is S.HELD
    clock.advance(DAY)
    authority.apply(book(agent(daily_limit=30 * USDC)), "test")
    clock.set_back(DAY)
    assert authority.request(ask(amount=15 * USDC)).state is S.HELD
    assert cell(authority, ScopeKind.AGENT, "ann", Period.DAY) == (0, 25 * USDC, 30 * USDC, 30 * USDC)


def test_a_rolling_day_counts_the_last_24_hours_and_never_less(serve, clock):
    authority = serve()
    authority.apply(book(agent(daily_period=Period.ROLLING_DAY, daily_limit=30 * USDC)), "test")
    fund(authority)
    kind = {"key": "ann", "period": Period.ROLLING_DAY}
    assert authority.request(ask()).state is S.HELD
    clock.advance(6 * 3_600)
    assert authority.request(ask(amount=20 * USDC)).state is S.HELD
    clock.advance(18 * 3_600 - 1)
    assert rule_of(authority.request(ask(amount=1))) == "daily_limit"
    clock.advance(3_600)
    assert rule_of(authority.request(ask(amount=1))) == "daily_limit", "the oldest hour counts in full"
    clock.advance(1)
    assert authority.request(ask(amount=10 * USDC)).state is S.HELD
    assert cell(authority, ScopeKind.AGENT, **kind)[:2] == (0, 30 * USDC)


def test_a_rolling_day_that_a_clock_was_ahead_in_is_full_until_then_and_another_kind_of_day_is_not(serve, clock):
    """What budget/README.md tells operators: nothing is forgotten by it, and nobody has to wait."""
    authority = serve()

    def rules(period):
        one = agent(daily_period=period, requires_approval=None)
        authority.apply(book(one, total=5_000 * USDC), "test")

    rules(Period.ROLLING_DAY)
    fund(authority)
    clock.advance(10 * DAY)
    granted = [authority.request(ask(amount=100 * USDC)).state for _ in range(3)]
    clock.set_back(10 * DAY)
    assert granted == [S.HELD] * 3
    assert rule_of(authority.request(ask(amount=1))) == "daily_limit"
    rules(Period.DAY)
    assert authority.request(ask(amount=100 * USDC)).state is S.HELD
    rules(Period.ROLLING_DAY)
    clock.advance(11 * DAY)
    assert rule_of(authority.request(ask(amount=1))) == "daily_limit"
    clock.advance(3_600)
    assert authority.request(ask(amount=100 * USDC)).state is S.HELD


def test_what_is_charged_while_the_clock_is_set_back_counts_as_long_as_anything_else(serve, clock):
    authority = serve()
    authority.apply(book(agent(daily_period=Period.ROLLING_DAY, daily_limit=30 * USDC)), "test")
    fund(authority)
    assert authority.request(ask()).state is S.HELD
    clock.set_back(30 * 3_600)
    assert authority.request(ask()).state is S.HELD
    clock.advance(30 * 3_600)
    assert rule_of(authority.request(ask(amount=11 * USDC))) == "daily_limit", "the window does not move back"


def test_a_charge_of_nothing_leaves_a_rolling_window_as_it_is_and_the_journal_says_no_more(serve, clock):
    authority = serve()
    authority.apply(book(gas=GasRules(10 * GAS, Period.ROLLING_DAY)), "test")
    fund(authority)
    authority.request(ask())
    clock.advance(26 * 3_600)
    fund(authority, number=2, gas=0)
    assert authority.request(ask()).state is S.HELD
    seals.seal_all(authority.ledger, authority.account)
    assert verify(authority.ledger, authority.account).ok


def test_a_ledger_in_one_token_is_not_opened_for_another(authority, ledger, account):
    """It would take the balance of one for that of the other."""
    with pytest.raises(ConfigError, match="not in 0x"):
        Authority(ledger, account, token="0x" + "77" * 20)


def test_a_rate_counts_requests_and_not_amounts(serve, clock):
    authority = serve()
    authority.apply(book(agent(rate={Period.HOUR: 2})), "test")
    fund(authority)
    assert [authority.request(ask(amount=1)).state for _ in range(2)] == [S.HELD] * 2
    assert authority.request(ask(amount=1)).denial.message == (
        "Would exceed the agent's number of requests. Made: 2, Limit: 2"
    )
    clock.advance(3_600)
    assert authority.request(ask(amount=1)).state is S.HELD


def test_a_request_that_came_to_nothing_counts_in_no_rate(serve):
    """Else fundings that fail use up an agent's day, with nothing bought."""
    authority = serve()
    authority.apply(book(agent(rate={Period.DAY: 1})), "test")
    fund(authority)
    first = authority.request(ask(amount=1))
    assert rule_of(authority.request(ask(amount=1))) == "agent_rate"
    authority.move([Change(first.reservation_id, S.RELEASED, reason="it failed")])
    assert authority.request(ask(amount=1)).state is S.HELD


def test_amounts_up_to_the_largest_are_exact(serve):
    authority = serve()
    authority.apply(
        book(agent(spending_limit=LARGEST, daily_limit=LARGEST, requires_approval=None), total=LARGEST), "t"
    )
    fund(authority, usdc=LARGEST // USDC + 1)
    assert authority.request(ask(amount=LARGEST - 1)).state is S.HELD
    denied = authority.request(ask(amount=2))
    assert denied.denial.used == LARGEST - 1
    assert "9223372036854.775806" in denied.denial.message
    assert authority.request(ask(amount=1)).state is S.HELD
    assert cell(authority, ScopeKind.AGENT, "ann")[1] == LARGEST


def test_with_headroom_every_one_of_many_threads_is_granted_and_none_beyond(serve):
    """False denials are as bad as overspend, and per-process counters bill a budget many times."""
    authority = serve()
    agents = [agent(f"a{number}", daily_limit=40 * USDC) for number in range(4)]
    authority.apply(book(*agents, total=150 * USDC), "test")
    fund(authority)
    granted, denied = [], []

    def spend(name):
        for _ in range(5):
            answer = authority.request(ask(name))
            (granted if answer.state is S.HELD else denied).append(answer)

    threads = [threading.Thread(target=spend, args=(one.id,)) for one in agents]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert len(granted) == 15
    assert len(denied) == 5
    assert total(authority) == (0, 150 * USDC)
    assert TOKEN not in str(denied)
