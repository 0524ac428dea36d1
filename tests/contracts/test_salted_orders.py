"""Defects 4 and 10 of the public kernel: ids that can be squatted, ids that bind nothing, retries that pay again.

A salt of the requester's choice names a payment, and the chain itself refuses to make it twice.
"""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from tests.contracts.kernel_support import AMOUNT, DAY, HOUR, USDC, ZERO, Contract, State, World
from tests.contracts.orders import (
    USUAL,
    Order,
    order,
    place,
    place_many,
    salt,
    salted_id,
    schedule,
    sign_authorization,
    sign_permit,
)

WAYS = ["createSalted", "createFunded", "createFundedBatch", "createFundedWith", "permit", "authorization"]


def open_by(world: World, way: str, wanted: Order, requester: str) -> tuple[tuple[Any, ...], str]:
    """The call that opens `wanted` this way, and who sends it."""
    match way:
        case "createFunded":
            return (way, wanted), requester
        case "createFundedBatch":
            return (way, [wanted]), requester
        case "permit":
            permit = sign_permit(world, requester, wanted.amount)
            return ("createFundedWithPermit", wanted, USUAL, permit), requester
        case "authorization":
            signed = sign_authorization(world, requester, wanted)
            return ("createFundedWithAuthorization", requester, wanted, USUAL, signed), world.stranger
    return (way, wanted, USUAL), requester


def another_kernel(world: World) -> tuple[Contract, Contract]:
    """A second kernel of the same token, with its vault, which the requester allows to take tokens."""
    kernel = world.deploy_kernel(world.token.address)
    vault = world.deploy("EscrowVault", world.token.address, kernel.address)
    kernel.send("approveEscrowVault", vault.address, True, sender=world.admin)
    world.token.send("approve", vault.address, 10 * AMOUNT, sender=world.requester)
    return kernel, vault


# ---------------------------------------------------------------- what an order makes


@pytest.mark.parametrize("way", WAYS)
def test_an_order_becomes_a_transaction_with_exactly_its_terms(world: World, way: str) -> None:
    wanted = order(world, 5, 77 * USDC, work=3 * DAY, window=5 * HOUR, service=b"\x11" * 32)
    call, sender = open_by(world, way, wanted, world.requester)
    gained = world.gains(world.requester, world.vault.address, world.stranger)
    receipt = world.send(*call, sender=sender)
    transaction_id = salted_id(world, world.requester, salt(5))
    view = world.view(transaction_id)
    assert (view.transactionId, view.requester, view.provider) == (transaction_id, world.requester, world.provider)
    assert (view.amount, view.deadline, view.disputeWindow) == wanted[1:4]
    assert (view.serviceHash, view.createdAt, view.updatedAt) == (wanted.service, receipt.timestamp, receipt.timestamp)
    assert (view.platformFeeBpsLocked, view.requesterPenaltyBpsLocked, view.disputeBondBpsLocked) == (100, 500, 500)
    assert world.kernel.read("clausesOf", transaction_id) == [ZERO, 5_000]
    assert world.kernel.read("milestonesOf", transaction_id) == []
    names = receipt.names(world.kernel.address)
    if way == "createSalted":
        assert (view.state, gained()) == (State.INITIATED, [0, 0, 0])
        assert names == ["TransactionCreated"]
        assert world.kernel.read("escrowOf", transaction_id)[4] is False
        return
    assert (view.state, gained()) == (State.COMMITTED, [-77 * USDC, 77 * USDC, 0])
    assert names == ["TransactionCreated", "StateTransitioned", "EscrowLinked"]
    created, moved, linked = (receipt.one(name) for name in names)
    assert (created.requester, created.provider, created.amount) == (world.requester, world.provider, 77 * USDC)
    assert (created.serviceHash, created.deadline, created.agentId) == (wanted.service, wanted.deadline, 0)
    assert (moved.oldState, moved.newState) == (State.INITIATED, State.COMMITTED)
    assert (linked.escrowContract, linked.escrowId, linked.amount) == (world.vault.address, transaction_id, 77 * USDC)
    assert world.kernel.read("escrowOf", transaction_id) == [world.requester, world.provider, 77 * USDC, 0, True]
    made = receipt.of("EscrowCreated")
    assert [one.escrowId for one in made] == ([] if way == "createFundedBatch" else [transaction_id])


