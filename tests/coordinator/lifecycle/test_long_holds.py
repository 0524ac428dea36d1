"""What had to wait before it was signed is simulated and judged again: by the limits, quotes and approvals of then."""

from __future__ import annotations

import json

import pytest

from actp.engine.store import outbox
from actp.engine.store.schema import IntentStatus
from actp.errors import RpcError
from actp.testing import fail
from coordinator.policy import PolicySettings
from coordinator.types import Stage
from tests.coordinator.lifecycle.support import CONFIRMED_WALK, DAY, PURSE

LONG = 61
AGAIN = [*CONFIRMED_WALK[:4], ("signing", "simulating"), *CONFIRMED_WALK[2:]]


def rounds(lifecycle, count=4):
    for _ in range(count):
        lifecycle.step()


def held(house, lifecycle, clock, operation, seconds=LONG):
    """An operation that is decided, and paused for so long before it is signed."""
    lifecycle.decide()
    assert lifecycle.find(operation.id).stage is Stage.SIGNING
    lifecycle.pause(by="me", reason="look first")
    rounds(lifecycle, 2)
    clock.advance(seconds)
    rounds(lifecycle)
    assert house.paid() == 0
    return lifecycle.find(operation.id)


def resumed(house, lifecycle, operation):
    lifecycle.resume(by="me", reason="looked")
    return house.done(lifecycle, operation, timeout=8)


def test_after_a_long_pause_it_is_judged_again_and_the_journal_says_so(timed, clock):
    lifecycle = timed.lifecycle()
    operation = timed.pay(lifecycle, 7)
    waiting = held(timed, lifecycle, clock, operation)
    assert (waiting.stage, waiting.code) == (Stage.SIMULATING, "outdated")
    assert "judged again" in waiting.reason
    done = resumed(timed, lifecycle, operation)
    assert (done.stage, done.code, done.reason) == (Stage.CONFIRMED, None, None)
    assert timed.journal(lifecycle, operation) == AGAIN
    assert timed.jobs() == {"op-1": IntentStatus.MINED}
    assert timed.paid() == 7
    report = timed.reports()[timed.wallet]
    assert ({one.name for one in report.wrong}, {one.name for one in report.not_checked}) == (set(), {"whose key"})
    assert {one.verdict for one in timed.verdicts(lifecycle)} == {"ok"}


def test_what_waited_a_short_time_is_not_judged_again(timed, clock):
    lifecycle = timed.lifecycle()
    operation = timed.pay(lifecycle, 7)
    assert held(timed, lifecycle, clock, operation, LONG - 2).stage is Stage.SIGNING
    assert resumed(timed, lifecycle, operation).stage is Stage.CONFIRMED
    assert timed.journal(lifecycle, operation) == CONFIRMED_WALK


@pytest.mark.parametrize("pass_time", ["advance", "set_back"])
def test_what_no_process_has_signed_for_long_is_judged_again_without_any_pause(timed, clock, pass_time):
    lifecycle = timed.lifecycle()
    operation = timed.pay(lifecycle, 7)
    lifecycle.decide()
    getattr(clock, pass_time)(LONG)
    assert timed.done(lifecycle, operation, timeout=8).stage is Stage.CONFIRMED
    assert timed.journal(lifecycle, operation) == AGAIN


def test_a_quote_that_became_too_old_while_it_was_held_denies_it(timed, clock):
    lifecycle = timed.lifecycle(policy=PolicySettings(max_quote_age_seconds=50))
    operation = timed.pay(lifecycle, 7, quoted_amount="7", quoted_at=timed.client.now())
    held(timed, lifecycle, clock, operation)
    timed.chain.request("evm_increaseTime", [LONG])
    timed.chain.request("evm_mine", [])
    done = resumed(timed, lifecycle, operation)
    assert (done.stage, done.failed_at, done.code) == (Stage.FAILED, Stage.POLICY_EVAL, "max_quote_age_seconds")
    assert timed.jobs() == {"op-1": IntentStatus.CANCELLED}, "nothing is left that somebody could drive again"
    assert [one.kind for one in lifecycle.proofs_of(operation.id)] == ["proof"]
    assert timed.paid() == 0


