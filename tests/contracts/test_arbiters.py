"""Defect 8 of the public kernel: the pauser rules on disputes, and one admin rules on all.

Here the terms name who rules and what happens if nobody does; the provider takes them by starting or delivering.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.contracts.kernel_support import AMOUNT, DAY, FREE, USDC, ZERO, State, World, words
from tests.contracts.orders import (
    USUAL,
    Clauses,
    Order,
    order,
    place,
    placed,
    sign_authorization,
    sign_permit,
)

OpenWorld = Callable[..., World]
TIMEOUT = 30 * DAY
BOND = 5 * USDC
WITH_CLAUSES = ["createSalted", "createFundedWith", "permit", "authorization"]


def opening(world: World, way: str, wanted: Order, clauses: Clauses) -> tuple[Any, ...]:
    """The arguments of one of the calls that take clauses; its sender is the requester."""
    if way == "permit":
        return ("createFundedWithPermit", wanted, clauses, sign_permit(world, world.requester, wanted.amount))
    if way == "authorization":
        signed = sign_authorization(world, world.requester, wanted, clauses)
        return ("createFundedWithAuthorization", world.requester, wanted, clauses, signed)
    return (way, wanted, clauses)


def disputed(world: World, clauses: Clauses, initiator: str = "requester") -> bytes:
    transaction_id = placed(world, State.DELIVERED, clauses=clauses)
    world.dispute(transaction_id, sender=world.people[initiator])
    return transaction_id


# ---------------------------------------------------------------- who rules


@pytest.mark.parametrize("to", [State.SETTLED, State.CANCELLED])
def test_defect_08_a_named_arbiter_alone_rules(world: World, to: State) -> None:
    transaction_id = disputed(world, USUAL._replace(arbiter=world.stranger))
    for name, account in world.people.items():
        if name != "stranger":
            world.refuse("NotResolver", "transitionState", transaction_id, to, b"", sender=account, caller=account)
    gained = world.gains(world.requester, world.provider)
    world.rule(transaction_id, words(60 * USDC, 40 * USDC), to=to, sender=world.stranger)
    assert world.state(transaction_id) is to
    assert gained() == [60 * USDC + BOND, 40 * USDC - 400_000]


@pytest.mark.parametrize("arbiter", ["admin", "mediator", "pauser"])
def test_defect_08_an_arbiter_rules_only_where_it_was_named_even_if_it_holds_an_office(
    world: World, arbiter: str
) -> None:
    transaction_id = disputed(world, USUAL._replace(arbiter=world.people[arbiter]))
    others = {"admin", "mediator", "pauser", "stranger"} - {arbiter}
    for other in others:
        world.refuse("NotResolver", "transitionState", transaction_id, 5, b"", sender=world.people[other])
    usual = disputed(world, USUAL)
    if arbiter == "pauser":
        world.refuse("NotResolver", "transitionState", usual, State.SETTLED, b"", sender=world.pauser)
    world.rule(transaction_id, sender=world.people[arbiter])


def test_defect_08_the_pauser_rules_on_nothing_and_an_arbiter_not_on_another_transaction(world: World) -> None:
    usual, other = disputed(world, USUAL), disputed(world, USUAL._replace(arbiter=world.payer))
    disputed(world, USUAL._replace(arbiter=world.stranger))
    for sender in (world.pauser, world.stranger):
        for one in (usual, other):
            world.refuse("NotResolver", "transitionState", one, State.SETTLED, b"", sender=sender)
    for resolver in (world.admin, world.mediator):
        with world.undone():
            world.rule(usual, sender=resolver)


def test_defect_08_an_arbiter_outlives_changes_of_admin_and_mediators(world: World) -> None:
    transaction_id = disputed(world, USUAL._replace(arbiter=world.mediator))
    world.send("approveMediator", world.mediator, False, sender=world.admin)
    world.send("transferAdmin", world.stranger, sender=world.admin)
    world.send("acceptAdmin", sender=world.stranger)
    world.refuse("NotResolver", "transitionState", transaction_id, State.SETTLED, b"", sender=world.stranger)
    world.rule(transaction_id, sender=world.mediator)


@pytest.mark.parametrize("party", ["requester", "provider"])
@pytest.mark.parametrize("way", WITH_CLAUSES)
def test_defect_08_an_arbiter_is_never_a_party(world: World, way: str, party: str) -> None:
    clauses = USUAL._replace(arbiter=world.people[party])
    call = opening(world, way, order(world), clauses)
    world.refuse("InvalidArbiter", *call, sender=world.requester, arbiter=world.people[party])


def test_defect_08_a_relayer_may_be_the_arbiter_but_the_payer_who_signed_may_not(world: World) -> None:
    wanted, clauses = order(world), USUAL._replace(arbiter=world.stranger)
    call = opening(world, "authorization", wanted, clauses)
    world.send(*call, sender=world.stranger)
    own = USUAL._replace(arbiter=world.requester)
    call = opening(world, "authorization", order(world, 2), own)
    world.refuse("InvalidArbiter", *call, sender=world.stranger)


def test_defect_08_an_admin_or_mediator_who_is_a_party_does_not_rule_on_its_own_transaction(world: World) -> None:
    for official in (world.admin, world.mediator):
        transaction_id = place(world, order(world, len(world.ids), provider=official))
        world.move(transaction_id, State.DELIVERED, sender=official)
        world.dispute(transaction_id)
        world.refuse("NotResolver", "transitionState", transaction_id, State.SETTLED, b"", sender=official)


# ---------------------------------------------------------------- what the arbiter may pay itself


def test_a_named_arbiter_may_take_the_mediators_part_without_an_office(world: World) -> None:
    transaction_id = disputed(world, USUAL._replace(arbiter=world.stranger))
    gained = world.gains(world.requester, world.provider, world.stranger)
    proof = words(30 * USDC, 60 * USDC, world.stranger, 10 * USDC)
    world.rule(transaction_id, proof, sender=world.stranger)
    assert gained() == [30 * USDC + BOND, 60 * USDC - 600_000, 10 * USDC]


def test_a_named_arbiter_cannot_take_more_than_a_tenth_or_pay_an_outsider_or_a_party(world: World) -> None:
    transaction_id = disputed(world, USUAL._replace(arbiter=world.stranger))

    def refuse(error: str, mediator: str, amount: int) -> None:
        proof = words(30 * USDC, 70 * USDC - amount, mediator, amount)
        world.refuse(error, "transitionState", transaction_id, State.SETTLED, proof, sender=world.stranger)

    refuse("MediatorFeeTooHigh", world.stranger, 10 * USDC + 1)
    for outsider in (world.payer, world.requester, world.provider, world.pauser, world.admin):
        refuse("MediatorNotApproved", outsider, USDC)


def test_without_a_named_arbiter_the_zero_address_is_paid_nothing(world: World) -> None:
    transaction_id = disputed(world, USUAL._replace(timeout_requester_bps=1))
    proof = words(30 * USDC, 60 * USDC, ZERO, 10 * USDC)
    world.refuse("MediatorNotApproved", "transitionState", transaction_id, 5, proof, sender=world.admin, mediator=ZERO)


# ---------------------------------------------------------------- clauses


@pytest.mark.parametrize("way", WITH_CLAUSES)
@pytest.mark.parametrize("share", [0, 1, 4_999, 5_000, 10_000])
@pytest.mark.slow
def test_clauses_are_kept_and_announced_unless_they_are_the_usual_ones(world: World, way: str, share: int) -> None:
    for number, arbiter in ((1, ZERO), (2, world.stranger)):
        clauses = USUAL._replace(arbiter=arbiter, timeout_requester_bps=share)
        receipt = world.send(*opening(world, way, order(world, number), clauses), sender=world.requester)
        transaction_id = receipt.one("TransactionCreated").transactionId
        assert world.kernel.read("clausesOf", transaction_id) == [arbiter, share]
        told = [(one.transactionId, one.arbiter, one.timeoutRequesterBps) for one in receipt.of("ClausesAgreed")]
        assert told == ([] if clauses == USUAL else [(transaction_id, arbiter, share)])


@pytest.mark.parametrize("share", [10_001, 2**14, 2**256 - 1])
@pytest.mark.parametrize("way", WITH_CLAUSES)
def test_a_share_above_one_whole_is_refused(world: World, way: str, share: int) -> None:
    call = opening(world, way, order(world), USUAL._replace(timeout_requester_bps=share))
    world.refuse("ShareTooHigh", *call, sender=world.requester, shareBps=share, maximum=10_000)


def test_clauses_survive_a_quote_the_funding_under_another_id_and_an_announcement(world: World) -> None:
    clauses = USUAL._replace(arbiter=world.stranger, timeout_requester_bps=1_234)
    receipt = world.send("createSalted", order(world), clauses, sender=world.requester)
    transaction_id = receipt.one("TransactionCreated").transactionId
    world.move(transaction_id, State.QUOTED, sender=world.provider)
    world.change_rates(200, 600)
    world.send("acceptQuote", transaction_id, AMOUNT, sender=world.requester)
    world.fund(transaction_id, b"\xa1" * 32)
    world.send("announceCancellation", transaction_id, sender=world.requester)
    assert world.kernel.read("clausesOf", transaction_id) == [world.stranger, 1_234]
    assert world.view(transaction_id).requesterPenaltyBpsLocked == 500


def test_transactions_of_g1_have_the_usual_clauses(world: World) -> None:
    assert world.kernel.read("clausesOf", world.create()) == [ZERO, 5_000]


# ---------------------------------------------------------------- nobody rules


@pytest.mark.parametrize("initiator", ["requester", "provider"])
@pytest.mark.parametrize("share", [0, 1, 2_500, 5_000, 9_999, 10_000])
def test_defect_01_a_dispute_that_nobody_rules_on_ends_with_the_agreed_split(
    world: World, share: int, initiator: str
) -> None:
    transaction_id = disputed(world, USUAL._replace(arbiter=world.stranger, timeout_requester_bps=share), initiator)
    world.warp(world.view(transaction_id).updatedAt + TIMEOUT)
    world.refuse("DisputeNotTimedOut", "closeTimedOutDispute", transaction_id, sender=world.stranger)
    world.pass_time(1)
    gained = world.gains(world.requester, world.provider)
    receipt = world.send("closeTimedOutDispute", transaction_id, sender=world.payer)
    ended = receipt.one("DisputeTimedOut")
    back = AMOUNT * share // 10_000
    assert (ended.requesterAmount, ended.providerAmount) == (back, AMOUNT - back)
    fee = min(AMOUNT - back, max((AMOUNT - back) // 100, 50_000))
    bonds = [BOND, 0] if initiator == "requester" else [0, BOND]
    assert gained() == [back + bonds[0], AMOUNT - back - fee + bonds[1]]


def test_the_agreed_split_of_what_is_left_loses_no_unit_to_rounding(open_world: OpenWorld) -> None:
    world = open_world(economics=FREE)
    wanted = order(world, 1, 333_333)
    transaction_id = placed(world, State.DISPUTED, wanted, USUAL._replace(timeout_requester_bps=3_333))
    world.pass_time(TIMEOUT + 1)
    gained = world.gains(world.requester, world.provider, world.vault.address)
    world.send("closeTimedOutDispute", transaction_id, sender=world.stranger)
    assert gained() == [111_099, 222_234, -333_333]


# ---------------------------------------------------------------- a dispute that always pays


@pytest.mark.parametrize("initiator", ["requester", "provider"])
def test_a_dispute_does_not_always_pay_who_is_wrong_loses_the_bond_to_who_is_right(
    world: World, initiator: str
) -> None:
    transaction_id = placed(world, State.DELIVERED, clauses=USUAL._replace(arbiter=world.stranger))
    gained = world.gains(world.requester, world.provider)
    world.dispute(transaction_id, sender=world.people[initiator])
    assert world.kernel.read("requiredBond", transaction_id) == BOND
    at_fault = initiator == "provider"
    split = (AMOUNT, 0) if at_fault else (0, AMOUNT)
    world.rule(transaction_id, words(*split, at_fault), sender=world.stranger)
    assert gained() == ([AMOUNT + BOND, -BOND] if at_fault else [-BOND, AMOUNT - USDC + BOND])


@pytest.mark.parametrize("initiator", ["requester", "provider"])
def test_a_dispute_does_not_always_pay_an_absent_arbiter_gives_the_opener_no_more_than_the_terms(
    world: World, initiator: str
) -> None:
    """Terms that leave the opener nothing of a silent dispute make it worthless to open one and wait."""
    share = 0 if initiator == "requester" else 10_000
    transaction_id = placed(world, State.DELIVERED, clauses=USUAL._replace(timeout_requester_bps=share))
    opener = world.people[initiator]
    gained = world.gains(opener)
    world.dispute(transaction_id, sender=opener)
    world.pass_time(TIMEOUT + 1)
    world.send("closeTimedOutDispute", transaction_id, sender=opener)
    assert gained() == [0]


@pytest.mark.parametrize("initiator", ["requester", "provider"])
def test_dust_does_not_spam_disputes_each_costs_the_minimum_bond(world: World, initiator: str) -> None:
    dust = order(world, 1, 50_000)
    clauses = USUAL._replace(arbiter=world.stranger)
    transaction_id = placed(world, State.DELIVERED, dust, clauses)
    opener, poor = world.people[initiator], world.other_provider
    assert world.kernel.read("requiredBond", transaction_id) == USDC
    with world.undone():
        world.token.send("transfer", poor, world.balance(opener), sender=opener)
        world.refuse("BondNotPayable", "transitionState", transaction_id, State.DISPUTED, b"", sender=opener, bond=USDC)
    gained = world.gains(opener)
    world.dispute(transaction_id, sender=opener)
    assert gained() == [-USDC]
    world.rule(transaction_id, words(50_000, 0, initiator == "provider"), sender=world.stranger)
    # What is lost is twenty times what the dispute was about.
    assert gained() == ([50_000 - USDC] if initiator == "requester" else [-USDC])
