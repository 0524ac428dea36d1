"""A pause that is committed stops the next signature, whatever was decided before."""

from __future__ import annotations

import pytest

from coordinator.errors import AgentPaused
from coordinator.types import Stage


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
