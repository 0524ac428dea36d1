"""Every entry of the journal says in a sentence what happened."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from coordinator.authority import Change
from coordinator.authority.deciding import EVENTS
from coordinator.budget.words import ReservationState
from coordinator.commands._narrating import _SAYS, sentence
from coordinator.store.journal import Entry
from coordinator.types import ETH
from tests.coordinator.authority.support import GAS, TOKEN, USDC, fund

ROOT = Path(__file__).resolve().parents[3]
S = ReservationState
OF_CODE = re.compile(r'(?:journal\.Entry|Step)\(\s*(?:Stage\.\w+, )?"(\w+)"')


def test_there_is_a_sentence_for_every_event_that_the_code_writes():
    """Else a list shows bare words that mean something to whoever wrote the code."""
    written = {name for one in (ROOT / "coordinator").rglob("*.py") for name in OF_CODE.findall(one.read_text())}
    assert {"observed", "voted", "frozen", "confirmed"} <= written
    changes = {state.value for state in (S.SUBMITTING, S.ON_CHAIN, S.HELD, S.COMMITTED, S.RELEASED, S.EXPIRED)}
    assert (written | changes | set(EVENTS.values()) | {"returned", "noted"}) - _SAYS.keys() == {"observed"}


def test_the_history_of_a_request_says_who_did_what(shop, run):
    answer = shop.ask(80)
    with shop.authority() as authority:
        fund(authority, usdc=900, ether=4, number=7)
        authority.approve(answer.approval_id, "ada", "fine")
        number = answer.reservation_id
        for change in (
            Change(number, S.HELD, operation_id=12),
            Change(number, S.SUBMITTING),
            Change(number, S.ON_CHAIN),
            Change(number, S.COMMITTED, gas_actual=GAS),
            Change(number, S.COMMITTED, returned=30 * USDC),
            Change(number, S.COMMITTED, settled=True),
        ):
            authority.move([change])
    said = [one["says"] for one in run("journal", "list", "--json").lines][-8:]
    assert said[0] == "the worker saw block 7: 900.00 USDC and 4.0 ETH in the treasury"
    assert said[1:] == [
        "ada said yes: fine, and it was decided again",
        "the worker noted: is carried out by operation 12",
        "what pays for it is signed, and only the chain can end it",
        "it lies in escrow",
        "80.00 USDC are spent for good, with a fee of 0.001 ETH",
        "30.00 USDC came back in all",
        "the worker noted: nothing more will come back of it",
    ]
    table = run("journal", "list").out
    assert "noted" in table
    assert "is carried out by operation 12" in table
    shown = run("requests", "show", number)
    assert "  somebody has to approve 80.00 USDC for data, by rules of version 1 (pending_approval)\n" in shown.out
    assert "  it lies in escrow (submitting -> on_chain)\n" in shown.out


@pytest.mark.parametrize("event", ["observed", "something_new", *_SAYS])
def test_an_entry_that_says_little_is_no_trouble(event):
    assert sentence(Entry(event, "ann"), {}) != ""


def test_a_denial_says_which_limit_and_what_is_used_of_it(shop, run):
    for amount in (50, 50, 50, 50, 50, 50, 1):
        shop.ask(amount)
    shop.ask(500)
    *_, daily, large = [one["says"] for one in run("journal", "list", "--json").lines]
    assert daily.endswith(
        "denied 1.00 USDC for data, by rules of version 1: Would exceed daily limit. Spent: 300.0, Limit: 300.0"
    )
    assert large.endswith(": spending_limit")
    shown = run("requests", "show", 8).out.splitlines()[-1]
    assert shown.split("  ")[-1] == "denied 500.00 USDC for data, by rules of version 1: spending_limit"
    assert shown.count("denied") == 1


def test_what_was_paid_for_is_said_with_the_block_that_shows_it():
    detail = {
        "block": [9, "0x"],
        "reservations": [3, 4],
        "limits": [[1, 0, 5 * USDC, 9], [2, 0, 10**18, 9], [5, 0, 1, 1]],
    }
    said = sentence(Entry("observed", "", detail=detail), {1: TOKEN, 2: ETH})
    assert said == "the worker saw block 9: 5.00 USDC and 1.0 ETH in the treasury, what it paid for requests 3, 4"
