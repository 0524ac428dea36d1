"""What has ended stays ended, only what was decided is signed, and only who did it is stopped for it."""

from __future__ import annotations

import json

import pytest

from actp import artifacts
from actp.chain import dev_accounts
from actp.engine import Decision, Intent, Sender
from actp.engine.store import outbox
from actp.engine.store.schema import IntentStatus
from actp.signers import LocalSigner
from actp.testing import drop_before
from coordinator.lifecycle import Lifecycle
from coordinator.policy import PolicySettings
from coordinator.proofs.documents import write_document
from coordinator.proofs.verifying import verify
from coordinator.types import Stage
from tests.coordinator.lifecycle.support import DAY, PAYEE

USDC = 1_000_000


@pytest.fixture
def provider(house):
    return Lifecycle(house.client_of(dev_accounts()[2]))


def create(house, lifecycle, provider, number):
    terms = {
        "escrowNumericId": str(number),
        "counterparty": provider.wallet,
        "amount": str(100 * USDC),
        "deadlineUnixSec": house.client.now() + DAY,
    }
    return lifecycle.submit("create_escrow", terms, agent="ann")


def settle(lifecycle, rounds=6):
    for _ in range(rounds):
        lifecycle.step()


def ended_by_hand(house, lifecycle, status, code):
    """An operation whose job somebody ends before it is signed, and the job's number."""
    operation = house.pay(lifecycle, 7)
    lifecycle.decide()
    with house.store.write() as connection:
        (job,) = outbox.listed(connection)
        now = house.store.clock.time()
        assert outbox.move(connection, [job.id], [IntentStatus.QUEUED], status, now, code=code, reason="by hand") == 1
    settle(lifecycle)
    done = lifecycle.find(operation.id)
    assert (done.stage, done.failed_at, done.code) == (Stage.FAILED, Stage.SIGNING, code)
    return operation, job.id


def test_a_dead_job_that_is_driven_again_does_not_pay_for_what_has_failed(house):
    lifecycle = house.lifecycle()
    operation, job = ended_by_hand(house, lifecycle, IntentStatus.DEAD, "rpc")
    with house.store.write() as connection:
        assert outbox.retry(connection, job, house.store.clock.time())
    settle(lifecycle)
    assert lifecycle.find(operation.id).stage is Stage.FAILED
    assert house.paid() == 0
    assert house.done(lifecycle, house.pay(lifecycle, 5)).stage is Stage.CONFIRMED, "the others go on"


def test_what_was_under_way_when_others_were_signed_is_not_believed_to_be_for_ever(house, monkeypatch):
    monkeypatch.setattr("coordinator.lifecycle.holding._READ_FOR", 0.0)
    lifecycle = house.lifecycle()
    first, second = house.pay(lifecycle, 7), house.pay(lifecycle, 8)
    lifecycle.decide()
    gate = lifecycle._worker._gate
    job_of = {one: lifecycle._desk.outbox.find(f"op-{one}") for one in (first.id, second.id)}
    assert gate.decide(job_of[first.id]).decision is Decision.ALLOW
    with house.store.write() as connection:
        now = house.store.clock.time()
        outbox.move(connection, [job_of[second.id].id], [IntentStatus.QUEUED], IntentStatus.DEAD, now, code="rpc")
    lifecycle._following.round()
    assert lifecycle.find(second.id).stage is Stage.FAILED
    assert gate.decide(job_of[second.id]).decision is Decision.DENY


def test_a_cancelled_job_fails_its_operation_with_a_proof(house):
    lifecycle = house.lifecycle()
    operation, _ = ended_by_hand(house, lifecycle, IntentStatus.CANCELLED, "cancelled")
    assert [one.kind for one in lifecycle.proofs_of(operation.id)] == ["proof"]


def test_a_job_that_no_operation_stands_behind_is_not_signed(house):
    lifecycle = house.lifecycle()
    data = artifacts.load("TestUSDC").call_data("transfer", (PAYEE, 77))
    lifecycle._desk.outbox.submit(Intent(house.usdc, data, 0, None), "op-99")
    settle(lifecycle)
    assert house.jobs() == {"op-99": IntentStatus.DEAD}
    assert house.paid() == 0
    assert lifecycle.paused() == []


def test_a_reorganisation_below_the_first_point_stops_nothing(house):
    before = house.chain.snapshot()
    house.client_of(dev_accounts()[4]).token.mint(1, PAYEE)
    lifecycle = house.lifecycle()
    lifecycle.step()
    house.chain.revert(before)
    house.client_of(dev_accounts()[5]).token.mint(2, PAYEE)
    assert house.done(lifecycle, house.pay(lifecycle, 7), timeout=6).stage is Stage.CONFIRMED
    assert house.paid() == 9
    assert house.findings(lifecycle) == []


