"""Blocks that are shared, gone, or out of sight: what the guard says of them stops whom it must, and nobody else."""

from __future__ import annotations

import contextlib
import time

import pytest

from actp.errors import ActpError, RpcError
from actp.testing import drop_before
from coordinator.policy import PolicySettings, evaluate
from coordinator.proofs.verifying import Result
from coordinator.store import verdicts
from coordinator.types import Stage
from tests.coordinator.lifecycle.hostile import (
    MINTER,
    STRANGER,
    THIEF,
    Party,
    breach_stops,
    kinds,
    nothing_stops,
    proved,
    settle,
)
from tests.coordinator.lifecycle.support import DAY, PAYEE, PURSE

pytestmark = pytest.mark.slow


@pytest.fixture
def ours(house):
    """Our key, in the hands of somebody else."""
    return Party(house, house.account)


@pytest.fixture
def thief(house):
    return Party(house, THIEF)


@pytest.fixture
def stranger(house):
    return Party(house, STRANGER)


def steal(house, thief, amount=5):
    return thief.call(house.usdc, "transferFrom", house.wallet, THIEF.address, amount)


# ---------------------------------------------------------------- one block for several


@pytest.fixture
def collected(chain):
    """A chain that mines when it is told to."""
    chain.request("evm_setAutomine", [False])
    yield chain
    chain.request("evm_setAutomine", [True])


def in_the_pool(house, lifecycle, *operations):
    """Signs these, which wait to be mined."""
    wanted = Party(house, house.account).nonce() + len(operations)
    lifecycle.decide()
    for _ in range(200):  # bytes are handed over beside the worker
        lifecycle._worker.step()
        if Party(house, house.account).nonce() == wanted:
            return
        time.sleep(0.01)
    raise AssertionError("not signed")


def mined_together(chain, count):
    """They are in one block."""
    chain.request("evm_mine", [])
    block = chain.request("eth_getBlockByNumber", ["latest", False])
    assert len(block["transactions"]) == count


def test_two_of_ours_and_a_strangers_gift_in_one_block_are_each_told_apart(house, stranger, collected):
    lifecycle = house.lifecycle()
    settle(lifecycle)
    made = [house.pay(lifecycle, amount, agent=agent) for amount, agent in ((7, "ann"), (11, "bob"))]
    in_the_pool(house, lifecycle, *made)
    stranger.call(house.usdc, "mint", house.wallet, 1, tip=50)
    mined_together(collected, 3)
    settle(lifecycle)
    assert [lifecycle.find(one.id).stage for one in made] == [Stage.CONFIRMED] * 2
    assert {one.operation_id: one.verdict for one in house.verdicts(lifecycle)} == {one.id: "ok" for one in made}
    collected.request("evm_setAutomine", [True])
    for one in made:
        proved(house, lifecycle, lifecycle.find(one.id))
    nothing_stops(house, lifecycle)
    assert kinds(house, lifecycle, "notice") == ["received"]


