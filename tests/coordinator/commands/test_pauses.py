"""Pauses, the emergency stop, and frozen budgets."""

from __future__ import annotations

import pytest

from coordinator.budget.words import Period, Scope, ScopeKind
from coordinator.store import wallets
from coordinator.store.accounts import Account
from tests.coordinator.authority.support import TOKEN


def test_a_paused_agent_is_denied_until_it_is_resumed_and_others_are_not(shop, run):
    assert run("pause", "ann", "--by", "ada", "--reason", "look first").code == 0
    assert run("pause", "ann").out == "ann was paused already.\n"
    assert "look first" in shop.ask(1).denial.message
    assert shop.ask(1, agent="boss").denial is None
    assert "ada" in run("agents", "show", "ann").out
    assert run("resume", "ann").code == 0
    assert shop.ask(1).denial is None


def test_all_of_a_treasury_is_paused_and_resumed_but_not_who_was_paused_alone(shop, run):
    run("pause", "ann")
    assert run("pause", "--all").code == 0
    assert shop.ask(1, agent="boss").denial.rule == "paused"
    said = run("resume", "--all")
    assert said.code == 0
    assert "ann is still paused" in said.err
    assert shop.ask(1, agent="boss").denial is None
    assert shop.ask(1).denial.rule == "paused"


def test_the_stop_stops_every_treasury_of_the_store_and_an_approval_too(shop, run):
    waiting = shop.ask(80)
    other = Account(8453, "0x" + "77" * 20)
    with shop.ledger() as ledger, ledger.write() as connection:
        wallets.require(connection, other)
    said = run("stop")
    assert said.code == 0
    assert said.out.count("is stopped") == 2
    assert run("stop").out.count("was stopped already") == 2
    assert run("approvals", "approve", waiting.approval_id, "--chain-id", 31337).code == 3
    resumed = run("resume", "--all")  # the one that has a budget
    assert resumed.code == 0
    assert f"{other.wallet} on chain 8453 is still stopped" in resumed.err
    assert run("approvals", "approve", waiting.approval_id, "--chain-id", 31337).code == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["pause", "anne"], "There is no agent anne"),
        (["pause"], "one of the arguments"),
        (["pause", "ann", "--all"], "not allowed"),
        (["resume", "ann"], "ann is not paused. Nobody is paused."),
        (["resume", "--all"], "Not everything is paused"),
        (["resume", "--frozen"], "No budget is frozen"),
    ],
)
def test_what_cannot_be_paused_or_resumed_is_said(run, arguments, says):
    said = run(*arguments)
    assert said.code == 2
    assert says in said.err


def test_a_frozen_budget_is_shown_and_charged_again_when_somebody_says_so(shop, run):
    with shop.authority() as authority:
        authority.freeze(Scope(ScopeKind.TOTAL, "", Period.EVER, TOKEN), "it does not add up")
    assert shop.ask(1).denial is not None
    assert "it does not add up" in run("report").out
    said = run("resume", "--frozen")
    assert said.out == "The total budget can be charged again.\n"
    assert shop.ask(1).denial is None
