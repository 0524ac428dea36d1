"""The approval gate: a yes is a yes to be looked at again, and only in time."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from coordinator.errors import NotWaiting, OwnApproval
from coordinator.lifecycle.approving import Approving
from coordinator.policy import PolicySettings
from coordinator.proofs import ProofKey
from coordinator.store import Ledger
from coordinator.store.accounts import Account
from coordinator.types import Stage
from tests.coordinator.lifecycle.support import DAY, PURSE


def asked(house, amount=60, **settings):
    """An operation that waits for a yes, and the lifecycle it waits in."""
    lifecycle = house.lifecycle(policy=PolicySettings(approval_over={house.usdc: 50}, **settings))
    operation = house.done(lifecycle, house.pay(lifecycle, amount))
    assert (operation.stage, operation.code) == (Stage.APPROVAL_GATE, "approval_required")
    assert house.jobs() == {}, "nonce and fee are chosen only after the approval"
    return lifecycle, operation


def test_an_approved_operation_is_simulated_and_judged_again_and_then_sent(house):
    lifecycle, operation = asked(house)
    first = house.decided(lifecycle, operation)
    again = lifecycle.approve(operation.id, "boss", "fine")
    assert again.stage is Stage.SIMULATING
    done = house.done(lifecycle, operation)
    assert done.stage is Stage.CONFIRMED
    second = house.decided(lifecycle, operation)
    assert (first.approved_by, second.approved_by) == (None, "boss")
    assert house.journal(lifecycle, operation)[3:6] == [
        ("policy_eval", "approval_gate"),
        ("approval_gate", "simulating"),
        ("simulating", "policy_eval"),
    ]
    assert b'"approvedBy":"boss"' in lifecycle.proofs_of(done.id)[-1].parts


@dataclass(frozen=True)
class Desk:
    """Where somebody answers who has the store, and no way to a node."""

    ledger: Ledger
    account: Account
    genesis: str
    transport: None = None


def answering(house, lifecycle):
    return Approving(Desk(lifecycle.ledger, house.key, house.genesis), ProofKey.for_store(house.store.engine.url))


def simulated_on(lifecycle, operation):
    (proof,) = lifecycle.proofs_of(operation.id)
    return json.loads(proof.parts)["simulation"]["onChain"]


def test_an_answer_that_is_given_without_a_node_leads_to_proofs_that_are_right_by_the_chain(timed, clock):
    lifecycle, approved = asked(timed)
    rejected, expired = (timed.done(lifecycle, timed.pay(lifecycle, 60)) for _ in range(2))
    apart = answering(timed, lifecycle)
    apart.approve(approved.id, "boss", "fine")
    assert timed.done(lifecycle, approved, timeout=8).stage is Stage.CONFIRMED
    apart.reject(rejected.id, "boss", "too much")
    clock.advance(DAY)
    assert apart.expire()
    assert [simulated_on(lifecycle, one) for one in (approved, rejected, expired)] == [True, None, None]
    report = timed.reports()[timed.wallet]
    assert report.wrong == ()
    assert {check.name for check in report.not_checked if check.link == 1} == set(), "all that was mined"


def test_a_request_may_ask_for_an_approval_itself(house):
    lifecycle = house.lifecycle()
    operation = house.done(lifecycle, house.pay(lifecycle, 1, require_approval=True))
    assert operation.stage is Stage.APPROVAL_GATE
    lifecycle.approve(operation.id, "boss")
    assert house.done(lifecycle, operation).stage is Stage.CONFIRMED


def test_an_approval_that_nobody_gives_in_a_day_expires_and_is_proved(timed, clock):
    lifecycle, operation = asked(timed)
    clock.advance(DAY - 1)
    lifecycle.step()
    assert lifecycle.find(operation.id).stage is Stage.APPROVAL_GATE
    clock.advance(1)
    lifecycle.step()
    done = lifecycle.find(operation.id)
    assert (done.stage, done.failed_at, done.code) == (Stage.FAILED, Stage.APPROVAL_GATE, "approval_expired")
    assert len(lifecycle.proofs_of(done.id)) == 1
    assert timed.jobs() == {}


def test_an_approval_that_comes_too_late_is_none_even_before_anybody_has_swept(timed, clock):
    lifecycle, operation = asked(timed)
    clock.advance(DAY)
    with pytest.raises(NotWaiting):
        lifecycle.approve(operation.id, "boss")
    assert lifecycle.find(operation.id).stage is Stage.APPROVAL_GATE
    lifecycle.step()
    assert lifecycle.find(operation.id).code == "approval_expired"


def test_granted_twice_by_the_same_person_is_one_payment_and_by_another_is_refused(house):
    lifecycle, operation = asked(house)
    lifecycle.approve(operation.id, "boss")
    assert lifecycle.approve(operation.id, "boss").id == operation.id
    with pytest.raises(NotWaiting):
        lifecycle.approve(operation.id, "other boss")
    done = house.done(lifecycle, operation)
    assert lifecycle.approve(operation.id, "boss") == done
    assert house.paid() == 60
    assert len(house.jobs()) == 1


def test_a_rejected_operation_ends_and_cannot_be_approved(house):
    lifecycle, operation = asked(house)
    done = lifecycle.reject(operation.id, "boss", "too much")
    assert (done.stage, done.failed_at, done.code) == (Stage.FAILED, Stage.APPROVAL_GATE, "rejected")
    assert "too much" in done.reason
    with pytest.raises(NotWaiting):
        lifecycle.approve(operation.id, "boss")
    assert lifecycle.find(operation.id) == done
    (proof,) = lifecycle.proofs_of(done.id)
    assert b'"code":"rejected"' in proof.head
    lifecycle.step()
    assert house.paid() == 0


def test_what_waits_for_no_approval_cannot_be_approved(house):
    lifecycle = house.lifecycle()
    operation = house.pay(lifecycle, 1)
    for answer in (lifecycle.approve, lambda number, by: lifecycle.reject(number, by, "no")):
        with pytest.raises(NotWaiting):
            answer(operation.id, "boss")


def test_an_approval_does_not_help_when_the_balance_is_gone(house):
    lifecycle, operation = asked(house, amount=PURSE)
    assert house.done(lifecycle, house.pay(lifecycle, 1, agent="bob")).stage is Stage.CONFIRMED
    lifecycle.approve(operation.id, "boss")
    done = house.done(lifecycle, operation)
    assert (done.stage, done.failed_at, done.code) == (Stage.FAILED, Stage.SIMULATING, "ERC20InsufficientBalance")
    assert f"op-{operation.id}" not in house.jobs()


def test_an_approval_does_not_help_when_the_limit_is_gone(house):
    lifecycle, operation = asked(house, wallet_rate={"hour": 1})
    other = house.done(lifecycle, house.pay(lifecycle, 1, agent="bob"))
    assert other.stage is Stage.CONFIRMED
    lifecycle.approve(operation.id, "boss")
    done = house.done(lifecycle, operation)
    assert (done.stage, done.failed_at, done.code) == (Stage.FAILED, Stage.POLICY_EVAL, "wallet_rate")
    assert house.paid() == 1


def test_an_approval_does_not_help_against_a_policy_that_denies_by_now(house):
    _lifecycle, operation = asked(house)
    strict = house.lifecycle(policy=PolicySettings(max_amount={house.usdc: 10}))
    strict.approve(operation.id, "boss")
    done = house.done(strict, operation)
    assert (done.stage, done.code) == (Stage.FAILED, "max_amount")


def test_the_gate_shows_what_waits_and_how_long(house):
    lifecycle, operation = asked(house)
    ((waiting, approval),) = lifecycle.waiting()
    assert waiting.id == operation.id
    assert approval.expires_at - approval.asked_at == DAY
    answer = lifecycle.response(waiting)
    assert (answer["status"], answer["data"]["awaitingApproval"]) == ("awaiting_approval", True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ann", "Ann", " ann ", "\uff41nn"])
def test_an_agent_cannot_approve_what_it_asked_for_under_any_spelling_of_its_name(house, name):
    lifecycle, operation = asked(house)
    with pytest.raises(OwnApproval) as caught:
        lifecycle.approve(operation.id, name)
    assert (caught.value.code, caught.value.outcome) == ("own_approval", "not_sent")
    assert lifecycle.find(operation.id).stage is Stage.APPROVAL_GATE
    assert len(lifecycle.waiting()) == 1
    lifecycle.approve(operation.id, "bob")
    assert house.done(lifecycle, operation).stage is Stage.CONFIRMED


def test_an_agent_may_take_back_what_it_asked_for(house):
    lifecycle, operation = asked(house)
    assert lifecycle.reject(operation.id, "ann", "a mistake").code == "rejected"