def test_agent_ids_of_the_clauses_are_kept(world: World) -> None:
    wanted = order(world)
    clauses = USUAL._replace(agent=7, requester_agent=2**256 - 1)
    receipt = world.send("createSalted", wanted, clauses, sender=world.requester)
    assert receipt.one("TransactionCreated").agentId == 7
    view = world.view(salted_id(world, world.requester, wanted.salt))
    assert (view.agentId, view.requesterAgentId) == (7, 2**256 - 1)


def test_an_order_without_money_is_funded_later_and_lives_like_any_other(world: World) -> None:
    wanted = order(world)
    world.send("createSalted", wanted, USUAL, sender=world.requester)
    transaction_id = salted_id(world, world.requester, wanted.salt)
    world.move(transaction_id, State.QUOTED, sender=world.provider)
    world.send("acceptQuote", transaction_id, 2 * AMOUNT, sender=world.requester)
    world.fund(transaction_id)
    world.deliver(transaction_id)
    gained = world.gains(world.provider)
    world.settle(transaction_id)
    assert gained() == [2 * AMOUNT - 2 * USDC]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("error", "changed"),
    [
        ("ZeroAddress", {"provider": ZERO}),
        ("InvalidProvider", {"provider": "requester"}),
        ("InvalidProvider", {"provider": "vault"}),
        ("AmountOutOfBounds", {"amount": 49_999}),
        ("AmountOutOfBounds", {"amount": 10**15 + 1}),
        ("AmountOutOfBounds", {"amount": 2**256 - 1}),
        ("DeadlineOutOfBounds", {"deadline": 0}),
        ("DeadlineOutOfBounds", {"deadline": 365 * DAY + 1}),
        ("DeadlineOutOfBounds", {"deadline": 2**255}),
        ("DisputeWindowOutOfBounds", {"window": HOUR - 1}),
        ("DisputeWindowOutOfBounds", {"window": 30 * DAY + 1}),
    ],
)
def test_an_order_outside_the_bounds_is_refused(world: World, way: str, error: str, changed: dict[str, Any]) -> None:
    if "deadline" in changed:
        changed = {"deadline": world.now() + changed["deadline"]}
    if changed.get("provider") in {"requester", "vault"}:
        changed = {"provider": {"requester": world.requester, "vault": world.vault.address}[changed["provider"]]}
    call, sender = open_by(world, way, order(world)._replace(**changed), world.requester)
    world.refuse(error, *call, sender=sender)


# ---------------------------------------------------------------- 10: the chain refuses to pay twice


@pytest.mark.parametrize("second", WAYS)
@pytest.mark.parametrize("first", ["createSalted", "createFunded"])
def test_defect_10_no_retry_makes_a_new_payment_whether_with_the_same_terms_or_others(
    world: World, first: str, second: str
) -> None:
    wanted = order(world)
    call, sender = open_by(world, first, wanted, world.requester)
    world.send(*call, sender=sender)
    transaction_id = salted_id(world, world.requester, wanted.salt)
    others = {"amount": USDC, "service": bytes(32), "window": HOUR, "provider": world.other_provider}
    for changed in ({}, *({name: value} for name, value in others.items())):
        again, sender = open_by(world, second, wanted._replace(**changed), world.requester)
        world.refuse("SaltUsed", *again, sender=sender, transactionId=transaction_id, salt=wanted.salt)


@pytest.mark.parametrize("end", ["settled", "cancelled", "cancelled unfunded"])
def test_defect_10_no_retry_makes_a_new_payment_after_the_first_has_ended(world: World, end: str) -> None:
    wanted = order(world)
    if end == "cancelled unfunded":
        world.send("createSalted", wanted, USUAL, sender=world.requester)
        transaction_id = salted_id(world, world.requester, wanted.salt)
        world.cancel(transaction_id, sender=world.requester)
    else:
        transaction_id = place(world, wanted)
        if end == "settled":
            world.deliver(transaction_id)
            world.settle(transaction_id)
        else:
            world.cancel(transaction_id, sender=world.provider)
    world.refuse("SaltUsed", "createFunded", wanted, sender=world.requester, transactionId=transaction_id)


def test_defect_10_no_retry_makes_a_new_payment_within_one_batch(world: World) -> None:
    twice = [order(world, 1), order(world, 2), order(world, 1, 2 * AMOUNT)]
    gained = world.gains(world.requester)
    world.refuse("SaltUsed", "createFundedBatch", twice, sender=world.requester, salt=salt(1))
    assert gained() == [0]
    for number in (1, 2):
        missing = salted_id(world, world.requester, salt(number))
        world.refuse("UnknownTransaction", "getTransaction", missing, sender=world.requester)


