"""Whatever breaks in the middle of a decision: nothing moves, nothing is sent, and the next round goes on."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from functools import partial

import pytest

from actp.engine.store import StoreBusy
from actp.errors import ActpError, RpcError
from actp.testing import drop_before, fail
from coordinator.policy import RULES, PolicySettings, evaluate
from coordinator.store import decisions, journal, moving, peaks, wallets
from coordinator.types import Stage
from tests.coordinator.lifecycle.support import CONFIRMED_WALK, PURSE, unmoved


@contextmanager
def broken(monkeypatch, module, name):
    """A database that goes away when this function writes."""
    original = getattr(module, name)

    def gone(*arguments, **named):
        original(*arguments, **named)
        raise StoreBusy("The store is locked.", retryable=True)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, gone)
        yield


WRITES = [
    (wallets, "count_decision"),
    (moving, "move"),
    (journal, "add"),
    (decisions, "add"),
    (peaks, "raise_to"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("module", "name"), WRITES, ids=lambda one: getattr(one, "__name__", one))
def test_a_store_that_goes_away_in_the_commit_of_a_decision_leaves_nothing_of_it(house, monkeypatch, module, name):
    lifecycle = house.lifecycle()
    operation = house.pay(lifecycle, 7)
    with broken(monkeypatch, module, name), pytest.raises(StoreBusy):
        lifecycle.step()
    assert unmoved(house, lifecycle, operation)
    assert house.done(lifecycle, operation).stage is Stage.CONFIRMED
    assert house.paid() == 7


@pytest.mark.parametrize(
    "fault", [drop_before(), fail(RpcError(-32016, "over rate limit", retryable=True))], ids=["gone", "rate limited"]
)
@pytest.mark.parametrize("method", ["eth_call", "eth_getBlockByNumber", "eth_estimateGas", "eth_feeHistory"])
@pytest.mark.slow
def test_a_node_that_goes_away_in_the_middle_of_a_decision_moves_nothing(house, faulty, method, fault):
    # A cap on the fee makes the decision ask for gas and fees as well.
    lifecycle = house.lifecycle(policy=PolicySettings(max_fee_wei=10**18))
    lifecycle.step()
    operation = house.pay(lifecycle, 7)
    # Each rule asks afresh: what the engine learnt in the round before does not help.
    faulty.always(method, fault)
    for _ in range(3):
        with suppress(ActpError):
            lifecycle.step()
    assert unmoved(house, lifecycle, operation)
    faulty.clear()
    assert house.done(lifecycle, operation).stage is Stage.CONFIRMED
    assert house.journal(lifecycle, operation) == CONFIRMED_WALK


def test_a_node_that_goes_away_is_waited_out_by_run_and_wait(house, faulty):
    lifecycle = house.lifecycle()
    operation = house.pay(lifecycle, 7)
    faulty.once("eth_call", *[drop_before()] * 3)
    assert house.done(lifecycle, operation).stage is Stage.CONFIRMED


@pytest.mark.parametrize("number", range(0, len(RULES), 4))
def test_a_rule_that_raises_denies_and_the_denial_is_proved(house, monkeypatch, number):
    def explodes(facts, settings):
        raise ZeroDivisionError("a bug in a rule")

    rules = (*RULES[:number], explodes, *RULES[number + 1 :])
    monkeypatch.setattr("coordinator.lifecycle.deciding.evaluate", partial(evaluate, rules=rules))
    lifecycle = house.lifecycle()
    done = house.done(lifecycle, house.pay(lifecycle, 7))
    assert (done.stage, done.failed_at, done.code) == (Stage.FAILED, Stage.POLICY_EVAL, "rule_failed")
    assert "ZeroDivisionError" in done.reason
    assert house.jobs() == {}
    (proof,) = lifecycle.proofs_of(done.id)
    assert b'"outcome":"failed"' in proof.head


def test_what_the_simulation_refuses_fails_there_and_is_proved(house):
    lifecycle = house.lifecycle()
    done = house.done(lifecycle, house.pay(lifecycle, PURSE + 1))
    assert (done.stage, done.failed_at, done.code) == (Stage.FAILED, Stage.SIMULATING, "ERC20InsufficientBalance")
    assert house.jobs() == {}
    (proof,) = lifecycle.proofs_of(done.id)
    assert b'"failedAt":"simulating"' in proof.head
    assert b'"ok":false' in proof.parts


def test_a_batch_with_one_bad_operation_carries_the_others_out(house):
    lifecycle = house.lifecycle(policy=PolicySettings(max_amount={house.usdc: 100}))
    operations_ = [house.pay(lifecycle, amount) for amount in (1, 101, 2, PURSE * 2, 4)]
    ends = [house.done(lifecycle, one).stage for one in operations_]
    assert ends == [Stage.CONFIRMED, Stage.FAILED, Stage.CONFIRMED, Stage.FAILED, Stage.CONFIRMED]
    assert house.paid() == 7


def test_limits_count_what_was_allowed_a_moment_ago_in_the_same_batch(house):
    lifecycle = house.lifecycle(policy=PolicySettings(agent_rate={"hour": 3}))
    made = [house.pay(lifecycle, 1, agent=agent) for agent in ("ann", "ann", "ann", "ann", "bob")]
    ends = [house.done(lifecycle, one) for one in made]
    assert [one.stage is Stage.CONFIRMED for one in ends] == [True, True, True, False, True]
    assert ends[3].code == "agent_rate"


def test_a_call_that_is_refused_after_it_was_decided_ends_at_signing_with_a_proof(house):
    lifecycle = house.lifecycle()
    operation = house.pay(lifecycle, PURSE)
    lifecycle.decide()
    assert lifecycle.find(operation.id).stage is Stage.SIGNING
    # The money goes elsewhere before it is signed.
    house.client_of(house.account).token.transfer("0x" + "06" * 20, PURSE)
    done = house.done(lifecycle, operation)
    assert (done.stage, done.failed_at) == (Stage.FAILED, Stage.SIGNING)
    assert house.paid() == 0
    assert len(lifecycle.proofs_of(done.id)) == 1


def test_a_proof_that_cannot_be_written_keeps_the_verdict_out_as_well(house, monkeypatch):
    lifecycle = house.lifecycle()
    operation = house.pay(lifecycle, 7)
    from coordinator.store import proofs, verdicts

    with broken(monkeypatch, proofs, "add"):
        for _ in range(4):
            with suppress(StoreBusy):
                lifecycle.step()
    assert lifecycle.find(operation.id).stage in (Stage.PENDING, Stage.SIGNING, Stage.SUBMITTING)
    assert house.verdicts(lifecycle) == []
    assert house.proofs(lifecycle) == []
    assert house.done(lifecycle, operation).stage is Stage.CONFIRMED
    assert house.paid() == 7
    with lifecycle.ledger.read() as connection:
        assert len(verdicts.listed(connection, house.key)) == 1


def test_what_is_decided_is_sent_while_nothing_new_can_be_decided(house, faulty):
    lifecycle = house.lifecycle()
    lifecycle.step()
    first = house.pay(lifecycle, 7)
    lifecycle.decide()
    second = house.pay(lifecycle, 8)
    faulty.always("eth_call", drop_before())
    for _ in range(3):
        with suppress(ActpError):
            lifecycle.step()
    assert house.paid() == 7
    assert lifecycle.find(second.id).stage is Stage.PENDING
    faulty.clear()
    assert [house.done(lifecycle, one).stage for one in (first, second)] == [Stage.CONFIRMED] * 2
