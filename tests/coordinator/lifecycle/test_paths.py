"""An intent's way through all stages, on every kind of database, and what is left of it."""

from __future__ import annotations

import pytest

from actp.chain import dev_accounts
from actp.errors import IdempotencyConflict, InvalidInput
from coordinator.errors import InvalidIntent, UnknownOperation, UnsupportedProtocol
from coordinator.lifecycle import Lifecycle, Request
from coordinator.policy import PolicySettings
from coordinator.types import Stage
from tests.coordinator.lifecycle.support import CONFIRMED_WALK, DAY, PAYEE, PURSE


def test_a_transfer_goes_through_every_stage_and_is_guarded_and_proved(anywhere):
    lifecycle = anywhere.lifecycle()
    operation = anywhere.pay(lifecycle, 7, key="order-1")
    assert operation.stage is Stage.PENDING
    done = anywhere.done(lifecycle, operation)
    assert (done.stage, done.code) == (Stage.CONFIRMED, None)
    assert anywhere.paid() == 7
    assert anywhere.journal(lifecycle, done) == CONFIRMED_WALK
    (verdict,) = anywhere.verdicts(lifecycle)
    assert (verdict.operation_id, verdict.verdict, verdict.tx_hash) == (done.id, "ok", done.tx_hash)
    assert verdict.evidence["balances"]["residual"] == {}
    (proof,) = lifecycle.proofs_of(done.id)
    assert proof.kind == "proof"
    assert anywhere.findings(lifecycle, None) == []


def test_without_a_guard_the_engine_decides_and_there_is_a_proof_all_the_same(house):
    lifecycle = house.lifecycle(guard=False)
    done = house.done(lifecycle, house.pay(lifecycle, 7))
    assert done.stage is Stage.CONFIRMED
    assert done.block is not None
    assert house.verdicts(lifecycle) == []
    assert len(lifecycle.proofs_of(done.id)) == 1


def test_a_batch_is_paid_once_each(house):
    lifecycle = house.lifecycle()
    requests = [
        Request("transfer_erc20", {"to": PAYEE, "amount": str(2**index)}, "ann", f"k{index}") for index in range(12)
    ]
    operations = lifecycle.submit_all(requests)
    assert [one.id for one in lifecycle.submit_all(requests)] == [one.id for one in operations]
    for one in operations:
        assert house.done(lifecycle, one).stage is Stage.CONFIRMED
    assert house.paid() == 2**12 - 1
    assert len(house.jobs()) == 12


def test_the_same_key_with_another_body_is_refused_and_names_what_differs(house):
    lifecycle = house.lifecycle()
    first = house.pay(lifecycle, 7, key="order-1")
    with pytest.raises(IdempotencyConflict) as refused:
        house.pay(lifecycle, 8, key="order-1")
    assert refused.value.differing == ("amount",)
    assert house.pay(lifecycle, 7, key="order-1").id == first.id
    assert house.pay(lifecycle, 8, key="order-1", agent="bob").id != first.id


def test_the_same_key_finds_the_operation_also_when_it_has_ended(house):
    lifecycle = house.lifecycle()
    done = house.done(lifecycle, house.pay(lifecycle, 7, key="order-1"))
    again = house.pay(house.lifecycle(), 7, key="order-1")
    assert again == done
    assert house.paid() == 7


@pytest.mark.parametrize("kind", ["swap", "stake", "lend", "x402_pay"])
def test_what_is_not_served_here_says_so_and_leaves_no_row(house, kind):
    lifecycle = house.lifecycle()
    with pytest.raises(UnsupportedProtocol) as refused:
        lifecycle.submit(kind, {"amount": "1"}, agent="ann")
    assert refused.value.code == "unsupported_protocol"
    assert house.journal(lifecycle) == []


def test_one_bad_request_keeps_the_whole_list_out(house):
    lifecycle = house.lifecycle()
    good = Request("transfer_erc20", {"to": PAYEE, "amount": "1"}, "ann", "good")
    with pytest.raises(InvalidIntent):
        lifecycle.submit_all([good, Request("transfer_erc20", {"to": PAYEE, "amount": 1.5}, "ann", "bad")])
    assert house.journal(lifecycle) == []


def test_queries_bypass_simulation_policy_and_signing(house):
    lifecycle = house.lifecycle(policy=PolicySettings(max_amount={}))
    asked = lifecycle.query("query_balance", {}, agent="ann", key="q")
    assert asked.stage is Stage.CONFIRMED
    assert asked.result["tokens"][house.usdc] == str(PURSE)
    assert house.journal(lifecycle, asked) == [(None, "pending"), ("pending", "confirmed")]
    assert house.jobs() == {}
    # One that is only handed in is answered by whoever works.
    later = lifecycle.submit("query_positions", {}, agent="ann")
    assert house.done(lifecycle, later).result["escrows"] == []


