"""What others do to escrows of ours on our behalf is compared with the escrow's own terms."""

from __future__ import annotations

import pytest

from actp.chain import dev_accounts
from actp.kernel_views import Constants
from tests.client.support import FEE, HOUR, PRICE, delivered, funded, started
from tests.coordinator.lifecycle.test_same_block import rich

REQUESTER = dev_accounts()[2]


@pytest.fixture
def requester(house):
    return rich(house, REQUESTER)


def settled_by_a_stranger(house, requester):
    """A delivery of ours, paid out by somebody else when its window is over."""
    number = delivered(requester, house.client_of(house.account))
    lifecycle = house.lifecycle()
    lifecycle.step()
    house.chain.request("evm_increaseTime", [HOUR + 1])
    house.chain.request("evm_mine", [])
    house.client_of(dev_accounts()[5]).release_escrow(number)
    for _ in range(3):
        lifecycle.step()
    return lifecycle


def found(house, lifecycle):
    return [(one.kind, int(one.detail["amount"])) for one in house.findings(lifecycle, None)]


def test_a_settlement_by_a_stranger_that_keeps_the_terms_is_received(house, requester):
    lifecycle = settled_by_a_stranger(house, requester)
    assert found(house, lifecycle) == [("received", PRICE - FEE)]
    assert lifecycle.paused() == []


def test_a_settlement_by_a_stranger_that_pays_less_than_the_terms_say_pauses_the_treasury(
    house, requester, monkeypatch
):
    # The terms say a fee of one unit less than the one that the kernel takes.
    monkeypatch.setattr(Constants, "fee", lambda self, amount, bps: amount * bps // 10_000 - 1)
    lifecycle = settled_by_a_stranger(house, requester)
    assert ("terms_differ", 1) in found(house, lifecycle)
    assert [one.agent for one in lifecycle.paused()] == [None]


def test_what_is_left_after_a_milestone_keeps_the_terms(house, requester):
    number = started(requester, house.client_of(house.account))
    requester.kernel.release_milestone(number, PRICE // 2)
    house.client_of(house.account).kernel.deliver(number)
    lifecycle = house.lifecycle()
    lifecycle.step()
    requester.release_escrow(number)
    for _ in range(3):
        lifecycle.step()
    assert found(house, lifecycle) == [("received", PRICE // 2 - FEE // 2)]


@pytest.mark.slow
@pytest.mark.parametrize("milestone", [0, PRICE // 4])
def test_a_refund_by_the_other_party_keeps_the_terms(house, requester, milestone):
    owner = house.client_of(house.account)
    number = (started if milestone else funded)(owner, requester)
    if milestone:
        owner.kernel.release_milestone(number, milestone)
    lifecycle = house.lifecycle()
    lifecycle.step()
    requester.kernel.cancel(number)
    for _ in range(3):
        lifecycle.step()
    assert found(house, lifecycle) == [("received", PRICE - milestone)]
    assert lifecycle.paused() == []


@pytest.mark.slow
def test_milestones_and_rulings_of_others_pause_nobody(house, requester):
    owner, judge = house.client_of(house.account), house.client_of(dev_accounts()[0])
    number, other = started(requester, owner), delivered(requester, owner, deadline=requester.now() + 9 * HOUR)
    lifecycle = house.lifecycle()
    lifecycle.step()
    requester.kernel.release_milestone(number, PRICE // 4)
    requester.kernel.dispute(other)
    judge.kernel.resolve(other, requester_amount=PRICE // 2, provider_amount=PRICE // 2, provider_at_fault=False)
    for _ in range(3):
        lifecycle.step()
    assert {kind for kind, _ in found(house, lifecycle)} == {"received"}
    assert lifecycle.paused() == []
