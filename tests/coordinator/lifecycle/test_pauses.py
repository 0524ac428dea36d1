"""A pause that is committed stops the next signature, whatever was decided before."""

from __future__ import annotations

import pytest

from actp.engine import Worker
from actp.engine.gates import HoldMissing
from coordinator.errors import AgentPaused
from coordinator.lifecycle import Request
from coordinator.types import Stage
from tests.coordinator.lifecycle.support import HASTY


def decided(house, lifecycle, **options):
    """An operation that is allowed, and not signed yet."""
    operation = house.pay(lifecycle, 7, **options)
    lifecycle.decide()
    assert lifecycle.find(operation.id).stage is Stage.SIGNING
    return operation


def rounds(lifecycle, count=5):
    for _ in range(count):
        lifecycle.step()


@pytest.mark.parametrize("agent", ["ann", None], ids=["agent", "treasury"])
def test_a_pause_before_the_next_signature_stops_what_was_decided_already(anywhere, agent):
    lifecycle = anywhere.lifecycle()
    operation = decided(anywhere, lifecycle)
    # Another process pauses.
    assert anywhere.lifecycle().pause(agent, by="me", reason="look first")
    rounds(lifecycle)
    assert lifecycle.find(operation.id).stage is Stage.SIGNING
    assert anywhere.paid() == 0
    assert lifecycle.resume(agent, by="me", reason="looked")
    assert anywhere.done(lifecycle, operation, timeout=6).stage is Stage.CONFIRMED, "it does not wait for its next turn"
    assert anywhere.paid() == 7


def test_a_pause_of_one_agent_stops_no_other(house):
    lifecycle = house.lifecycle()
    stopped = decided(house, lifecycle)
    lifecycle.pause("ann", by="me", reason="look first")
    other = house.pay(lifecycle, 5, agent="bob")
    assert house.done(lifecycle, other).stage is Stage.CONFIRMED
    assert lifecycle.find(stopped.id).stage is Stage.SIGNING
    assert house.paid() == 5


@pytest.mark.parametrize("agent", ["ann", None], ids=["agent", "treasury"])
def test_nothing_new_is_taken_in_or_decided_while_it_is_paused(house, agent):
    lifecycle = house.lifecycle()
    before = house.pay(lifecycle, 7, key="before")
    lifecycle.pause(agent, by="me", reason="look first")
    with pytest.raises(AgentPaused, match="look first"):
        house.pay(lifecycle, 8)
    assert house.pay(lifecycle, 7, key="before").id == before.id, "what is known already is only looked up"
    rounds(lifecycle)
    assert lifecycle.find(before.id).stage is Stage.PENDING
    lifecycle.resume(agent, by="me", reason="looked")
    assert house.done(lifecycle, before).stage is Stage.CONFIRMED


def test_a_pause_ends_only_by_somebody_and_is_in_the_journal_with_its_reason(house):
    lifecycle = house.lifecycle()
    assert lifecycle.pause("ann", by="me", reason="first")
    assert not lifecycle.pause("ann", by="you", reason="second")
    assert [(one.agent, one.by, one.reason) for one in house.lifecycle().paused()] == [("ann", "me", "first")]
    assert not lifecycle.resume(by="me", reason="treasury was not paused")
    assert lifecycle.resume("ann", by="you", reason="fine")
    assert lifecycle.paused() == []
    assert not lifecycle.resume("ann", by="you", reason="fine")


@pytest.mark.parametrize("agent", ["ann", None], ids=["agent", "treasury"])
def test_questions_are_answered_while_it_is_paused(house, agent):
    lifecycle = house.lifecycle()
    lifecycle.pause(agent, by="me", reason="look first")
    asked = lifecycle.query("query_balance", {}, agent="ann")
    assert (asked.stage, asked.result is None) == (Stage.CONFIRMED, False)
    later = lifecycle.submit("query_positions", {}, agent="ann")
    assert house.done(lifecycle, later).stage is Stage.CONFIRMED
    with pytest.raises(AgentPaused):
        lifecycle.query("transfer_erc20", {"to": house.wallet, "amount": "1"}, agent="ann")
    with pytest.raises(AgentPaused):
        lifecycle.submit_all(
            [
                Request("query_balance", {}, "ann", "question"),
                Request("transfer_erc20", {"to": house.wallet, "amount": "1"}, "ann", "no question"),
            ]
        )


@pytest.mark.parametrize("agent", ["ann", None], ids=["agent", "treasury"])
def test_a_worker_that_knows_of_no_pauses_signs_nothing_of_a_treasury(anywhere, agent):
    lifecycle = anywhere.lifecycle()
    operation = decided(anywhere, lifecycle)
    lifecycle.pause(agent, by="me", reason="look first")
    plain = Worker(
        anywhere.node, anywhere.client.signer, chain_id=anywhere.chain.chain_id, store=anywhere.store, policy=HASTY
    )
    with pytest.raises(HoldMissing, match=anywhere.wallet):
        plain.step()
    assert lifecycle.find(operation.id).stage is Stage.SIGNING
    assert anywhere.paid() == 0
