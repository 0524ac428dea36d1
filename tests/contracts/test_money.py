"""Fees, locked rates and the penalty, to the last unit.

`World` looks into the books after each call, so none of these tests can pass with a unit lost or made up.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contracts.kernel_support import AMOUNT, FREE, HOUR, USDC, Economics, State, World

OpenWorld = Callable[..., World]
FEE = USDC
"""The fee of `AMOUNT`: 1 %."""
BOND = 5 * USDC
"""The bond for `AMOUNT`: 5 %."""


# ---------------------------------------------------------------- fees


@pytest.mark.parametrize(
    ("economics", "amount", "fee"),
    [
        (Economics(), AMOUNT, USDC),
        (Economics(), 50_000, 50_000),  # the minimum fee takes the whole payout
        (Economics(), 50_001, 50_000),
        (Economics(), 4_999_999, 50_000),
        (Economics(), 5_000_000, 50_000),
        (Economics(), 5_000_100, 50_001),
        (Economics(), 5_000_199, 50_001),  # rounded down
        (Economics(), 10**15, 10**13),
        (Economics(min_fee=0), 50_099, 500),
        (Economics(fee_bps=500, min_fee=0), 10**15, 5 * 10**13),
        (Economics(fee_bps=0, min_fee=60_000), 50_000, 50_000),
        (FREE, AMOUNT, 0),
    ],
)
def test_fee_of_a_settlement(open_world: OpenWorld, economics: Economics, amount: int, fee: int) -> None:
    world = open_world(economics=economics)
    transaction_id = world.reach(State.DELIVERED, amount)
    gained = world.gains(world.provider, world.fee_recipient)
    receipt = world.settle(transaction_id)
    assert gained() == [amount - fee, 0]
    assert world.kernel.read("accruedFees") == fee
    assert [values.amount for values in receipt.of("PlatformFeeAccrued")] == [fee] * (fee > 0)
    released = receipt.one("EscrowReleased")
    assert (released.transactionId, released.recipient) == (transaction_id, world.provider)
    assert (released.amount, released.timestamp) == (amount - fee, receipt.timestamp)


def test_fees_accrue_and_only_their_recipient_takes_them(world: World) -> None:
    world.refuse("NothingToWithdraw", "withdrawFees", sender=world.fee_recipient)
    for _ in range(2):
        world.settle(world.reach(State.DELIVERED))
    world.refuse("NotFeeRecipient", "withdrawFees", sender=world.admin, caller=world.admin)
    gained = world.gains(world.fee_recipient)
    withdrawn = world.send("withdrawFees", sender=world.fee_recipient).one("FeesWithdrawn")
    assert (withdrawn.recipient, withdrawn.amount) == (world.fee_recipient, 2 * FEE)
    assert gained() == [2 * FEE]
    world.refuse("NothingToWithdraw", "withdrawFees", sender=world.fee_recipient)


def test_accrued_fees_stay_owed_to_the_old_recipient(world: World) -> None:
    world.settle(world.reach(State.DELIVERED))
    changed = world.send("updateFeeRecipient", world.stranger, sender=world.admin).one("FeeRecipientUpdated")
    assert (changed.oldRecipient, changed.newRecipient) == (world.fee_recipient, world.stranger)
    assert (world.credit(world.fee_recipient), world.kernel.read("accruedFees")) == (FEE, 0)
    world.settle(world.reach(State.DELIVERED))
    gained = world.gains(world.stranger, world.fee_recipient)
    world.send("withdrawFees", sender=world.stranger)
    world.send("withdrawCredit", world.fee_recipient, sender=world.payer)
    assert gained() == [FEE, FEE]


def test_each_milestone_pays_its_own_fee(world: World) -> None:
    transaction_id = world.reach(State.IN_PROGRESS)
    gained = world.gains(world.provider)
    receipt = world.milestone(transaction_id, 10 * USDC)
    released = receipt.one("EscrowMilestoneReleased")
    assert (released.transactionId, released.amount, released.timestamp) == (
        transaction_id, 10 * USDC, receipt.timestamp,
    )  # fmt: skip
    assert receipt.one("PlatformFeeAccrued").amount == 100_000
    assert gained() == [9_900_000]
    assert world.milestone(transaction_id, USDC).one("PlatformFeeAccrued").amount == 50_000
    world.deliver(transaction_id)
    assert world.settle(transaction_id).one("PlatformFeeAccrued").amount == 890_000
    assert gained() == [AMOUNT - 100_000 - 50_000 - 890_000]


def test_refund_after_milestones_is_the_rest(world: World) -> None:
    transaction_id = world.reach(State.IN_PROGRESS)
    world.milestone(transaction_id, 30 * USDC)
    gained = world.gains(world.requester, world.provider)
    refunded = world.cancel(transaction_id, sender=world.provider).one("EscrowRefunded")
    assert (refunded.recipient, refunded.amount) == (world.requester, 70 * USDC)
    assert gained() == [70 * USDC, 0]


@pytest.mark.parametrize("how", ["transitionState", "releaseEscrow"])
def test_requester_may_settle_at_once_either_way(world: World, how: str) -> None:
    transaction_id = world.reach(State.DELIVERED)
    gained = world.gains(world.provider)
    rest = (State.SETTLED, b"") if how == "transitionState" else ()
    world.send(how, transaction_id, *rest, sender=world.requester)
    assert gained() == [AMOUNT - FEE]


# ---------------------------------------------------------------- locked rates


def test_rates_are_locked_at_creation(world: World) -> None:
    transaction_id = world.create()
    world.change_rates(500, 5_000, 2_000)
    view = world.view(transaction_id)
    locked = (view.platformFeeBpsLocked, view.requesterPenaltyBpsLocked, view.disputeBondBpsLocked)
    assert locked == (100, 500, 500)
    newer = world.view(world.create())
    assert (newer.platformFeeBpsLocked, newer.requesterPenaltyBpsLocked, newer.disputeBondBpsLocked) == (
        500, 5_000, 2_000,
    )  # fmt: skip
    world.fund(transaction_id)
    world.start(transaction_id)
    world.deliver(transaction_id)
    assert world.kernel.read("requiredBond", transaction_id) == BOND
    assert world.settle(transaction_id).one("PlatformFeeAccrued").amount == FEE


def test_accepted_quote_locks_the_fee_anew_but_neither_penalty_nor_bond(world: World) -> None:
    transaction_id = world.reach(State.QUOTED)
    world.change_rates(200, 1_000, 1_000)
    world.send("acceptQuote", transaction_id, AMOUNT * 2, sender=world.requester)
    world.change_rates(300, 2_000, 2_000)
    world.send("acceptQuote", transaction_id, AMOUNT * 2, sender=world.requester)
    world.change_rates(400, 3_000, 100)
    view = world.view(transaction_id)
    locked = (view.platformFeeBpsLocked, view.requesterPenaltyBpsLocked, view.disputeBondBpsLocked)
    assert locked == (300, 500, 500)
    world.fund(transaction_id)
    with world.undone():
        world.send("announceCancellation", transaction_id, sender=world.requester)
        world.pass_time(HOUR)
        gained = world.gains(world.provider)
        world.send("cancelEarly", transaction_id, sender=world.requester)
        assert gained() == [10 * USDC]
    world.start(transaction_id)
    world.deliver(transaction_id)
    assert world.dispute(transaction_id).one("BondPosted").amount == 10 * USDC
    assert world.rule(transaction_id).one("PlatformFeeAccrued").amount == 6 * USDC


def test_rates_of_many_records_stay_apart(world: World) -> None:
    ids = {}
    for bond_bps in (100, 200, 300, 400):
        world.send("updateDisputeBondBps", bond_bps, sender=world.admin)
        ids[bond_bps] = world.create()
    assert {bps: world.view(one).disputeBondBpsLocked for bps, one in ids.items()} == {bps: bps for bps in ids}


# ---------------------------------------------------------------- penalty


@pytest.mark.parametrize(("penalty_bps", "penalty"), [(500, 5 * USDC), (5_000, 50 * USDC), (0, 0)])
def test_walking_away_early_costs_the_penalty(open_world: OpenWorld, penalty_bps: int, penalty: int) -> None:
    world = open_world(economics=Economics(penalty_bps=penalty_bps))
    transaction_id = world.reach(State.COMMITTED)
    world.send("announceCancellation", transaction_id, sender=world.requester)
    world.pass_time(HOUR)
    gained = world.gains(world.requester, world.provider)
    receipt = world.send("cancelEarly", transaction_id, sender=world.requester)
    assert gained() == [AMOUNT - penalty, penalty]
    assert [values.amount for values in receipt.of("PenaltyPaid")] == [penalty] * (penalty > 0)
    assert receipt.one("EscrowRefunded").amount == AMOUNT - penalty
