"""Defect 5, the other way round: a caller cannot make a payment fail by giving it little gas.

For every gas limit a call either reverts as a whole or pays what the token would have paid. A gated token fails fast
when it gets less gas than it needs, which leaves its caller enough to write a credit: the worst case for the vault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.contracts.kernel_support import DAY, USDC, State, World
from tests.contracts.orders import (
    FOREVER,
    USUAL,
    order,
    place_many,
    placed,
    salt,
    salted_id,
    sign_permit,
    sign_split,
    three_parts,
)

OpenWorld = Callable[..., World]
LIMITS = range(40_000, 220_000, 2_000)


def outcomes(world: World, function: str, *args: object, sender: str) -> Iterator[tuple[int, set[str]]]:
    """Gas limit and names of the events, for gas limits with which the call does not revert."""

    def succeeds(gas: int) -> bool:
        return world.kernel.refusal(function, *args, sender=sender, gas=gas) is None

    enough = [gas for gas in LIMITS if succeeds(gas)]
    assert enough[0] > LIMITS[0]
    assert enough[-1] == LIMITS[-1]
    # A push can starve only near the least gas with which the call succeeds, so that is looked at most closely.
    edge = [gas for gas in range(enough[0] - 2_000, enough[0] + 2_000, 400) if succeeds(gas)]
    for gas in sorted({*edge, *enough[:8], *enough[8::6], enough[-1]}):
        with world.undone():
            receipt = world.kernel.send(function, *args, sender=sender, gas=gas)
            yield gas, {event.name for event in receipt.events}


@pytest.mark.parametrize("token", ["PlainERC20", "TestUSDC", "gated 60000"])
@pytest.mark.slow
def test_defect_05_a_caller_who_gives_little_gas_cannot_turn_a_settlement_into_a_credit(
    open_world: OpenWorld, token: str
) -> None:
    world = open_world(token)
    transaction_id = world.reach(State.DELIVERED)
    world.warp(world.window_end(transaction_id) + 1)
    call = ("transitionState", transaction_id, State.SETTLED, b"")
    for gas, events in outcomes(world, *call, sender=world.stranger):
        assert "EscrowPayout" in events, gas
        assert "CreditAccrued" not in events, gas


@pytest.mark.slow
def test_defect_05_a_payee_with_a_credit_is_no_easier_to_starve(world: World) -> None:
    """Adding to a credit costs much less gas than making one."""
    transaction_id, other = world.reach(State.DELIVERED), world.reach(State.DELIVERED)
    world.block(world.provider)
    world.settle(other)
    world.unblock(world.provider)
    world.warp(world.window_end(transaction_id) + 1)
    for gas, events in outcomes(world, "releaseEscrow", transaction_id, sender=world.stranger):
        assert "EscrowPayout" in events, gas
        assert "CreditAccrued" not in events, gas


@pytest.mark.slow
def test_defect_05_a_caller_who_gives_little_gas_cannot_turn_a_refund_into_a_credit(open_world: OpenWorld) -> None:
    world = open_world("gated 60000")
    transaction_id = world.reach(State.COMMITTED)
    world.warp(world.deadline(transaction_id) + 7 * DAY + 1)
    call = ("transitionState", transaction_id, State.CANCELLED, b"")
    for gas, events in outcomes(world, *call, sender=world.stranger):
        assert "EscrowPayout" in events, gas
        assert "CreditAccrued" not in events, gas


@pytest.mark.parametrize("token", ["TestUSDC", "gated 60000"])
@pytest.mark.slow
def test_defect_05_a_disputer_who_gives_little_gas_cannot_owe_a_bond_that_it_could_pay(
    open_world: OpenWorld, token: str
) -> None:
    world = open_world(token)
    transaction_id = world.reach(State.DELIVERED)
    call = ("transitionState", transaction_id, State.DISPUTED, b"")
    for gas, events in outcomes(world, *call, sender=world.requester):
        assert "BondPosted" in events, gas
        assert "BondOwed" not in events, gas


@pytest.mark.slow
def test_defect_05_a_starved_withdrawal_keeps_the_credit(open_world: OpenWorld) -> None:
    world = open_world("gated 60000")
    world.settle(world.reach(State.DELIVERED))
    world.send("updateFeeRecipient", world.payer, sender=world.admin)
    for gas, events in outcomes(world, "withdrawCredit", world.fee_recipient, sender=world.stranger):
        assert {"CreditWithdrawn", "EscrowPayout"} <= events, gas


def test_defect_05_a_starved_push_says_how_much_gas_it_needs(open_world: OpenWorld) -> None:
    world = open_world("gated 60000")
    transaction_id = world.reach(State.DELIVERED)
    refusals = [
        world.kernel.refusal("releaseEscrow", transaction_id, sender=world.requester, gas=gas) for gas in LIMITS
    ]
    starved = [why.values for why in refusals if why is not None and why.name == "InsufficientGas"]
    assert starved
    assert all(values.available < values.required for values in starved)


@pytest.mark.parametrize("token", ["TestUSDC", "gated 60000"])
@pytest.mark.slow
def test_defect_05_a_caller_who_gives_little_gas_cannot_turn_a_payment_of_a_batch_into_a_credit(
    open_world: OpenWorld, token: str
) -> None:
    world = open_world(token)
    ids = place_many(world, [order(world, 1), order(world, 2, provider=world.other_provider)])
    for payee in (world.provider, world.other_provider):
        world.send("deliverBatch", ids, sender=payee)
    world.warp(world.window_end(ids[1]) + 1)
    for gas, events in outcomes(world, "settleBatch", ids, sender=world.stranger):
        assert "EscrowPayout" in events, gas
        assert not events & {"CreditAccrued", "BatchItemSkipped"}, gas


@pytest.mark.slow
def test_defect_05_a_relayer_who_gives_little_gas_cannot_turn_an_agreed_split_into_credits(
    open_world: OpenWorld,
) -> None:
    world = open_world("gated 60000")
    split = (placed(world, State.IN_PROGRESS), 60 * USDC, 40 * USDC, FOREVER)
    signatures = [sign_split(world, party, *split) for party in (world.requester, world.provider)]
    for gas, events in outcomes(world, "settleByConsent", *split, *signatures, sender=world.stranger):
        assert "EscrowPayout" in events, gas
        assert "CreditAccrued" not in events, gas


@pytest.mark.parametrize("call", ["refundMilestone", "payMilestone"])
@pytest.mark.slow
def test_defect_05_a_caller_who_gives_little_gas_cannot_turn_a_part_of_a_schedule_into_a_credit(
    open_world: OpenWorld, call: str
) -> None:
    world = open_world("gated 60000")
    transaction_id = placed(world, State.IN_PROGRESS, clauses=three_parts(world))
    world.pass_time(9 * DAY)
    sender = world.requester if call == "payMilestone" else world.stranger
    for gas, events in outcomes(world, call, transaction_id, 0, sender=sender):
        assert "EscrowPayout" in events, gas
        assert "CreditAccrued" not in events, gas


def test_defect_05_a_relayer_who_gives_little_gas_opens_nothing_by_halves(world: World) -> None:
    """A permit in a try/catch must not swallow the lack of gas and leave a payment without its money."""
    world.token.send("approve", world.vault.address, 0, sender=world.requester)
    call = ("createFundedWithPermit", order(world), USUAL, sign_permit(world, world.requester))
    made = salted_id(world, world.requester, salt(1))
    for gas in range(60_000, 300_000, 12_000):
        with world.undone():
            if world.kernel.refusal(*call, sender=world.requester, gas=gas) is None:
                world.send(*call, sender=world.requester, gas=gas)
                assert world.vault.read("remaining", made) == world.balance(world.vault.address)
            else:
                world.refuse("UnknownTransaction", "getTransaction", made, sender=world.requester)
