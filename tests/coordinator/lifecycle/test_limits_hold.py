"""Limits count what may still come of all that was decided, by whomever, and peaks count nothing twice."""

from __future__ import annotations

import pytest

from actp.chain import dev_accounts
from coordinator.lifecycle import Lifecycle, deciding
from coordinator.policy import PolicySettings
from coordinator.store import exposures, losses, peaks
from coordinator.types import Stage
from tests.coordinator.lifecycle.support import DAY

USDC = 1_000_000


@pytest.fixture
def provider(house):
    return Lifecycle(house.client_of(dev_accounts()[2]))


def create(house, lifecycle, provider, number, amount):
    terms = {
        "escrowNumericId": str(number),
        "counterparty": provider.wallet,
        "amount": str(amount * USDC),
        "deadlineUnixSec": house.client.now() + DAY,
    }
    return house.done(lifecycle, lifecycle.submit("create_escrow", terms, agent="ann"))


def lost(house, lifecycle):
    with lifecycle.ledger.read() as connection:
        return losses.since(connection, house.key, 0).get("ETH", 0)


def peak(house, lifecycle):
    with lifecycle.ledger.read() as connection:
        return peaks.read(connection, house.key)[house.usdc]


def look_at_escrows(lifecycle):
    lifecycle._keeping._escrows_at = float("-inf")  # a second later
    lifecycle._keeping.round()


def settle(lifecycle, rounds=4):
    for _ in range(rounds):
        lifecycle.step()


@pytest.mark.slow
def test_the_loss_of_a_day_counts_what_was_allowed_a_moment_ago_at_its_most(house):
    first = house.lifecycle(policy=PolicySettings(max_daily_loss={"ETH": 10**18}))
    operation = house.pay(first)
    first.decide()
    with first.ledger.read() as connection:
        (open_,) = exposures.under_way(connection, house.key)
    assert house.done(first, operation).stage is Stage.CONFIRMED
    limit = lost(house, first) + open_.most_fee
    second = house.lifecycle(policy=PolicySettings(max_daily_loss={"ETH": limit}))
    made = [house.pay(second) for _ in range(3)]
    assert [house.done(second, one).code for one in made] == [None, "max_daily_loss", "max_daily_loss"]
    assert lost(house, second) <= limit


def test_what_is_not_mined_yet_counts_as_lost_in_the_next_round(house):
    lifecycle = house.lifecycle(policy=PolicySettings(max_daily_loss={"ETH": 10**18}))
    house.pay(lifecycle)
    lifecycle.decide()
    with lifecycle.ledger.read() as connection:
        (open_,) = exposures.under_way(connection, house.key)
    other = house.lifecycle(policy=PolicySettings(max_daily_loss={"ETH": open_.most_fee}))
    operation = house.pay(other)
    other.decide()
    assert other.find(operation.id).code == "max_daily_loss"


def test_fees_are_a_loss_without_a_guard_too(house):
    lifecycle = house.lifecycle(guard=False)
    assert house.done(lifecycle, house.pay(lifecycle)).stage is Stage.CONFIRMED
    assert lost(house, lifecycle) > 0


def test_no_allowance_is_raised_for_what_the_policy_denies_anyway(house, provider):
    lifecycle = house.lifecycle(policy=PolicySettings(max_amount={house.usdc: 5}))
    done = create(house, lifecycle, provider, 1, 500)
    assert (done.stage, done.failed_at, done.code) == (Stage.FAILED, Stage.POLICY_EVAL, "max_amount")
    assert house.client_of(house.account).token.allowance(house.client.escrow.address) == 0
    assert house.jobs() == {}


@pytest.mark.slow
def test_what_came_back_out_of_an_escrow_does_not_raise_the_peak(house, provider):
    lifecycle = house.lifecycle(policy=PolicySettings(max_drawdown_bps=1_000))
    assert create(house, lifecycle, provider, 1, 500).stage is Stage.CONFIRMED
    look_at_escrows(lifecycle)
    before = peak(house, lifecycle)
    refund = provider.submit("refund_escrow", {"escrowNumericId": "1", "creator": house.wallet}, agent="pam")
    assert house.done(provider, refund).stage is Stage.CONFIRMED
    settle(lifecycle)
    # Before anybody looks at the escrow again, and after.
    assert house.done(lifecycle, house.pay(lifecycle)).stage is Stage.CONFIRMED
    assert peak(house, lifecycle) == before
    look_at_escrows(lifecycle)
    assert house.done(lifecycle, house.pay(lifecycle)).stage is Stage.CONFIRMED
    assert peak(house, lifecycle) == before


class Layered:
    """A chain whose receipts should tell a fee of the layer below, and do not: nothing on it can be verified."""

    def present(self, transport, chain_id):
        return True


def test_an_escrow_whose_operation_could_not_be_verified_counts_against_the_limit(house, provider, monkeypatch):
    settings = PolicySettings(max_token_exposure={house.usdc: 150 * USDC})
    lifecycle = house.lifecycle(policy=settings, standing_allowance=900 * USDC)
    monkeypatch.setattr("coordinator.guard.guard.oracle_for", lambda transport: Layered())
    assert [create(house, lifecycle, provider, number, 100).code for number in (1, 2)] == [
        "unverified",
        "max_token_exposure",
    ]
    assert house.paid(house.client.escrow.address) == 100 * USDC


def about_to_be_mined(house):
    """Two processes, the second with a limit, and a payment of the first that is in a block nobody has examined."""
    first = house.lifecycle()
    second = house.lifecycle(policy=PolicySettings(max_concentration_bps=5_000))
    settle(first)
    payment = house.pay(first, 600 * USDC)
    first.decide()
    for _ in range(2):
        first._worker.step()
    return first, second, payment


def test_a_decision_is_not_made_over_a_point_that_another_process_has_left(house):
    first, second, payment = about_to_be_mined(house)
    left = second._following.point()
    assert house.done(first, payment).stage is Stage.CONFIRMED
    operation = house.pay(second, 300 * USDC)
    second._deciding.round(left)
    assert second.find(operation.id).code == "max_concentration_bps"


@pytest.mark.slow
def test_a_decision_is_not_written_if_another_process_leaves_its_point_meanwhile(house, monkeypatch):
    first, second, payment = about_to_be_mined(house)
    left = second._following.point()
    operation = house.pay(second, 7)
    read = deciding.read_holdings

    def slow(*arguments):
        first._following.round()
        return read(*arguments)

    monkeypatch.setattr(deciding, "read_holdings", slow)
    assert second._deciding.round(left) == []
    assert second.find(operation.id).stage is Stage.PENDING
    assert first.find(payment.id).stage is Stage.CONFIRMED
    assert house.done(second, operation).stage is Stage.CONFIRMED
