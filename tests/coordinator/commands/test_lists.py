"""What commands show of requests, operations, budgets and the journal."""

from __future__ import annotations

import json

import pytest

from coordinator.store.schema import journal
from tests.coordinator.authority.support import USDC


def test_requests_are_filtered_by_agent_state_category_and_time(shop, run):
    shop.ask(10, category="data")
    shop.ask(20, category="compute")
    shop.ask(500, category="data")
    shop.ask(30, agent="boss", category="")

    def ids(*filters):
        return [one["id"] for one in run("requests", "list", "--json", *filters).lines]

    assert ids() == [4, 3, 2, 1]
    assert ids("--agent", "boss") == [4]
    assert ids("--state", "denied") == [3]
    assert ids("--state", "denied", "--state", "held", "--category", "data") == [3, 1]
    assert ids("--category", "") == [4]
    assert ids("--since", "1h", "--limit", "2") == [4, 3]
    assert ids("--since", "2100-01-01") == []
    table = run("requests", "list").out.splitlines()
    assert table[0].split()[:2] == ["id", "asked"]
    assert "spending_limit: Amount 500.0 exceeds per-tx limit 100.0" in table[2]


def test_what_named_no_category_is_other_wherever_it_is_read(shop, run):
    """It has many spellings otherwise, and what a list shows cannot be asked for."""
    none = shop.ask(10, category="", purpose="papers")
    asked = shop.ask(80, category="", purpose="papers")
    shop.ask(10)
    numbers = [asked.reservation_id, none.reservation_id]
    for category in ("other", ""):
        found = run("requests", "list", "--category", category, "--json").lines
        assert [one["id"] for one in found] == numbers
    assert run("requests", "list", "--category", "other").out.count("  other  ") == 2
    for command in (["requests", "show", asked.reservation_id], ["approvals", "show", asked.approval_id]):
        (line,) = [one for one in run(*command).out.splitlines() if one.startswith("category")]
        assert line.split() == ["category", "other"]
    assert "other: papers" in run("approvals", "list").out
    assert run("report", "--json").json["pending_approvals"][0]["category"] == "other"


@pytest.mark.parametrize("text", ["yesterday", "5", "2026-13-01", "7y", ""])
def test_a_time_that_is_none_is_refused_with_how_to_write_one(run, text):
    said = run("requests", "list", "--since", text)
    assert said.code == 2
    assert "is no time: write 2026-11-21" in said.err


def test_a_request_is_shown_by_number_and_by_transaction(shop, run):
    answer = shop.ask(80, purpose="papers on X")
    run("approvals", "approve", answer.approval_id, "--by", "zoe", "--reason", "fine")
    by_number = run("requests", "show", answer.reservation_id)
    assert by_number.out == run("requests", "show", answer.transaction_id.upper().replace("0X", "0x")).out
    assert "papers on X" in by_number.out
    assert "zoe" in by_number.out
    shown = run("requests", "show", answer.reservation_id, "--json").json
    assert shown["amount"] == 80 * USDC
    assert next(one["event"] for one in shown["history"]) == "approval_wanted"
    assert shown["votes"][0]["reason"] == "fine"


@pytest.mark.parametrize("name", ["99", "0", "-1", "x", "0x" + "00" * 32, "9" * 40])
def test_a_request_that_is_not_there_is_named(run, name):
    said = run("requests", "show", "--", name)
    assert said.code == 2
    assert "Traceback" not in said.err
    assert said.out == ""


def test_what_others_have_named_cannot_move_the_cursor(shop, run):
    shop.ask(80, purpose="\x1b[2Jgone\nand a second line")
    for command in (("approvals", "list"), ("requests", "show", 1), ("requests", "list")):
        assert "\x1b" not in run(*command).out
    assert len(run("approvals", "list").out.splitlines()) == 2


def test_operations_are_listed_and_shown(shop, run):
    number = shop.operation_that_waits()
    assert "approval_gate  It is large." in run("operations", "list").out
    assert run("operations", "list", "--stage", "confirmed").err == "No operations.\n"
    shown = run("operations", "show", number)
    assert "asked: amount" in shown.out
    assert "approval       waiting, until" in shown.out
    assert run("operations", "show", number, "--json").json["approval"]["state"] == "waiting"
    assert run("operations", "show", 99).code == 2


@pytest.mark.slow
def test_the_report_is_a_table_json_csv_or_a_picture(shop, run, tmp_path):
    shop.ask(10, category="data")
    assert "10.00 of 300.00 per day" in run("report").out
    assert run("report", "--json").json["reserved"] == 10 * USDC
    assert run("report", "--format", "csv").out.startswith("kind,name,period")
    assert ",ann,10.0" in run("report", "--over-time", "--format", "csv").out
    picture = tmp_path / "spent.svg"
    said = run("report", "--picture", picture, "--json")
    assert json.loads(said.out)
    assert "<svg" in picture.read_text()
    assert run("report", "--picture", tmp_path / "spent.bmp").code == 2


def test_the_journal_is_listed_from_its_end_or_from_an_entry_on(shop, run):
    answers = [shop.ask(1) for _ in range(3)]
    every = run("journal", "list", "--json").lines
    assert [one["event"] for one in run("journal", "list", "--limit", "2", "--json").lines] == ["granted", "granted"]
    assert run("journal", "list", "--after", every[0]["seq"], "--limit", "1", "--json").lines == every[1:2]
    (entry,) = run("journal", "list", "--request", answers[0].reservation_id, "--json").lines
    assert entry["after"] == "held"
    assert "request 1  granted" in run("journal", "list").out


def test_a_journal_that_was_changed_does_not_verify_and_says_where(shop, run):
    shop.ask(1)
    first = run("journal", "verify", "--seal")
    assert first.code == 0
    assert first.out.startswith("Verified: ")
    kept = first.out.split("It ends with ")[1].split(";")[0]
    assert run("journal", "verify", "--known", kept).code == 0
    assert run("journal", "verify", "--known", kept[:-1] + ("0" if kept[-1] != "0" else "1")).code == 1
    with shop.ledger() as ledger, ledger.write() as connection:
        connection.execute(journal.update().where(journal.c.event == "granted").values(agent="bob"))
    said = run("journal", "verify")
    assert said.code == 1
    assert "WRONG  changed: number" in said.out
    assert not run("journal", "verify", "--json").json["ok"]


def test_a_purpose_is_erased_once_and_the_journal_still_verifies(shop, run):
    answer = shop.ask(1, purpose="something private")
    assert run("journal", "erase", answer.reservation_id, "--by", "ada").code == 0
    assert "something private" not in run("requests", "show", answer.reservation_id).out
    assert run("journal", "verify", "--seal").code == 0
    again = run("journal", "erase", answer.reservation_id)
    assert again.code == 2
    assert "nothing to erase" in again.err
    assert run("journal", "erase", 99).code == 2


def test_an_argument_that_is_no_text_is_said(run):
    for command in (("requests", "list", "--agent", "\udcff"), ("pause", "\udcff"), ("approvals", "show", "\udcff")):
        said = run(*command)
        assert (said.code, said.out) == (2, "")
        assert "bytes that are no text" in said.err
