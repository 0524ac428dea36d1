"""Answering from the command line, to requests at the authority and to operations at the lifecycle."""

from __future__ import annotations

import time

from coordinator.budget.words import ReservationState
from coordinator.policy import PolicySettings
from coordinator.store import operations
from coordinator.store.budget_schema import asks
from coordinator.types import Stage
from tests.coordinator.authority.support import USDC
from tests.coordinator.lifecycle.conftest import faulty, house

__all__ = ["faulty", "house"]


def test_what_waits_of_either_kind_is_listed_with_what_it_is_for(shop, run):
    answer = shop.ask(80, category="data", purpose="a dataset")
    number = shop.operation_that_waits()
    said = run("approvals", "list")
    assert said.code == 0
    first, second = sorted(said.out.splitlines()[1:])
    assert first.split()[0] == answer.approval_id
    assert "80.00  0 of 1  data: a dataset" in first
    assert second.startswith(f"operation-{number} ")
    assert "transfer_erc20: It is large." in second
    listed = run("approvals", "list", "--json").lines
    assert {one["approval_id"] for one in listed} == {answer.approval_id, f"operation-{number}"}
    assert {one["amount"] for one in listed} == {80 * USDC, None}


def test_nothing_that_waits_is_said_and_no_error(run):
    said = run("approvals", "list")
    assert (said.code, said.out, said.err) == (0, "", "Nothing waits for approval.\n")


def test_the_operators_yes_grants_and_a_second_one_changes_nothing(shop, run):
    answer = shop.ask(80)
    said = run("approvals", "approve", answer.approval_id)
    assert said.code == 0
    assert f"Request {answer.reservation_id} is granted" in said.out
    assert answer.transaction_id in said.out
    again = run("approvals", "approve", answer.approval_id, "--json")
    assert again.code == 0
    assert again.json["answered_before"]
    with shop.authority() as authority:
        assert authority.find(answer.reservation_id).state is ReservationState.HELD


def test_whoever_asked_may_not_say_yes_and_the_request_still_waits(shop, run):
    answer = shop.ask(80)
    said = run("approvals", "approve", answer.approval_id, "--by", "ann")
    assert said.code == 3
    assert "ann cannot approve its own request" in said.out
    assert run("approvals", "list", "--json").lines[0]["state"] == "pending_approval"


def test_a_no_frees_the_budget(shop, run):
    answer = shop.ask(80)
    said = run("approvals", "reject", answer.approval_id, "--by", "zoe", "--reason", "too dear")
    assert said.code == 0
    assert "its budget is free" in said.out
    shown = run("approvals", "show", answer.approval_id)
    assert "(rejected)" in shown.out
    assert "no by     zoe too dear" in shown.out
    assert run("approvals", "approve", answer.approval_id).code == 3
    assert run("report", "--json").json["reserved"] == 0


def test_a_yes_that_is_not_the_last_is_noted(shop, run, tmp_path):
    file = tmp_path / "rules.toml"
    file.write_text(
        'total_budget = "900 USDC"\n[agents.ann]\nrole = "junior"\nspending_limit = "90 USDC"\n'
        "[approvals]\nrequired = 2\n"
    )
    assert run("policy", "apply", file).code == 0
    answer = shop.ask(80)
    said = run("approvals", "approve", answer.approval_id, "--by", "ada")
    assert said.code == 4
    assert "has 1 of 2 approvals" in said.out
    assert "1 of 2" in run("approvals", "list").out
    assert "yes       1 of 2, until" in run("approvals", "show", answer.approval_id).out
    shown = run("approvals", "show", answer.approval_id, "--json").json
    assert (shown["yes"], shown["required"]) == (1, 2)
    again = run("approvals", "approve", answer.approval_id, "--by", "ada", "--json")
    assert (again.code, again.json["yes"], again.json["required"]) == (4, 1, 2), "each has one vote"
    assert run("approvals", "approve", answer.approval_id, "--by", "bob").code == 0


def test_an_approval_that_has_expired_is_not_listed_and_not_granted(shop, run):
    answer = shop.ask(80)
    with shop.ledger() as ledger, ledger.write() as connection:
        connection.execute(asks.update().values(expires_at=time.time() - 1))
    assert run("approvals", "list").out == ""
    said = run("approvals", "approve", answer.approval_id)
    assert said.code == 3
    assert "expired" in said.out


def test_an_operation_is_approved_without_a_node_and_goes_back_to_be_judged(shop, run):
    number = shop.operation_that_waits()
    assert "It is large." in run("approvals", "show", f"operation-{number}").out
    own = run("approvals", "approve", f"operation-{number}", "--by", "ANN")
    assert own.code == 1
    assert "may not approve it" in own.err
    assert run("approvals", "approve", f"operation-{number}", "--by", "boss").code == 0
    with shop.ledger() as ledger, ledger.read() as connection:
        assert operations.by_id(connection, number).stage is Stage.SIMULATING
    late = run("approvals", "approve", f"operation-{number}", "--by", "zoe")
    assert late.code == 1
    assert "waits for no approval" in late.err


def test_an_operation_that_is_rejected_ends_with_a_proof_in_its_chain(house, run, tmp_path):
    lifecycle = house.lifecycle(policy=PolicySettings(approval_over={house.usdc: 10}))
    paid, large = house.pay(lifecycle, 10), house.pay(lifecycle, 11)
    assert house.done(lifecycle, paid).stage is Stage.CONFIRMED
    assert lifecycle.wait(large.id).stage is Stage.APPROVAL_GATE
    store = f"sqlite:///{house.store.engine.url.database}"
    said = run("approvals", "reject", f"operation-{large.id}", "--by", "boss", "--reason", "no", "--store", store)
    assert (said.code, said.err) == (0, "")
    assert lifecycle.find(large.id).code == "rejected"
    file = tmp_path / "proofs.json"
    assert run("proof", "export", "--all", "--out", file, "--store", store).code == 0
    verified = run("proof", "verify", file, "--signer", lifecycle.proof_address)
    assert verified.code == 0, verified.out


def test_approvals_that_nobody_knows_are_named(shop, run):
    shop.operation_that_waits()
    for name in ("approval-0", "operation-99", "12", ""):
        for verb in ("show", "approve", "reject"):
            said = run("approvals", verb, name)
            assert said.code == 2, (verb, name)
            assert "There is no" in said.err
