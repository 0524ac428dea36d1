"""The vault's allowance: what exceeds it waits for the treasury's own operation, and never asks for too little."""

from __future__ import annotations

import pytest

from actp.chain import dev_accounts
from coordinator.policy import PolicySettings
from coordinator.store import operations
from coordinator.types import IntentType, Stage
from tests.coordinator.lifecycle.support import DAY

USDC = 1_000_000


@pytest.fixture
def provider():
    return dev_accounts()[2].address


def create(house, lifecycle, provider, number, amount):
    terms = {
        "escrowNumericId": str(number),
        "counterparty": provider,
        "amount": str(amount * USDC),
        "deadlineUnixSec": house.client.now() + DAY,
    }
    return lifecycle.submit("create_escrow", terms, agent="ann", key=f"escrow-{number}")


def raises(house, lifecycle):
    """The treasury's own operations."""
    with lifecycle.ledger.read() as connection:
        found = operations.listed(connection, house.key, agent="treasury")
    assert {one.type for one in found} <= {IntentType.APPROVE_ERC20}
    return found


def allowance(house):
    return house.client_of(house.account).token.allowance(house.client.escrow.address)


def test_a_create_waits_until_the_treasury_has_raised_the_allowance(house, provider):
    lifecycle = house.lifecycle()
    operation = create(house, lifecycle, provider, 1, 10)
    lifecycle.decide()
    waiting = lifecycle.find(operation.id)
    assert (waiting.stage, waiting.code) == (Stage.PENDING, "waiting_for_allowance")
    (raising,) = raises(house, lifecycle)
    assert raising.intent["amount"] == str(10 * USDC)
    assert house.done(lifecycle, operation).stage is Stage.CONFIRMED
    assert lifecycle.find(raising.id).stage is Stage.CONFIRMED
    assert allowance(house) == 0


@pytest.mark.slow
def test_many_at_once_are_raised_together_and_a_standing_allowance_lasts(house, provider):
    lifecycle = house.lifecycle(standing_allowance=100 * USDC)
    first = [create(house, lifecycle, provider, number, 10) for number in range(3)]
    assert [house.done(lifecycle, one).stage for one in first] == [Stage.CONFIRMED] * 3
    assert [one.intent["amount"] for one in raises(house, lifecycle)] == [str(100 * USDC)]
    later = [create(house, lifecycle, provider, number, 10) for number in range(3, 10)]
    assert [house.done(lifecycle, one).stage for one in later] == [Stage.CONFIRMED] * 7
    assert len(raises(house, lifecycle)) == 1
    assert allowance(house) == 0


def test_what_is_on_its_way_is_not_counted_twice(house, provider):
    lifecycle = house.lifecycle()
    house.client_of(house.account).token.approve(house.client.escrow.address, 15 * USDC)
    made = []
    for number in range(2):
        made.append(create(house, lifecycle, provider, number, 10))
        lifecycle.decide()
    assert [lifecycle.find(one.id).stage for one in made] == [Stage.SIGNING, Stage.PENDING]
    (raising,) = raises(house, lifecycle)
    assert raising.intent["amount"] == str(20 * USDC), (
        "the allowance is set, not added to, while the first is on its way"
    )
    assert [house.done(lifecycle, one).stage for one in made] == [Stage.CONFIRMED] * 2


def test_when_the_allowance_is_refused_what_waits_for_it_fails_and_says_so(house, provider):
    nobody = "0x" + "09" * 20
    lifecycle = house.lifecycle(policy=PolicySettings(allowed_spenders=[nobody]))
    done = house.done(lifecycle, create(house, lifecycle, provider, 1, 10))
    assert (done.stage, done.failed_at, done.code) == (Stage.FAILED, Stage.SIMULATING, "allowance_failed")
    (raising,) = raises(house, lifecycle)
    assert (raising.stage, raising.code) == (Stage.FAILED, "allowed_spenders")
    assert str(raising.id) in done.reason


def test_payments_go_on_while_a_create_waits(house, provider):
    lifecycle = house.lifecycle(policy=PolicySettings(approval_over={house.usdc: 50 * USDC}))
    waiting = create(house, lifecycle, provider, 1, 40)
    assert house.done(lifecycle, house.pay(lifecycle, 3)).stage is Stage.CONFIRMED
    assert house.done(lifecycle, waiting).stage is Stage.CONFIRMED


@pytest.mark.slow
def test_what_can_never_be_built_fails_while_more_is_on_its_way_than_the_allowance_suffices_for(house, provider):
    house.client_of(house.account).token.approve(house.client.escrow.address, 10 * USDC)
    lifecycle = house.lifecycle(guard=False)
    made = create(house, lifecycle, provider, 1, 10)
    lifecycle.decide()
    assert lifecycle.find(made.id).stage is Stage.SIGNING
    house.client_of(house.account).token.approve(house.client.escrow.address, 4 * USDC)
    name = {"escrowNumericId": "99", "creator": house.wallet}
    never = lifecycle.submit("release_escrow", name, agent="ann")
    lifecycle.decide()
    done = lifecycle.find(never.id)
    assert (done.stage, done.failed_at, done.code) == (Stage.FAILED, Stage.SIMULATING, "unknown_transaction")
    assert raises(house, lifecycle) == [], "and no allowance is asked for"


@pytest.mark.slow
def test_what_is_decided_while_a_reorganisation_has_taken_the_allowance_waits_for_it(house, provider):
    lifecycle = house.lifecycle(standing_allowance=100 * USDC)
    lifecycle.step()
    before = house.chain.snapshot()
    first = create(house, lifecycle, provider, 1, 10)
    assert house.done(lifecycle, first).stage is Stage.CONFIRMED
    house.chain.revert(before)
    second = create(house, lifecycle, provider, 2, 10)
    lifecycle.decide()  # before anybody has looked: at the point there was an allowance
    assert (lifecycle.find(second.id).stage, allowance(house)) == (Stage.PENDING, 0)
    for _ in range(3):
        house.chain.request("evm_mine", [])
    assert house.done(lifecycle, second).stage is Stage.CONFIRMED
    assert house.done(lifecycle, first).stage is Stage.CONFIRMED
