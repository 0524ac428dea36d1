"""The ledger's gauges are what the ledger says, in a fixed number of queries and of lines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from sqlalchemy import event

from actp.engine.store import Store, StoreError
from actp.testing import FakeClock
from coordinator import measures
from coordinator.budget.rulebook import CategoryRules
from coordinator.budget.rules import GasRules
from coordinator.budget.words import Period, Scope, ScopeKind
from coordinator.measures import MOST_SCOPES, OTHER, ScopeUse, budget_readings
from coordinator.metrics.ledger import LedgerReadings
from coordinator.store import alerts, pauses, reconciliations
from coordinator.store.alerts import AlertKind, Draft
from coordinator.store.reconciliations import Reconciliation
from coordinator.types import BlockRef
from tests.coordinator.metrics.support import by_name
from tests.coordinator.worker.support import USDC, Firm, agent, book

WEI = 10**18


def gauges(firm: Firm):
    return by_name(LedgerReadings(firm.ledger, firm.key)())


@contextmanager
def counting(store: Store) -> Iterator[list[str]]:
    """The statements that are run within it."""
    found: list[str] = []

    def note(connection, cursor, statement, *rest):
        found.append(statement)

    event.listen(store.engine, "before_cursor_execute", note)
    yield found
    event.remove(store.engine, "before_cursor_execute", note)


def test_a_purchase_on_its_way_shows_in_every_gauge_that_it_touches(firm: Firm):
    show_a_purchase(firm)


@pytest.mark.slow
def test_it_does_so_over_each_kind_of_database(anywhere: Firm):
    show_a_purchase(anywhere)


def show_a_purchase(firm: Firm) -> None:
    firm.authority.apply(
        replace(book(), gas=GasRules(WEI // 10), categories={"data": CategoryRules(300 * USDC)}), "test"
    )
    worker = firm.worker()
    worker.look()
    firm.request(10 * USDC)
    firm.request(60 * USDC, who="bob")  # waits for a yes
    shown = gauges(firm)
    assert shown["actp_store_up",] == 1
    assert shown["actp_budget_remaining_usd", "total"] == 1_930
    assert shown["actp_budget_reserved_usd", "total"] == 70
    assert shown["actp_budget_remaining_usd", "agent:ann/day"] == 1_990
    assert shown["actp_budget_reserved_usd", "agent:bob"] == 60
    assert ("actp_budget_remaining_usd", "agent:bob") not in shown  # nothing limits it
    assert shown["actp_budget_remaining_usd", "category:data"] == 230
    assert shown["actp_treasury_balance_usd",] == 1_000
    assert shown["actp_treasury_promised_usd",] == 70
    assert shown["actp_treasury_balance_eth",] > 1
    assert 0 < shown["actp_gas_budget_reserved_eth",] < 0.1
    assert shown["actp_gas_budget_remaining_eth",] + shown["actp_gas_budget_reserved_eth",] == pytest.approx(0.1)
    assert (shown["actp_requests", "held"], shown["actp_requests", "pending_approval"]) == (1, 1)
    assert shown["actp_requests", "on_chain"] == 0
    assert shown["actp_approvals_waiting", "request"] == 1
    assert shown["actp_approvals_waiting", "operation"] == 0
    assert ("actp_ledger_drift_usd",) not in shown  # nobody has compared yet
    firm.rounds(worker)
    shown = gauges(firm)
    assert shown["actp_budget_reserved_usd", "total"] == 60
    assert shown["actp_requests", "held"] == 0
    assert shown["actp_treasury_balance_usd",] == 990
    assert shown["actp_ledger_drift_usd",] == 0
    assert shown["actp_treasury_observed_timestamp_seconds",] == pytest.approx(firm.ledger.now(), abs=60)


def test_limits_that_nothing_was_charged_to_today_are_shown_in_full(firm: Firm):
    shown = gauges(firm)
    assert shown["actp_budget_remaining_usd", "agent:bob/day"] == 2_000
    assert shown["actp_budget_reserved_usd", "agent:bob/day"] == 0


@pytest.mark.slow
def test_what_was_spent_yesterday_leaves_today_alone(chain, faulty, deployed, accounts, clock: FakeClock):
    from actp.engine.store import open_store

    store = open_store("sqlite://", clock=clock)
    firm = Firm(chain, faulty, deployed, accounts[1], store)
    rolling = agent("bob", daily_period=Period.ROLLING_DAY)
    firm.authority.apply(book(2_000 * USDC, agent("ann"), rolling), "test")
    firm.worker().look()
    for who in ("ann", "bob"):
        firm.request(100 * USDC, who=who)
    shown = gauges(firm)
    assert shown["actp_budget_remaining_usd", "agent:ann/day"] == 1_900
    assert shown["actp_budget_remaining_usd", "agent:bob/rolling_day"] == 1_900
    clock.advance(26 * 3600)
    shown = gauges(firm)
    assert shown["actp_budget_remaining_usd", "agent:ann/day"] == 2_000
    assert shown["actp_budget_remaining_usd", "agent:bob/rolling_day"] == 2_000
    assert shown["actp_budget_remaining_usd", "total"] == 1_800
    store.close()


def test_answers_pauses_freezes_and_alerts_are_counted(firm: Firm):
    firm.worker().look()
    yes, no = (firm.request(60 * USDC, who="bob") for _ in range(2))
    firm.authority.approve(yes.approval_id)
    firm.authority.reject(no.approval_id)
    firm.authority.freeze(Scope(ScopeKind.TOTAL, "", Period.EVER, firm.usdc), "a look")
    now = firm.ledger.now()
    with firm.ledger.write() as connection:
        pauses.add(connection, firm.key, None, by="boss", reason="stop", now=now)
        pauses.add(connection, firm.key, "ann", by="boss", reason="stop", now=now)
        pauses.add(connection, firm.key, "bob", by="boss", reason="stop", now=now)
        alerts.add(connection, firm.key, [Draft(AlertKind.DRIFT, "1", "drift", "drift")], now)
        found = Reconciliation(BlockRef(1, "0x" + "01" * 32), {}, {}, -3_500_000, "frozen")
        reconciliations.add(connection, firm.key, found, now)
    shown = gauges(firm)
    assert shown["actp_approvals_answered", "request", "approved"] == 1
    assert shown["actp_approvals_answered", "request", "rejected"] == 1
    assert shown["actp_approvals_answered", "request", "expired"] == 0
    assert (shown["actp_pauses", "treasury"], shown["actp_pauses", "agent"]) == (1, 2)
    assert shown["actp_frozen_scopes",] == 1
    assert (shown["actp_alerts", "waiting"], shown["actp_alerts", "dead"]) == (1, 0)
    assert shown["actp_ledger_drift_usd",] == -3.5


def test_operations_and_the_engines_rows_are_counted_by_how_far_they_are(firm: Firm, faulty):
    lifecycle = firm.lifecycle()
    firm.pay(lifecycle)
    assert gauges(firm)["actp_operations", "pending"] == 1
    lifecycle.decide()
    shown = gauges(firm)
    assert (shown["actp_operations", "pending"], shown["actp_operations", "signing"]) == (0, 1)
    assert (shown["actp_engine_intents", "queued"], shown["actp_engine_intents", "open"]) == (1, 0)
    firm.done(lifecycle, firm.operations()[0])
    shown = gauges(firm)
    assert sum(value for name, value in shown.items() if name[0] in ("actp_operations", "actp_engine_intents")) == 0


def test_a_ledger_that_cannot_be_read_is_a_gauge_and_no_error(firm: Firm, monkeypatch):
    readings = LedgerReadings(firm.ledger, firm.key, kept_seconds=0)

    def broken():
        raise StoreError("the disk is gone")

    monkeypatch.setattr(firm.ledger, "snapshot", broken)
    assert by_name(readings()) == {("actp_store_up",): 0}
    monkeypatch.undo()
    assert by_name(readings())["actp_store_up",] == 1


def test_whoever_asks_how_often_the_ledger_is_read_once_in_a_while(firm: Firm):
    now = [0.0]
    readings = LedgerReadings(firm.ledger, firm.key, clock=lambda: now[0])
    with counting(firm.store) as statements:
        first = readings()
        asked = len(statements)
        now[0] = 4.9
        assert readings() is first
        assert len(statements) == asked
        now[0] = 5.0
        assert readings() is not first


@pytest.mark.slow
def test_the_number_of_queries_does_not_depend_on_how_much_there_is(anywhere: Firm):
    firm = anywhere
    firm.worker().look()
    numbers = []
    for _ in range(3):
        readings = LedgerReadings(firm.ledger, firm.key)
        readings()  # reads the rules once
        readings._kept_until = 0.0
        with counting(firm.store) as statements:
            readings()
        numbers.append(len(statements))
        for index in range(20):
            firm.request(1 * USDC, who="ann" if index % 2 else "bob")
    assert numbers[0] == numbers[1] == numbers[2] <= 20


class TestManyScopes:
    def test_those_used_most_have_a_line_each_and_all_others_share_one(self):
        used = [ScopeUse(f"agent:{index:03}", 100, 0, index) for index in range(1, 201)]
        shown = by_name(budget_readings(used))
        lines = [scope for name, scope in shown if name == "actp_budget_reserved_usd"]
        assert len(lines) == MOST_SCOPES + 1
        assert ("actp_budget_reserved_usd", "agent:200") in shown
        assert ("actp_budget_reserved_usd", "agent:150") not in shown
        assert shown["actp_budget_reserved_usd", OTHER] == sum(range(1, 151)) / 1e6
        assert shown["actp_budget_remaining_usd", OTHER] == sum(100 - index for index in range(1, 151)) / 1e6

    def test_a_scope_without_a_limit_has_nothing_left_to_tell(self):
        shown = by_name(budget_readings([ScopeUse("free", None, 5, 2)]))
        assert shown == {("actp_budget_reserved_usd", "free"): 2e-6}

    def test_an_overrun_shows_below_zero(self):
        shown = by_name(budget_readings([ScopeUse("dear", 5, 7, 0)]))
        assert shown["actp_budget_remaining_usd", "dear"] == -2e-6

    @pytest.mark.slow
    def test_a_ledger_with_many_agents_adds_up_to_the_same(self, firm: Firm):
        names = [f"a{index:03}" for index in range(80)]
        firm.authority.apply(book(20_000 * USDC, *(agent(name) for name in names)), "test")
        firm.worker().look()
        for index, name in enumerate(names):
            firm.request((index % 3 + 1) * USDC, who=name)
        shown = gauges(firm)
        agents = [value for (name, *scope), value in shown.items() if name == "actp_budget_reserved_usd"]
        assert len(agents) == MOST_SCOPES + 1
        # Each amount is reserved in the total, the category, and twice for its agent.
        asked = sum(index % 3 + 1 for index in range(80))
        assert sum(agents) == pytest.approx(4 * asked)
        assert shown["actp_budget_reserved_usd", "total"] == asked
        # 80 daily limits and the total remain, less what is asked for in each.
        remaining = sum(value for (name, *_), value in shown.items() if name == "actp_budget_remaining_usd")
        assert remaining == pytest.approx(80 * 2_000 + 20_000 - 2 * asked)


def test_every_gauge_of_the_ledger_is_one_of_the_list(firm: Firm):
    assert {one.gauge for one in LedgerReadings(firm.ledger, firm.key)()} <= set(measures.ALL)
