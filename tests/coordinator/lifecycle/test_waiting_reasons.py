"""What does not get on says why, and what others' code does stops nothing but what it was asked about."""

from __future__ import annotations

import threading

import pytest

from actp.engine.fees import FeePolicy
from actp.engine.store import outbox
from actp.engine.store.schema import IntentStatus
from actp.testing import drop_before
from coordinator.policy import PolicySettings
from coordinator.types import Stage


def rounds(lifecycle, count=4):
    for _ in range(count):
        lifecycle.step()


def submitted(house, lifecycle, faulty):
    """An operation whose bytes are stored, and reach no node."""
    lifecycle.step()
    faulty.always("eth_sendRawTransaction", drop_before())
    operation = house.pay(lifecycle, 7)
    rounds(lifecycle)
    assert lifecycle.find(operation.id).stage is Stage.SUBMITTING
    return lifecycle.find(operation.id)


def engine_says(house, operation, before, after, code, reason):
    with house.store.write() as connection:
        now = house.store.clock.time()
        assert outbox.move(connection, [operation.outbox_id], [before], after, now, code=code, reason=reason) == 1


@pytest.mark.parametrize("guard", [True, False], ids=["guarded", "not guarded"])
def test_an_operation_whose_end_the_engine_cannot_tell_says_so_and_so_does_its_response(house, faulty, guard):
    lifecycle = house.lifecycle(guard=guard)
    operation = submitted(house, lifecycle, faulty)
    reason = "Nobody tells what used its nonce 0."
    engine_says(house, operation, IntentStatus.OPEN, IntentStatus.UNKNOWN, "unknown", reason)
    rounds(lifecycle)
    waiting = lifecycle.find(operation.id)
    assert (waiting.stage, waiting.code, waiting.reason) == (Stage.SUBMITTING, "unknown", reason)
    answer = lifecycle.response(waiting)
    assert (answer["status"], answer["data"]["reason"]) == ("pending", reason)
    at = waiting.updated_at
    rounds(lifecycle)
    assert lifecycle.find(operation.id).updated_at == at, "it is written once"
    # Somebody finds out that it was not paid.
    faulty.clear()
    with house.store.write() as connection:
        assert outbox.retry(connection, operation.outbox_id, house.store.clock.time(), not_paid=True)
    done = house.done(lifecycle, operation)
    assert (done.stage, done.code, done.reason) == (Stage.CONFIRMED, None, None)


def test_one_that_was_never_seen_signed_is_submitted_and_says_so_too(house, faulty):
    lifecycle = house.lifecycle()
    lifecycle.step()
    faulty.always("eth_sendRawTransaction", drop_before())
    operation = house.pay(lifecycle, 7)
    lifecycle.decide()
    lifecycle._worker.step()
    operation = lifecycle.find(operation.id)
    assert operation.stage is Stage.SIGNING
    engine_says(house, operation, IntentStatus.OPEN, IntentStatus.UNKNOWN, "unknown", "Nobody tells.")
    lifecycle._following.round()
    now = lifecycle.find(operation.id)
    assert (now.stage, now.code, now.reason) == (Stage.SUBMITTING, "unknown", "Nobody tells.")


def test_what_is_paused_or_waits_for_lower_fees_says_so_until_it_goes_on(house):
    lifecycle = house.lifecycle(fee_policy=FeePolicy(max_fee_per_gas=1))
    operation = house.pay(lifecycle, 7)
    lifecycle.decide()
    rounds(lifecycle)
    waiting = lifecycle.find(operation.id)
    assert (waiting.stage, waiting.code) == (Stage.SIGNING, "fee_too_high")
    assert "cap" in waiting.reason
    richer = house.lifecycle()
    lifecycle.close()
    richer.pause("ann", by="me", reason="look first")
    rounds(richer)
    waiting = richer.find(operation.id)
    assert (waiting.stage, waiting.code) == (Stage.SIGNING, "paused")
    assert "look first" in waiting.reason
    richer.resume("ann", by="me", reason="looked")
    done = house.done(richer, operation)
    assert (done.stage, done.code, done.reason) == (Stage.CONFIRMED, None, None)


def explodes(service):
    raise ZeroDivisionError("a bug in somebody's table of prices, with a key 0xabc in its text")


def quoted(house, lifecycle, **more):
    fields = {"service": "translation", "quoted_amount": "7", "quoted_at": house.client.now(), **more}
    return house.pay(lifecycle, 7, **fields)


@pytest.mark.slow
@pytest.mark.parametrize("limit", [None, 100], ids=["nobody looks at it", "a rule looks at it"])
def test_a_reference_price_that_raises_denies_what_it_was_asked_about_and_stops_nothing_else(house, limit):
    lifecycle = house.lifecycle(policy=PolicySettings(oracle_deviation_bps=limit), reference=explodes)
    denied, other = quoted(house, lifecycle), house.pay(lifecycle, 5)
    assert house.done(lifecycle, other).stage is Stage.CONFIRMED
    done = lifecycle.find(denied.id)
    assert (done.stage, done.failed_at, done.code) == (Stage.FAILED, Stage.POLICY_EVAL, "rule_failed")
    assert "ZeroDivisionError" in done.reason
    assert "0xabc" not in done.reason
    assert house.journal(lifecycle, denied)[-1] == ("policy_eval", "failed")
    (proof,) = lifecycle.proofs_of(denied.id)
    assert b'"decision":"deny"' in proof.parts
    assert house.paid() == 5


def test_run_goes_on_after_a_reference_price_that_raises(house):
    lifecycle = house.lifecycle(reference=explodes)
    denied = quoted(house, lifecycle)
    stop = threading.Event()
    thread = threading.Thread(target=lifecycle.run, args=[stop])
    thread.start()
    try:
        other = house.pay(lifecycle, 5)
        for _ in range(200):
            if lifecycle.find(other.id).stage is Stage.CONFIRMED:
                break
            stop.wait(0.05)
        assert thread.is_alive()
    finally:
        stop.set()
        thread.join(20)
    assert lifecycle.find(other.id).stage is Stage.CONFIRMED
    assert lifecycle.find(denied.id).code == "rule_failed"


def test_it_denies_too_what_waits_for_the_allowance(house):
    lifecycle = house.lifecycle(reference=explodes)
    terms = {
        "escrowNumericId": "1",
        "counterparty": "0x" + "05" * 20,
        "amount": "10000000",
        "deadlineUnixSec": house.client.now() + 3_600,
        "service": "translation",
    }
    done = house.done(lifecycle, lifecycle.submit("create_escrow", terms, agent="ann"))
    assert (done.stage, done.code) == (Stage.FAILED, "rule_failed")
