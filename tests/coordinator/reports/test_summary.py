"""A report's numbers: from cells, so that they are the same as those that decide."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest
from sqlalchemy import event

from coordinator.authority.observing import observe
from coordinator.budget.rulebook import AgentRules, CategoryRules, GasRules, RuleBook
from coordinator.budget.words import Period, ReservationState, ScopeKind
from coordinator.reports import report
from coordinator.reports.files import summary_csv, summary_json
from coordinator.reports.summary import Gas, Line, Window
from coordinator.reports.tables import print_summary
from coordinator.store import asks, losses, pauses, scopes
from coordinator.store.accounts import Account
from coordinator.types import ETH, BlockRef
from tests.coordinator.journal.spending import TOKEN, charge, end, spend

S = ReservationState
USDC = 1_000_000
BOOK = RuleBook(
    total_budget=1000 * USDC,
    agents={
        "ann": AgentRules("ann", "Ann", "0x" + "aa" * 20, 100 * USDC, 300 * USDC, 50 * USDC),
        "bob": AgentRules("bob", "Bob", "0x" + "bb" * 20, 100 * USDC, 200 * USDC, 50 * USDC, budget=400 * USDC),
    },
    categories={"data": CategoryRules(300 * USDC), "other": CategoryRules(100 * USDC)},
)
TODAY = 1_699_920_000


def buy(ledger, account, agent, amount, category="data", **given):
    """What the rules above charge for a request."""
    return spend(
        ledger,
        account,
        amount * USDC,
        charge(300 * USDC, key=agent),
        charge(None, key=agent, period=Period.EVER),
        charge(300 * USDC, kind=ScopeKind.CATEGORY, key=category, period=Period.EVER),
        charge(1000 * USDC, kind=ScopeKind.TOTAL, key="", period=Period.EVER),
        agent=agent,
        category=category,
        rulebook=1,
        **given,
    )


@pytest.fixture
def busy(ledger, account, enact):
    """Everything that there is: spent, on chain, reserved, returned, released, waiting, denied."""
    enact(BOOK)
    end(ledger, account, buy(ledger, account, "ann", 30))
    end(ledger, account, buy(ledger, account, "ann", 20), S.ON_CHAIN)
    returned = buy(ledger, account, "bob", 40, "")
    end(ledger, account, returned)
    end(ledger, account, returned, returned=15 * USDC)
    end(ledger, account, buy(ledger, account, "bob", 60), S.RELEASED)
    buy(ledger, account, "ann", 10, "other")
    waiting = buy(ledger, account, "bob", 70, approvals=1)
    assert buy(ledger, account, "ann", 290).denial is not None
    return waiting


def test_a_report_tells_what_is_spent_reserved_and_left(ledger, account, busy):
    found = report(ledger, account)
    assert (found.total_budget, found.spent, found.reserved, found.remaining) == (
        1000 * USDC,
        (30 + 20 + 25) * USDC,
        (10 + 70) * USDC,
        (1000 - 75 - 80) * USDC,
    )
    assert found.token == TOKEN


def test_each_agent_has_its_part_and_its_limits(ledger, account, busy):
    ann, bob = report(ledger, account).agents
    assert ann == Line("ann", 50 * USDC, 10 * USDC, None, (Window(Period.DAY, TODAY, 60 * USDC, 300 * USDC),))
    assert bob == Line("bob", 25 * USDC, 70 * USDC, 400 * USDC, (Window(Period.DAY, TODAY, 95 * USDC, 200 * USDC),))


def test_what_named_no_category_is_other(ledger, account, busy):
    data, other = report(ledger, account).categories
    assert data == Line("data", 50 * USDC, 70 * USDC, 300 * USDC)
    assert other == Line("other", 25 * USDC, 10 * USDC, 100 * USDC)


def test_the_parts_are_the_whole(ledger, account, busy):
    found = report(ledger, account)
    for lines in (found.agents, found.categories):
        assert sum(one.spent for one in lines) == found.spent
        assert sum(one.reserved for one in lines) == found.reserved


def test_gas_is_told_apart_from_usdc_with_what_is_held_spent_and_left_of_its_budget(ledger, account, enact):
    """Else a treasury that runs out of ETH, and its budget of gas, are seen nowhere."""
    enact(replace(BOOK, gas=GasRules(10**17, Period.MONTH)))
    wei = 12 * 10**18 + 7  # more than a database's whole number has room for
    gas = charge(10**17, kind=ScopeKind.GAS, key="", period=Period.MONTH, unit=ETH, amount=3 * 10**15)
    total = charge(1000 * USDC, kind=ScopeKind.TOTAL, key="", period=Period.EVER)
    spend(ledger, account, 10 * USDC, total, gas, rulebook=1)
    with ledger.write() as connection:
        block = BlockRef(1, "0x" + "01" * 32)
        observe(
            connection,
            account,
            token_balance=USDC,
            eth_balance=5 * 10**18,
            block=block,
            gas_estimate=1,
            now=ledger.now(),
        )
        half = [
            losses.Loss(losses.GAS, f"0x{number}", number, ETH, part)
            for number, part in ((1, wei // 2), (2, wei - wei // 2))
        ]
        losses.add(connection, account, [*half, losses.Loss(losses.BOND, "0x3", 3, TOKEN, 1)], ledger.now())
    found = report(ledger, account)
    month = Window(Period.MONTH, 1_698_796_800, 3 * 10**15, 10**17)
    assert found.gas == Gas(5 * 10**18, 0, wei, month)
    assert (found.spent, found.reserved) == (0, 10 * USDC)
    shown = json.loads(summary_json(found))["gas_wei"]
    assert (shown["balance"], shown["spent"], shown["window"]["limit"]) == (str(5 * 10**18), str(wei), str(10**17))
    rows = [row for row in csv.DictReader(io.StringIO(summary_csv(found))) if row["unit"] == "ETH"]
    assert [(row["period"], row["limit"], row["spent"], row["used"]) for row in rows] == [
        ("ever", "", "12.000000000000000007", ""),
        ("month", "0.1", "", "0.003"),
    ]
    out = io.StringIO()
    print_summary(found, out)
    for words in ("Gas in ETH", "12.000000000000000007", "0.003 of 0.1 per month"):
        assert words in out.getvalue()


def test_what_waits_shows_how_many_of_the_yeses_it_has(ledger, account, enact):
    """Else nobody sees whose turn it is."""
    enact(BOOK)
    answer = buy(ledger, account, "bob", 70, approvals=2)
    with ledger.write() as connection:
        for name, yes in (("ada", True), ("eve", False)):
            asks.vote(connection, asks.Vote(answer.reservation_id, name, yes, "", ledger.now()))
    found = report(ledger, account)
    (one,) = found.waiting
    assert (one.yes, one.required) == (1, 2)
    out = io.StringIO()
    print_summary(found, out)
    assert "1 of 2" in out.getvalue()
    assert json.loads(summary_json(found))["pending_approvals"][0]["yes"] == 1


def test_what_waits_for_approval_is_listed_until_it_expires(ledger, account, busy, clock):
    (one,) = report(ledger, account).waiting
    assert (one.approval_id, one.agent, one.amount, one.required) == (busy.approval_id, "bob", 70 * USDC, 1)
    buy(ledger, account, "bob", 1, "", approvals=1)
    assert [one.category for one in report(ledger, account).waiting] == ["data", "other"], "where none was named"
    clock.advance(3601)
    assert report(ledger, account).waiting == ()


def test_a_frozen_budget_is_shown_with_its_reason(ledger, account, busy):
    with ledger.write() as connection:
        (row,) = [one for one in scopes.listed(connection, account) if one.scope.kind is ScopeKind.TOTAL]
        scopes.freeze(connection, [row.id], "drift")
    (one,) = report(ledger, account).frozen
    assert (one.scope.kind, one.reason) == (ScopeKind.TOTAL, "drift")


def test_a_stop_is_the_first_thing_that_a_report_says(ledger, account, busy):
    with ledger.write() as connection:
        pauses.add(connection, account, None, by="olga", reason="emergency stop", now=ledger.now())
        pauses.add(connection, account, "ann", by="olga", reason="look", now=ledger.now())
    found = report(ledger, account)
    assert [(one.agent, one.by, one.reason) for one in found.paused] == [
        (None, "olga", "emergency stop"),
        ("ann", "olga", "look"),
    ]
    out = io.StringIO()
    print_summary(found, out)
    text = out.getvalue()
    assert text.index("everything") < text.index("agent ann") < text.index("Agents")
    assert [one["agent"] for one in json.loads(summary_json(found))["paused"]] == [None, "ann"]


def test_a_new_day_starts_the_window_again_and_keeps_what_was_ever_spent(ledger, account, busy, clock):
    clock.advance(86_400)
    ann = report(ledger, account).agents[0]
    assert ann.spent == 50 * USDC
    assert ann.windows == (Window(Period.DAY, TODAY + 86_400, 0, 300 * USDC),)


def test_an_agent_that_was_removed_has_spent_what_it_has_spent(ledger, account, busy, enact):
    enact(RuleBook(total_budget=10 * USDC, agents={"bob": BOOK.agents["bob"]}, categories={}), version=2)
    found = report(ledger, account)
    assert [one.name for one in found.agents] == ["ann", "bob"]
    assert found.agents[0].windows == ()
    assert found.remaining is not None
    assert found.remaining < 0


def test_a_treasury_that_nobody_knows_has_an_empty_report(ledger):
    found = report(ledger, Account(1, "0x" + "99" * 20))
    assert (found.token, found.total_budget, found.remaining, found.agents) == (None, None, None, ())
    out = io.StringIO()
    print_summary(found, out)
    assert "none" in out.getvalue()
    assert json.loads(summary_json(found))["agents"] == []
    assert len(summary_csv(found).splitlines()) == 2


def test_agents_that_have_spent_nothing_are_there(ledger, account, enact):
    enact(BOOK)
    found = report(ledger, account)
    assert [(one.name, one.spent) for one in found.agents] == [("ann", 0), ("bob", 0)]


def test_a_report_reads_no_more_rows_when_more_was_asked_for_in_the_past(ledger, account, busy):
    fetched = []

    def count(connection, cursor, statement, parameters, context, executemany):
        fetched.append(statement)

    event.listen(ledger.store.engine, "before_cursor_execute", count)
    report(ledger, account)
    event.remove(ledger.store.engine, "before_cursor_execute", count)
    about = [one for one in fetched if "FROM co_reservations" in one]
    assert len(about) == 2
    assert all("state = " in one or "co_reservations.id " in one for one in about), "the open ones, by an index"
    assert not any("co_journal" in one for one in fetched)


def test_json_has_base_units_and_says_everything(ledger, account, busy):
    content = json.loads(summary_json(report(ledger, account)))
    assert content["total_budget"] == 1000 * USDC
    assert content["total_spent"] == 75 * USDC
    assert content["agents"][1]["windows"] == [
        {"period": "day", "since": TODAY, "used": 95 * USDC, "limit": 200 * USDC}
    ]
    assert content["pending_approvals"][0]["approval_id"] == busy.approval_id


def test_csv_has_a_row_for_each_budget(ledger, account, busy):
    rows = list(csv.DictReader(io.StringIO(summary_csv(report(ledger, account)))))
    assert [row["kind"] for row in rows] == [
        "total", "agent", "agent", "agent", "agent", "category", "category", "approval", "gas",
    ]  # fmt: skip
    assert [row["unit"] for row in rows] == ["USDC"] * 8 + ["ETH"]
    assert (rows[0]["limit"], rows[0]["spent"], rows[0]["reserved"]) == ("1000.0", "75.0", "80.0")
    assert (rows[2]["name"], rows[2]["period"], rows[2]["since"], rows[2]["used"]) == (
        "ann", "day", "2023-11-14T00:00:00Z", "60.0",
    )  # fmt: skip


HOSTILE = ["=HYPERLINK(1)", "[red]ann[/red]", "a\x1b[31mb", "x" * 180, "研究", 'quo"te,comma']


def test_hostile_names_neither_become_formulas_nor_colours_nor_break_a_row(ledger, account, enact):
    agents = {name: AgentRules(name, "x", "0x" + "aa" * 20, 1, 1, 1) for name in HOSTILE}
    enact(RuleBook(total_budget=1, agents=agents, categories={}))
    found = report(ledger, account)
    rows = list(csv.DictReader(io.StringIO(summary_csv(found))))
    assert {row["name"] for row in rows if row["period"] == "ever"} == {"", "'=HYPERLINK(1)", *HOSTILE[1:]}
    out = io.StringIO()
    print_summary(found, out)
    text = out.getvalue()
    assert "\x1b" not in text
    assert "[red]ann[/red]" in text
    assert text.count("x") >= 180, "a long name is folded, not cut"
    assert max(map(len, text.splitlines())) <= 120


def test_the_table_says_it_all_in_plain_text(ledger, account, busy):
    out = io.StringIO()
    print_summary(report(ledger, account), out)
    text = out.getvalue()
    for words in ("1,000.00", "75.00", "845.00", "60.00 of 300.00 per day", busy.approval_id, "Categories"):
        assert words in text
    assert text.isascii()


def test_a_hundred_agents_fit(ledger, account, enact):
    names = [f"agent-{index:03}" for index in range(100)]
    agents = {name: AgentRules(name, name, "0x" + "aa" * 20, USDC, USDC, USDC) for name in names}
    enact(RuleBook(total_budget=USDC, agents=agents, categories={}))
    out = io.StringIO()
    print_summary(report(ledger, account), out)
    assert all(name in out.getvalue() for name in names)