def test_a_limit_that_was_lowered_while_it_was_held_denies_it(timed, clock):
    generous, strict = timed.lifecycle(), timed.lifecycle(policy=PolicySettings(max_amount={timed.usdc: 5}))
    operation = timed.pay(generous, 7)
    held(timed, generous, clock, operation)
    done = resumed(timed, strict, operation)
    assert (done.stage, done.failed_at, done.code) == (Stage.FAILED, Stage.POLICY_EVAL, "max_amount")
    assert timed.paid() == 0


def test_money_that_went_elsewhere_while_it_was_held_is_seen_by_the_simulation(timed, clock):
    lifecycle = timed.lifecycle(guard=False)
    operation = timed.pay(lifecycle, PURSE)
    held(timed, lifecycle, clock, operation)
    timed.client_of(timed.account).token.transfer("0x" + "06" * 20, 1)
    done = resumed(timed, lifecycle, operation)
    assert (done.stage, done.failed_at, done.code) == (Stage.FAILED, Stage.SIMULATING, "ERC20InsufficientBalance")


def approved(house, lifecycle, amount=60):
    operation = house.pay(lifecycle, amount)
    lifecycle.decide()
    assert lifecycle.find(operation.id).stage is Stage.APPROVAL_GATE
    lifecycle.approve(operation.id, "boss")
    return operation


def test_an_approval_that_became_too_old_while_it_was_held_is_asked_for_again(timed, clock):
    lifecycle = timed.lifecycle(policy=PolicySettings(approval_over={timed.usdc: 50}))
    operation = approved(timed, lifecycle)
    held(timed, lifecycle, clock, operation, DAY)
    asked = resumed(timed, lifecycle, operation)
    assert (asked.stage, asked.code) == (Stage.APPROVAL_GATE, "approval_required")
    ((_, question),) = lifecycle.waiting()
    assert question.expires_at == clock.time() + DAY
    assert timed.paid() == 0
    lifecycle.approve(operation.id, "boss")
    assert timed.done(lifecycle, operation, timeout=8).stage is Stage.CONFIRMED
    assert timed.paid() == 60


def test_an_approval_of_the_same_day_still_counts(timed, clock):
    lifecycle = timed.lifecycle(policy=PolicySettings(approval_over={timed.usdc: 50}))
    operation = approved(timed, lifecycle)
    held(timed, lifecycle, clock, operation, DAY - 1)
    assert resumed(timed, lifecycle, operation).stage is Stage.CONFIRMED
    assert timed.decided(lifecycle, operation).approved_by == "boss"


def test_an_approval_ages_too_before_it_is_judged_by_it(timed, clock):
    lifecycle = timed.lifecycle(policy=PolicySettings(approval_over={timed.usdc: 50}))
    operation = approved(timed, lifecycle)
    clock.advance(DAY)
    assert timed.done(lifecycle, operation, timeout=8).stage is Stage.APPROVAL_GATE


@pytest.mark.parametrize("answer", ["reject", "expire"])
def test_what_is_refused_when_it_is_asked_for_again_leaves_nothing_in_the_outbox(timed, clock, answer):
    lifecycle = timed.lifecycle(policy=PolicySettings(approval_over={timed.usdc: 50}))
    operation = approved(timed, lifecycle)
    held(timed, lifecycle, clock, operation, DAY)
    assert resumed(timed, lifecycle, operation).stage is Stage.APPROVAL_GATE
    if answer == "reject":
        lifecycle.reject(operation.id, "boss", "too late")
    else:
        clock.advance(DAY)
        rounds(lifecycle)
    assert lifecycle.find(operation.id).stage is Stage.FAILED
    assert timed.jobs() == {"op-1": IntentStatus.CANCELLED}