def test_defect_10_the_id_binds_the_requester(world: World) -> None:
    mine, theirs = place(world, order(world)), place(world, order(world), requester=world.other_requester)
    assert mine == salted_id(world, world.requester, salt(1))
    assert theirs == salted_id(world, world.other_requester, salt(1))
    assert world.view(theirs).requester == world.other_requester


def test_defect_10_the_id_binds_chain_and_kernel(world: World) -> None:
    kernel, _ = another_kernel(world)
    here = place(world, order(world))
    there = kernel.send("createFunded", order(world), sender=world.requester).one("TransactionCreated").transactionId
    assert there == salted_id(world, world.requester, salt(1), kernel=kernel.address)
    assert here != there
    assert here != salted_id(world, world.requester, salt(1), chain_id=1)
    world.refuse("UnknownTransaction", "getTransaction", there, sender=world.requester)


def test_defect_10_the_id_of_a_counter_binds_chain_kernel_requester_and_counter(world: World) -> None:
    for nonce in (0, 1):
        words = (world.chain.chain_id, world.kernel.address, world.requester, nonce, world.provider)
        types = ["uint256", "address", "address", "uint256", "address"]
        assert world.create() == keccak(encode(types, words))


def test_defect_10_an_id_of_a_counter_is_never_one_of_a_salt(world: World) -> None:
    counted = [world.create() for _ in range(3)]
    salted = [place(world, order(world, number)) for number in range(3)]
    assert len({*counted, *salted}) == 6


def test_a_salt_of_zero_is_a_salt_like_any_other(world: World) -> None:
    wanted = order(world, 0)
    assert place(world, wanted) == salted_id(world, world.requester, bytes(32))
    world.refuse("SaltUsed", "createFunded", wanted, sender=world.requester, salt=bytes(32))


# ---------------------------------------------------------------- 4: ids cannot be squatted


@pytest.mark.parametrize("victim", WAYS)
def test_defect_04_nobody_can_squat_the_id_of_an_order(world: World, victim: str) -> None:
    wanted = order(world)
    coming = salted_id(world, world.requester, wanted.salt)
    squatter = world.create(requester=world.other_requester)
    world.fund(squatter, coming, sender=world.other_requester)
    call, sender = open_by(world, victim, wanted, world.requester)
    world.send(*call, sender=sender)
    if victim == "createSalted":
        world.fund(coming)
    assert world.vault.read("escrows", coming) == [world.requester, world.provider, AMOUNT, 0, True]
    assert world.vault.read("verifyEscrow", coming, world.requester, world.provider, AMOUNT) == [True, AMOUNT]
    # Both escrows live and end on their own.
    world.deliver(coming)
    gained = world.gains(world.provider, world.other_requester)
    world.settle(coming)
    world.cancel(squatter, sender=world.provider)
    assert gained() == [AMOUNT - USDC, AMOUNT]


def test_defect_04_nobody_can_squat_the_id_of_a_counter(world: World) -> None:
    args = (world.provider, world.requester, AMOUNT, world.now() + DAY, DAY, bytes(32), 0, 0)
    coming = world.kernel.read("createTransaction", *args, sender=world.requester)
    squatter = world.create(requester=world.other_requester)
    world.fund(squatter, coming, sender=world.other_requester)
    assert world.create() == coming
    world.fund(coming)
    assert world.vault.read("escrows", coming)[0] == world.requester
    world.deliver(coming)
    world.settle(coming)


def test_defect_04_nobody_can_squat_an_id_that_exists(world: World) -> None:
    taken = place(world)
    squatter = world.create(requester=world.other_requester)
    args = (squatter, world.vault.address, taken)
    world.refuse("EscrowIdTaken", "linkEscrow", *args, sender=world.other_requester, escrowId=taken)


def test_defect_04_an_id_of_the_callers_choice_still_serves_an_order(world: World) -> None:
    chosen = b"\xa1" * 32
    wanted = order(world)
    world.send("createSalted", wanted, schedule(world, AMOUNT), sender=world.requester)
    transaction_id = salted_id(world, world.requester, wanted.salt)
    world.fund(transaction_id, chosen)
    world.start(transaction_id)
    receipt = world.send("payMilestone", transaction_id, 0, sender=world.requester)
    assert receipt.one("EscrowPayout").escrowId == chosen
    assert world.settle(transaction_id, sender=world.stranger).one("EscrowCompleted").escrowId == chosen


def test_an_order_of_a_batch_is_the_same_payment_as_the_order_alone(world: World) -> None:
    assert place_many(world, [order(world, 3)]) == [salted_id(world, world.requester, salt(3))]