@pytest.mark.parametrize("count", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_a_theft_in_a_block_of_ours_stops_the_treasury_and_is_not_laid_at_their_door(
    house, ours, thief, collected, count
):
    ours.call(house.usdc, "approve", THIEF.address, 5)
    collected.request("evm_mine", [])
    lifecycle = house.lifecycle()
    settle(lifecycle)
    made = [house.pay(lifecycle, 2**number, agent=f"agent {number}") for number in range(count)]
    in_the_pool(house, lifecycle, *made)
    theft = steal(house, thief)
    mined_together(collected, count + 1)
    collected.request("evm_setAutomine", [True])
    breach_stops(house, lifecycle, ["outflow"])
    for one in made:
        done = lifecycle.find(one.id)
        assert (done.stage, done.reason) == (Stage.CONFIRMED, None)
        proved(house, lifecycle, done)
    (found,) = house.findings(lifecycle)
    assert (found.tx_hash, found.operation_id) == (theft, None)


def test_a_bad_payment_in_the_block_of_a_good_one_stops_its_own_agent_only(house, collected):
    minter = Party(house, MINTER)
    collected.request("evm_setAutomine", [True])
    token = minter.deploy("test/FeeOnTransferToken")
    minter.call(token, "mint", house.wallet, PURSE)
    collected.request("evm_setAutomine", [False])
    lifecycle = house.lifecycle(tokens=[token])
    settle(lifecycle)
    bad, good = house.pay(lifecycle, 1_000, token=token), house.pay(lifecycle, 7, agent="bob")
    in_the_pool(house, lifecycle, bad, good)
    minter.call(house.usdc, "mint", PAYEE, 1)
    mined_together(collected, 3)
    collected.request("evm_setAutomine", [True])
    breach_stops(house, lifecycle, ["effects_differ"], agent="ann")
    ends = [lifecycle.find(one.id) for one in (bad, good)]
    assert [(one.stage, one.code) for one in ends] == [(Stage.FAILED, "delta_breach"), (Stage.CONFIRMED, None)]
    for one in ends:
        proved(house, lifecycle, one)


# ---------------------------------------------------------------- reorganisations


@pytest.fixture
def unfinished(faulty):
    """A chain that does not call its newest block final."""
    faulty.always(
        "eth_getBlockByNumber", lambda forward, params: None if params[0] in ("safe", "finalized") else forward()
    )


@pytest.mark.usefixtures("unfinished")
def test_a_reorganisation_turns_a_good_verdict_because_a_thief_is_faster_now(house, ours, thief):
    ours.call(house.usdc, "approve", THIEF.address, 5)
    lifecycle = house.lifecycle()
    settle(lifecycle)
    before = house.chain.snapshot()
    operation = house.pay(lifecycle, PURSE)
    first = house.done(lifecycle, operation)
    assert first.stage is Stage.CONFIRMED
    proved(house, lifecycle, first)
    house.chain.revert(before)
    steal(house, thief)
    settle(lifecycle, 1)
    done = house.done(lifecycle, operation)
    assert (done.stage, done.failed_at, done.code) == (Stage.FAILED, Stage.SUBMITTING, "reverted")
    assert "ERC20InsufficientBalance" in done.reason
    assert done.block != first.block
    assert house.paid() == 0
    assert [one.kind for one in lifecycle.proofs_of(operation.id)] == ["proof", "reopened", "proof"]
    with lifecycle.ledger.read() as connection:
        history = verdicts.listed(connection, house.key)
    assert [(one.reopened_at is None, one.evidence["receipt"]["status"]) for one in history] == [
        (True, "reverted"),
        (False, "succeeded"),
    ]
    proved(house, lifecycle, done)
    assert kinds(house, lifecycle) == ["outflow"]
    assert [one.agent for one in lifecycle.paused()] == [None]


@pytest.mark.usefixtures("unfinished")
def test_who_was_stopped_for_a_block_that_is_gone_stays_so_until_somebody_resumes(house, ours, thief):
    ours.call(house.usdc, "approve", THIEF.address, 5)
    lifecycle = house.lifecycle()
    settle(lifecycle)
    before = house.chain.snapshot()
    steal(house, thief)
    settle(lifecycle)
    (pause,) = lifecycle.paused()
    house.chain.revert(before)
    Party(house, MINTER).call(house.usdc, "mint", PAYEE, 1)
    settle(lifecycle)
    assert lifecycle.paused() == [pause]
    lifecycle.resume(by="boss", reason="it was never mined")
    assert house.done(lifecycle, house.pay(lifecycle, 3)).stage is Stage.CONFIRMED


# ---------------------------------------------------------------- node or store gone while the guard looks

READS = ["eth_getBlockByNumber", "eth_getTransactionCount", "eth_getBalance", "eth_call", "eth_getCode"]


@pytest.mark.parametrize("method", ["eth_getLogs", *(pytest.param(one, marks=pytest.mark.slow) for one in READS)])
def test_while_nobody_can_look_nothing_new_is_decided_and_a_theft_is_found_afterwards(
    house, faulty, ours, thief, method
):
    ours.call(house.usdc, "approve", THIEF.address, 5)
    lifecycle = house.lifecycle()
    settle(lifecycle)
    steal(house, thief)
    house.chain.request("evm_mine", [])
    blind = house.pay(lifecycle, 2, key="while it is blind", to=STRANGER.address)
    faulty.always(method, drop_before())
    for _ in range(3):
        with contextlib.suppress(ActpError):
            lifecycle.step()
    assert lifecycle.find(blind.id).stage is Stage.PENDING
    assert house.findings(lifecycle, None) == []
    faulty.clear()
    breach_stops(house, lifecycle, ["outflow"])
    assert house.done(lifecycle, blind).stage is Stage.CONFIRMED


def test_what_was_decided_before_is_sent_while_nobody_can_look_and_verified_afterwards(house, faulty):
    lifecycle = house.lifecycle()
    settle(lifecycle)
    operation = house.pay(lifecycle, 7)
    lifecycle.decide()
    house.chain.request("evm_mine", [])
    faulty.always("eth_getLogs", drop_before())
    for _ in range(200):
        with contextlib.suppress(ActpError):
            lifecycle.step()
        if house.paid() == 7:
            break
        time.sleep(0.01)
    assert house.paid() == 7
    assert lifecycle.find(operation.id).stage in (Stage.SIGNING, Stage.SUBMITTING)
    faulty.clear()
    assert house.done(lifecycle, operation).stage is Stage.CONFIRMED


@pytest.mark.parametrize("receipt", ["eth_getTransactionReceipt", "eth_getBlockReceipts"])
def test_a_node_that_is_gone_before_the_verdict_changes_nothing_of_it(house, faulty, receipt):
    lifecycle = house.lifecycle()
    settle(lifecycle)
    operation = house.pay(lifecycle, 7)
    faulty.always(receipt, drop_before())
    for _ in range(4):
        with contextlib.suppress(ActpError):
            lifecycle.step()
    faulty.clear()
    done = house.done(lifecycle, operation)
    assert (done.stage, done.reason) == (Stage.CONFIRMED, None)
    assert house.paid() == 7
    assert len(house.verdicts(lifecycle)) == 1
    proved(house, lifecycle, done)


# ---------------------------------------------------------------- back after a downtime


def out_of_sight(house, faulty):
    """The node has dropped every state but that of its newest block."""

    def fault(forward, params):
        newest = house.chain.request("eth_getBlockByNumber", ["latest", False])
        if params[-1] in ({"blockHash": newest["hash"]}, newest["number"], "latest", "pending"):
            return forward()
        raise RpcError(-32000, "missing trie node 1234 (path ) state 0x1234 is not available")

    for method in ("eth_getBalance", "eth_call", "eth_getTransactionCount", "eth_getCode"):
        faulty.always(method, fault)


def downtime(house, lifecycle):
    """Two payments are mined while nobody looks, and many blocks after them."""
    settle(lifecycle)
    made = [house.pay(lifecycle, amount, agent=agent) for amount, agent in ((7, "ann"), (11, "bob"))]
    lifecycle.decide()
    for _ in range(200):
        lifecycle._worker.step()
        if house.paid() == 18:
            break
        time.sleep(0.01)
    lifecycle.close()
    for _ in range(40):
        house.chain.request("evm_mine", [])
    return made


def test_a_treasury_that_comes_back_after_its_node_dropped_old_states_reconciles_the_span(house, faulty, stranger):
    made = downtime(house, house.lifecycle())
    stranger.call(house.usdc, "mint", house.wallet, 1)
    out_of_sight(house, faulty)
    lifecycle = house.lifecycle()
    ends = [house.done(lifecycle, one) for one in made]
    assert [(one.stage, one.reason) for one in ends] == [(Stage.CONFIRMED, None)] * 2
    assert [one.evidence["scope"] for one in house.verdicts(lifecycle)] == ["span"] * 2
    assert [lifecycle.response(one)["data"]["deltaGuard"]["ok"] for one in ends] == [True] * 2
    for one in ends:
        proved(house, lifecycle, one)
    nothing_stops(house, lifecycle)


def test_a_span_that_does_not_add_up_stops_the_treasury(house, faulty, ours, thief):
    ours.call(house.usdc, "approve", THIEF.address, 5)
    made = downtime(house, house.lifecycle())
    steal(house, thief)
    house.chain.request("evm_mine", [])
    out_of_sight(house, faulty)
    lifecycle = house.lifecycle()
    breach_stops(house, lifecycle, ["outflow"])
    assert [lifecycle.find(one.id).stage for one in made] == [Stage.CONFIRMED] * 2
    assert {one.evidence["scope"] for one in house.verdicts(lifecycle) if one.operation_id in {m.id for m in made}} == {
        "span"
    }


# ---------------------------------------------------------------- decisions that end without a payment


def too_late(house, lifecycle, operation, clock):
    clock.advance(DAY)
    lifecycle.step()


def rejected(house, lifecycle, operation, clock):
    lifecycle.reject(operation.id, "boss", "too much")


def balance_gone(house, lifecycle, operation, clock):
    assert house.done(lifecycle, house.pay(lifecycle, 50, agent="bob")).stage is Stage.CONFIRMED
    lifecycle.approve(operation.id, "boss")


def limit_gone(house, lifecycle, operation, clock):
    assert house.done(lifecycle, house.pay(lifecycle, 1, agent="bob")).stage is Stage.CONFIRMED
    lifecycle.approve(operation.id, "boss")
    lifecycle.approve(operation.id, "boss")


ENDS = {
    too_late: ("approval_expired", "approval_gate", "answered in time"),
    rejected: ("rejected", "approval_gate", "too much"),
    balance_gone: ("ERC20InsufficientBalance", "simulating", "ERC20InsufficientBalance"),
    limit_gone: ("wallet_rate", "policy_eval", "hour"),
}


@pytest.mark.parametrize(("happens", "end"), ENDS.items(), ids=[one.__name__ for one in ENDS])
def test_why_nothing_was_paid_after_an_approval_was_asked_for_can_be_read_and_is_proved(timed, clock, happens, end):
    code, failed_at, words = end
    rate = {"wallet_rate": {"hour": 1}} if happens is limit_gone else {}
    lifecycle = timed.lifecycle(policy=PolicySettings(approval_over={timed.usdc: 50}, **rate))
    operation = timed.pay(lifecycle, PURSE if happens is balance_gone else 60)
    for _ in range(10):
        lifecycle.step()
    assert lifecycle.find(operation.id).stage is Stage.APPROVAL_GATE
    happens(timed, lifecycle, operation, clock)
    done = timed.done(lifecycle, operation)
    answer = lifecycle.response(done)
    assert (answer["status"], answer["errorCode"], answer["failedAt"]) == ("failed", code, failed_at)
    assert words in answer["data"]["reason"]
    assert lifecycle.paused() == []
    report = proved(timed, lifecycle, done)
    assert Result.NOT_CHECKED in {one.result for one in report.checks}, "the chain knows nothing of it"
    assert timed.paid() < 51


def test_a_rule_that_raises_denies_for_a_reason_that_can_be_read_and_is_proved(house, monkeypatch):
    def explodes(facts, settings):
        raise ZeroDivisionError("a bug in a rule")

    monkeypatch.setattr(
        "coordinator.lifecycle.deciding.evaluate", lambda facts, settings: evaluate(facts, settings, rules=(explodes,))
    )
    lifecycle = house.lifecycle()
    done = house.done(lifecycle, house.pay(lifecycle, 7))
    answer = lifecycle.response(done)
    assert (answer["errorCode"], answer["failedAt"]) == ("rule_failed", "policy_eval")
    assert "ZeroDivisionError" in answer["data"]["reason"]
    assert lifecycle.paused() == []
    proved(house, lifecycle, done)