def test_a_proof_tells_the_decision_that_another_process_made_last(house):
    settings = PolicySettings(approval_over={house.usdc: 5})
    first, second = house.lifecycle(policy=settings), house.lifecycle(policy=settings)
    operation = house.pay(first, 7)
    first.decide()
    second.approve(operation.id, by="boss")
    second.decide()
    assert house.done(first, operation).stage is Stage.CONFIRMED
    (proof,) = first.proofs_of(operation.id)
    policy = json.loads(proof.parts)["policy"]
    assert (policy["decision"], policy["approvedBy"]) == ("allow", "boss")


@pytest.mark.slow
def test_what_another_process_built_anew_is_what_is_expected_of_it(house, provider):
    first, second = house.lifecycle(), house.lifecycle()
    name = {"escrowNumericId": "1", "creator": house.wallet}
    assert house.done(first, create(house, first, provider, 1)).stage is Stage.CONFIRMED
    assert house.done(provider, provider.submit("accept_escrow", name, agent="pam")).stage is Stage.CONFIRMED
    release = first.submit("release_escrow", {**name, "require_approval": True}, agent="ann")
    assert house.done(first, release).stage is Stage.APPROVAL_GATE
    part = second.submit("release_milestone", {**name, "amount": str(30 * USDC)}, agent="ann")
    assert house.done(second, part).stage is Stage.CONFIRMED
    second.approve(release.id, by="boss")
    second.decide()
    done = house.done(first, release)
    assert (done.stage, done.reason) == (Stage.CONFIRMED, None)
    assert first.paused() == []
    assert verify(write_document(first.proofs_of(release.id)), house.chain).ok


def test_a_question_that_two_processes_answer_is_answered_once(house):
    first, second = house.lifecycle(), house.lifecycle()
    operation = first.find(first.submit("query_balance", {}, agent="ann").id)
    answers = [one._querying.answer(operation) for one in (first, second)]
    assert [one.stage for one in answers] == [Stage.CONFIRMED] * 2
    assert house.journal(first, operation) == [(None, "pending"), ("pending", "confirmed")]


def pay_token(house):
    house.client_of(house.account).token.transfer(PAYEE, 1)


def pay_ether(house):
    sender = Sender(house.chain, LocalSigner(house.account.private_key), chain_id=house.chain.chain_id)
    sender.send(PAYEE, value=1)


@pytest.mark.parametrize("steal", [pay_token, pay_ether])
def test_a_stranger_with_our_key_and_the_nonce_of_an_operation_stops_the_whole_treasury(house, faulty, steal):
    lifecycle = house.lifecycle()
    settle(lifecycle)
    faulty.always("eth_sendRawTransaction", drop_before())
    house.pay(lifecycle, 7)
    settle(lifecycle, 2)
    assert house.jobs() == {"op-1": IntentStatus.OPEN}
    steal(house)
    for _ in range(3):
        lifecycle._following.round()
    assert "key_used" in {one.kind for one in house.findings(lifecycle)}
    assert None in {one.agent for one in lifecycle.paused()}


def test_an_allowance_that_replaces_an_unlimited_one_between_creates_stops_nobody(house, provider):
    house.client_of(house.account).token.approve(house.client.escrow.address, 2**256 - 1)
    lifecycle = house.lifecycle()
    settle(lifecycle)
    made = [
        create(house, lifecycle, provider, 1),
        lifecycle.submit("approve_erc20", {"amount": 500 * USDC}, agent="eve"),
        create(house, lifecycle, provider, 2),
    ]
    assert [house.done(lifecycle, one).stage for one in made] == [Stage.CONFIRMED] * 3
    assert lifecycle.paused() == []
    assert house.findings(lifecycle) == []


def test_what_a_paused_agent_has_waiting_takes_no_room_of_the_others(house, monkeypatch):
    monkeypatch.setattr("coordinator.lifecycle.lifecycle._MOST_QUEUED", 4)
    lifecycle = house.lifecycle()
    for _ in range(4):
        house.pay(lifecycle)
    lifecycle.decide()
    lifecycle.pause("ann", by="me", reason="look first")
    assert house.done(lifecycle, house.pay(lifecycle, 5, agent="bob"), timeout=4).stage is Stage.CONFIRMED
    assert house.paid() == 5