def test_an_escrow_from_its_funding_to_its_release_by_two_wallets(house, tmp_path):
    lifecycle = house.lifecycle()
    worker = Lifecycle(house.client_of(dev_accounts()[2]))
    name = {"escrowNumericId": "900001", "creator": house.wallet}
    terms = {
        "escrowNumericId": "900001",
        "counterparty": worker.wallet,
        "amount": "10000000",
        "deadlineUnixSec": house.client.now() + DAY,
        "terms": "a logo",
    }

    def step(who, kind, body):
        return house.done(who, who.submit(kind, body, agent="ann"))

    opened = step(lifecycle, "create_escrow", terms)
    assert (opened.stage, opened.reason) == (Stage.CONFIRMED, None)
    positions = lifecycle.query("query_positions", {}, agent="ann").result["escrows"]
    assert [(one["transaction_id"], one["remaining"]) for one in positions] == [(opened.transaction_id, "10000000")]
    for who, kind in (
        (worker, "accept_escrow"),
        (worker, "deliver_escrow"),
        (lifecycle, "release_escrow"),
    ):
        done = step(who, kind, name)
        assert (done.stage, done.reason) == (Stage.CONFIRMED, None)
        assert done.transaction_id == opened.transaction_id
    late = step(lifecycle, "refund_escrow", name)
    assert (late.stage, late.failed_at, late.code) == (Stage.FAILED, Stage.SIMULATING, "wrong_state")
    assert {one.verdict for one in house.verdicts(lifecycle)} == {"ok"}
    assert house.decided(lifecycle, opened).texts != {}, "the chain has only the hash of the terms"


@pytest.mark.slow
def test_two_steps_of_one_escrow_go_one_after_the_other(house):
    lifecycle = house.lifecycle()
    worker = Lifecycle(house.client_of(dev_accounts()[2]))
    terms = {
        "escrowNumericId": "1",
        "counterparty": worker.wallet,
        "amount": "9000000",
        "deadlineUnixSec": house.client.now() + DAY,
    }
    name = {"escrowNumericId": "1", "creator": house.wallet}
    house.done(lifecycle, lifecycle.submit("create_escrow", terms, agent="ann"))
    house.done(worker, worker.submit("accept_escrow", name, agent="pia"))
    parts = [
        lifecycle.submit("release_milestone", {**name, "amount": amount}, agent="ann")
        for amount in ("1000000", "2000000", "3000000")
    ]
    assert [house.done(lifecycle, one).stage for one in parts] == [Stage.CONFIRMED] * 3
    assert {one.verdict for one in house.verdicts(lifecycle)} == {"ok"}


def test_the_answer_has_the_shape_that_callers_know(house):
    lifecycle = house.lifecycle(policy=PolicySettings(max_amount={house.usdc: 10}))
    good = house.done(lifecycle, house.pay(lifecycle, 7))
    answer = lifecycle.response(good)
    assert set(answer) == {"status", "errorCode", "failedAt", "stage", "traceId", "data"}
    assert (answer["status"], answer["errorCode"], answer["failedAt"], answer["stage"]) == (
        "success",
        None,
        None,
        "completed",
    )
    assert answer["traceId"] == good.trace_id
    assert answer["data"]["deltaGuard"] == {"ok": True, "verdict": "ok", "varianceBps": 0}
    assert answer["data"]["executionProof"]["proofHash"] == lifecycle.proofs_of(good.id)[0].proof_hash
    bad = lifecycle.response(house.done(lifecycle, house.pay(lifecycle, 11)))
    assert (bad["status"], bad["errorCode"], bad["failedAt"], bad["stage"]) == (
        "failed",
        "max_amount",
        "policy_eval",
        "failed",
    )
    assert bad["data"]["executionProof"] is not None, "what was denied has a proof too"


def test_another_wallets_operation_is_unknown(house):
    lifecycle = house.lifecycle()
    with pytest.raises(UnknownOperation):
        lifecycle.find(4_711)
    with pytest.raises(UnknownOperation):
        lifecycle.approve(4_711, "boss")


def test_nobody_can_hand_in_under_the_lifecycles_own_name(house):
    with pytest.raises(InvalidInput):
        house.pay(house.lifecycle(), 1, agent="treasury")


def test_what_is_signed_and_not_mined_is_submitting(house):
    lifecycle = house.lifecycle()
    lifecycle.step()
    house.chain.request("evm_setAutomine", [False])
    operation = house.pay(lifecycle, 7)
    for _ in range(3):
        lifecycle.step()
    assert lifecycle.find(operation.id).stage is Stage.SUBMITTING
    assert lifecycle.response(lifecycle.find(operation.id))["status"] == "pending"
    house.chain.request("evm_setAutomine", [True])
    house.chain.request("evm_mine", [])
    assert house.done(lifecycle, operation).stage is Stage.CONFIRMED