def test_it_counts_once_for_rates_and_exposure_when_it_is_judged_again(timed, clock):
    lifecycle = timed.lifecycle(policy=PolicySettings(wallet_rate={"day": 1}, max_concentration_bps=6_000))
    operation = timed.pay(lifecycle, PURSE * 6 // 10)
    held(timed, lifecycle, clock, operation)
    assert resumed(timed, lifecycle, operation).stage is Stage.CONFIRMED


def drive(house, number, *, to):
    """Somebody does something with a row of the outbox by hand."""
    now = house.store.clock.time()
    with house.store.write() as connection:
        if to is IntentStatus.QUEUED:
            assert outbox.retry(connection, number, now)
        else:
            assert outbox.move(connection, [number], [IntentStatus.HELD], to, now, code="by_hand", reason="by hand")


@pytest.mark.parametrize("stage", [Stage.SIMULATING, Stage.APPROVAL_GATE])
def test_a_row_that_is_driven_again_while_it_is_judged_again_is_not_signed(timed, clock, stage):
    lifecycle = timed.lifecycle(policy=PolicySettings(approval_over={timed.usdc: 50}))
    operation = approved(timed, lifecycle)
    waiting = held(timed, lifecycle, clock, operation, DAY)
    if stage is Stage.APPROVAL_GATE:
        waiting = resumed(timed, lifecycle, operation)
    drive(timed, waiting.outbox_id, to=IntentStatus.QUEUED)
    rounds(lifecycle)
    assert timed.jobs() == {"op-1": IntentStatus.HELD}
    assert lifecycle.find(operation.id).stage is stage
    assert timed.paid() == 0


@pytest.mark.slow
@pytest.mark.parametrize("stage", [Stage.SIMULATING, Stage.APPROVAL_GATE])
def test_a_row_that_is_cancelled_while_it_is_judged_again_ends_its_operation(timed, clock, stage):
    lifecycle = timed.lifecycle(policy=PolicySettings(approval_over={timed.usdc: 50}))
    operation = approved(timed, lifecycle)
    waiting = held(timed, lifecycle, clock, operation, DAY)
    if stage is Stage.APPROVAL_GATE:
        waiting = resumed(timed, lifecycle, operation)
    drive(timed, waiting.outbox_id, to=IntentStatus.CANCELLED)
    rounds(lifecycle)
    done = lifecycle.find(operation.id)
    assert (done.stage, done.failed_at, done.code) == (Stage.FAILED, stage, "by_hand")
    assert lifecycle.waiting() == []
    assert len(lifecycle.proofs_of(operation.id)) == 1


def test_a_row_that_is_cancelled_in_the_middle_of_the_second_decision_is_not_sent(timed, clock, monkeypatch):
    lifecycle = timed.lifecycle()
    operation = timed.pay(lifecycle, 7)
    waiting = held(timed, lifecycle, clock, operation)
    judge = lifecycle._deciding._judge

    def slowly(cases, book):
        judge(cases, book)
        if cases:
            drive(timed, waiting.outbox_id, to=IntentStatus.CANCELLED)

    monkeypatch.setattr(lifecycle._deciding, "_judge", slowly)
    done = resumed(timed, lifecycle, operation)
    assert (done.stage, done.failed_at, done.code) == (Stage.FAILED, Stage.SIMULATING, "by_hand")
    assert timed.paid() == 0


@pytest.mark.slow
def test_the_proof_is_of_the_decision_that_another_process_made_when_it_judged_again(timed, clock):
    first, second = timed.lifecycle(), timed.lifecycle(policy=PolicySettings(max_amount={timed.usdc: 10}))
    operation = timed.pay(first, 7)
    held(timed, first, clock, operation)
    first.resume(by="me", reason="looked")
    second.decide()
    assert timed.done(first, operation, timeout=8).stage is Stage.CONFIRMED
    (proof,) = first.proofs_of(operation.id)
    assert json.loads(proof.parts)["policy"]["policyVersion"] == second.policy.version


def test_what_was_signed_once_keeps_its_decision_because_it_may_be_mined_yet(timed, clock, faulty):
    lifecycle = timed.lifecycle()
    rounds(lifecycle, 1)
    faulty.once("eth_sendRawTransaction", fail(RpcError(-32000, "insufficient funds for gas * price + value")))
    operation = timed.pay(lifecycle, 7)
    rounds(lifecycle, 2)
    assert timed.jobs() == {"op-1": IntentStatus.QUEUED}, "refused, and to be tried again"
    clock.advance(LONG)
    assert timed.done(lifecycle, operation, timeout=8).stage is Stage.CONFIRMED
    assert timed.journal(lifecycle, operation) == CONFIRMED_WALK
