"""Who gets what when a dispute is ruled on or times out, and what becomes of the bond.

`World` looks into the books after each call, so none of these tests can pass with a unit lost or made up.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contracts.kernel_support import AMOUNT, DAY, FREE, USDC, ZERO, Economics, State, World, word, words

OpenWorld = Callable[..., World]
BOND = 5 * USDC
"""The bond for `AMOUNT`: 5 %."""


# ---------------------------------------------------------------- rulings

MEDIATOR_CAP = 10 * USDC
PARTS = {
    0: (0, AMOUNT, False, 0),
    64: (30 * USDC, 70 * USDC, True, 0),
    96: (30 * USDC, 70 * USDC, False, 0),
    128: (30 * USDC, 60 * USDC, True, MEDIATOR_CAP),
    160: (30 * USDC, 60 * USDC, False, MEDIATOR_CAP),
}


def proof_of(world: World, requester: int, provider: int, *, fault: bool | None = None, mediator: int | None = None
) -> bytes:  # fmt: skip
    return (
        words(requester, provider)
        + (b"" if fault is None else word(fault))
        + (b"" if mediator is None else words(world.mediator, mediator))
    )


def proof_of_length(world: World, length: int) -> bytes:
    requester, provider, fault, mediator = PARTS[length]
    if length == 0:
        return b""
    return proof_of(
        world, requester, provider,
        fault=fault if length in (96, 160) else None, mediator=mediator if length >= 128 else None,
    )  # fmt: skip


@pytest.mark.parametrize("initiator", ["requester", "provider"])
@pytest.mark.parametrize("length", PARTS)
def test_ruling_into_settled_splits_the_escrow_and_forfeits_the_bond(world: World, length: int, initiator: str) -> None:
    transaction_id = world.reach(State.DELIVERED)
    world.dispute(transaction_id, sender=world.people[initiator])
    requester, provider, fault, mediator = PARTS[length]
    fee = provider // 100
    gained = world.gains(world.requester, world.provider, world.mediator)
    receipt = world.rule(transaction_id, proof_of_length(world, length), sender=world.mediator)
    assert gained() == [requester + BOND * fault, provider - fee + BOND * (not fault), mediator]
    assert world.kernel.read("accruedFees") == fee
    assert receipt.one("StateTransitioned").newState == State.SETTLED
    resolved = receipt.one("DisputeResolved")
    assert (resolved.transactionId, resolved.initiator) == (transaction_id, world.people[initiator])
    assert (resolved.providerAtFault, resolved.bondAmount) == (fault, BOND)
    assert receipt.one("EscrowReleased").amount == provider - fee
    assert [values.amount for values in receipt.of("EscrowRefunded")] == [requester] * (requester > 0)
    paid = [(values.mediator, values.amount) for values in receipt.of("EscrowMediatorPaid")]
    assert paid == [(world.mediator, mediator)] * (mediator > 0)
    bond_paid = receipt.one("BondPaid")
    assert (bond_paid.recipient, bond_paid.amount) == (world.requester if fault else world.provider, BOND)


@pytest.mark.parametrize("initiator", ["requester", "provider"])
@pytest.mark.parametrize("length", PARTS)
def test_ruling_into_cancelled_splits_the_escrow_and_returns_the_bond(
    world: World, length: int, initiator: str
) -> None:
    transaction_id = world.reach(State.DELIVERED)
    world.dispute(transaction_id, sender=world.people[initiator])
    requester, provider, _, mediator = PARTS[length] if length else (AMOUNT, 0, True, 0)
    fee = provider // 100
    gained = world.gains(world.requester, world.provider, world.mediator)
    receipt = world.rule(transaction_id, proof_of_length(world, length), to=State.CANCELLED)
    returned = [BOND, 0] if initiator == "requester" else [0, BOND]
    assert gained() == [requester + returned[0], provider - fee + returned[1], mediator]
    assert receipt.one("BondPaid").recipient == world.people[initiator]
    assert world.state(transaction_id) is State.CANCELLED


@pytest.mark.parametrize("fault", [True, False])
def test_explicit_fault_decides_the_bond_whatever_the_split(world: World, fault: bool) -> None:
    transaction_id = world.reach(State.DISPUTED)
    gained = world.gains(world.requester, world.provider)
    world.rule(transaction_id, proof_of(world, AMOUNT, 0, fault=fault))
    assert gained() == ([AMOUNT + BOND, 0] if fault else [AMOUNT, BOND])


@pytest.mark.parametrize("length", [1, 31, 32, 63, 65, 95, 97, 127, 129, 159, 161, 192])
def test_a_ruling_of_another_length_is_refused(world: World, length: int) -> None:
    transaction_id = world.reach(State.DISPUTED)
    proof = (words(0, AMOUNT) + bytes(160))[:length]
    for target in (State.SETTLED, State.CANCELLED):
        world.refuse(
            "InvalidProof", "transitionState", transaction_id, target, proof, sender=world.admin, length=length
        )


@pytest.mark.parametrize(
    "parts",
    [
        (AMOUNT, 1), (0, AMOUNT - 1), (AMOUNT + 1, 0), (0, 0),
        (2**256 - 1, AMOUNT + 1), (AMOUNT + 1, 2**256 - 1), (2**255, 2**255 + AMOUNT),
    ],
)  # fmt: skip
@pytest.mark.parametrize("fault", [None, True])
def test_a_split_must_sum_to_what_remains(world: World, parts: tuple[int, int], fault: bool | None) -> None:
    transaction_id = world.reach(State.DISPUTED)
    proof = proof_of(world, *parts, fault=fault)
    world.refuse("SplitMismatch", "transitionState", transaction_id, State.SETTLED, proof, sender=world.admin)


def test_a_split_with_a_mediator_must_sum_to_what_remains(world: World) -> None:
    transaction_id = world.reach(State.DISPUTED)
    for requester, provider, mediator in ((0, AMOUNT, 1), (2**256 - MEDIATOR_CAP, AMOUNT, MEDIATOR_CAP)):
        proof = proof_of(world, requester, provider, mediator=mediator)
        world.refuse("SplitMismatch", "transitionState", transaction_id, State.SETTLED, proof, sender=world.admin)


def test_a_split_is_of_what_remains_after_milestones(world: World) -> None:
    transaction_id = world.reach(State.IN_PROGRESS)
    world.milestone(transaction_id, 60 * USDC)
    world.deliver(transaction_id)
    world.dispute(transaction_id)
    too_much = ("transitionState", transaction_id, State.SETTLED, words(0, AMOUNT))
    world.refuse("SplitMismatch", *too_much, sender=world.admin, remaining=40 * USDC)
    over_the_cap = proof_of(world, 0, 40 * USDC - 4 * USDC - 1, mediator=4 * USDC + 1)
    world.refuse(
        "MediatorFeeTooHigh", "transitionState", transaction_id, State.SETTLED, over_the_cap, sender=world.admin,
        amount=4 * USDC + 1, maximum=4 * USDC,
    )  # fmt: skip
    gained = world.gains(world.mediator)
    world.rule(transaction_id, proof_of(world, 0, 36 * USDC, mediator=4 * USDC))
    assert gained() == [4 * USDC]


def test_a_fault_is_a_truth_value_and_a_mediator_an_address(world: World) -> None:
    transaction_id = world.reach(State.DISPUTED)
    for proof in (
        words(0, AMOUNT, 2), words(0, AMOUNT, 2**255),
        words(0, AMOUNT, 2**160, 0), words(0, AMOUNT, 0, 2**255, 0),
    ):  # fmt: skip
        world.refuse("InvalidProof", "transitionState", transaction_id, State.SETTLED, proof, sender=world.admin)


def test_only_a_mediator_in_office_who_is_no_party_is_paid(world: World) -> None:
    transaction_id = world.reach(State.DISPUTED)

    def refused(account: str) -> None:
        proof = words(0, AMOUNT - USDC, account, USDC)
        world.refuse(
            "MediatorNotApproved", "transitionState", transaction_id, State.SETTLED, proof, sender=world.admin,
            mediator=account,
        )  # fmt: skip

    for account in (world.admin, world.stranger, ZERO, world.vault.address):
        refused(account)
    for account in (world.requester, world.provider, world.payer):
        world.send("approveMediator", account, True, sender=world.admin)
    refused(world.payer)
    world.pass_time(2 * DAY)
    refused(world.requester)
    refused(world.provider)
    gained = world.gains(world.payer)
    world.rule(transaction_id, words(0, AMOUNT - USDC, world.payer, USDC))
    assert gained() == [USDC]


def test_minimum_fee_never_exceeds_the_providers_part(world: World) -> None:
    transaction_id = world.reach(State.DISPUTED)
    gained = world.gains(world.requester, world.provider)
    receipt = world.rule(transaction_id, proof_of(world, AMOUNT - 20_000, 20_000, fault=True))
    assert receipt.one("PlatformFeeAccrued").amount == 20_000
    assert gained() == [AMOUNT - 20_000 + BOND, 0]


def test_no_fee_on_what_the_requester_gets_back(world: World) -> None:
    transaction_id = world.reach(State.DISPUTED)
    assert world.rule(transaction_id, to=State.CANCELLED).of("PlatformFeeAccrued") == []


# ---------------------------------------------------------------- bonds


@pytest.mark.parametrize(
    ("economics", "amount", "bond"),
    [
        (Economics(), AMOUNT, BOND),
        (Economics(), 50_000, USDC),
        (Economics(), 20 * USDC + 39, USDC + 1),  # rounded down
        (Economics(bond_bps=2_000, min_bond=0), 10**15, 2 * 10**14),
        (Economics(min_bond=0), 50_000, 2_500),
    ],
)
def test_size_of_the_bond(open_world: OpenWorld, economics: Economics, amount: int, bond: int) -> None:
    world = open_world(economics=economics)
    transaction_id = world.reach(State.DELIVERED, amount)
    assert world.kernel.read("requiredBond", transaction_id) == bond
    paid = world.gains(world.requester)
    receipt = world.dispute(transaction_id)
    assert paid() == [-bond]
    opened = receipt.one("DisputeOpened")
    assert (opened.transactionId, opened.initiator, opened.bondAmount) == (transaction_id, world.requester, bond)
    assert world.view(transaction_id).disputeBond == bond
    posted, none, owed = world.kernel.read("bondsOf", transaction_id)
    assert (posted.poster, posted.amount, none.amount, owed) == (world.requester, bond, 0, 0)


def test_without_a_bond_a_dispute_moves_nothing(open_world: OpenWorld) -> None:
    world = open_world(economics=FREE)
    transaction_id = world.reach(State.DELIVERED)
    assert world.dispute(transaction_id).names(world.token.address) == []
    world.refuse("BondNotWanted", "postBond", transaction_id, world.requester, sender=world.stranger)
    gained = world.gains(world.requester)
    receipt = world.rule(transaction_id, words(AMOUNT, 0))
    assert gained() == [AMOUNT]
    assert receipt.of("BondPaid") == []


def test_a_party_without_money_or_allowance_does_not_get_a_dispute_for_nothing(world: World) -> None:
    transaction_id = world.reach(State.DELIVERED)
    call = ("transitionState", transaction_id, State.DISPUTED, b"")
    world.token.send("approve", world.vault.address, BOND - 1, sender=world.requester)
    world.refuse(
        "BondNotPayable", *call, sender=world.requester,
        payer=world.requester, bond=BOND, balance=world.balance(world.requester), allowance=BOND - 1,
    )  # fmt: skip
    world.token.send("approve", world.vault.address, BOND, sender=world.requester)
    world.token.send("transfer", world.stranger, world.balance(world.requester) - BOND + 1, sender=world.requester)
    world.refuse("BondNotPayable", *call, sender=world.requester, balance=BOND - 1, allowance=BOND)


def test_a_third_party_may_post_the_bond_ahead_and_gets_it_back_if_nobody_disputes(world: World) -> None:
    transaction_id = world.reach(State.DELIVERED)
    updated = world.view(transaction_id).updatedAt
    gained = world.gains(world.stranger)
    posted = world.send("postBond", transaction_id, world.requester, sender=world.stranger).one("BondPosted")
    assert (posted.party, posted.poster, posted.amount) == (world.requester, world.stranger, BOND)
    assert gained() == [-BOND]
    assert world.view(transaction_id).updatedAt == updated
    world.refuse("BondNotWanted", "postBond", transaction_id, world.requester, sender=world.payer)
    world.refuse("NotParty", "postBond", transaction_id, world.stranger, sender=world.stranger)
    returned = world.settle(transaction_id).one("BondPaid")
    assert (returned.recipient, returned.amount) == (world.stranger, BOND)
    # It is owed, not pushed: bonds that strangers post must not make a settlement dear.
    world.send("withdrawCredit", world.stranger, sender=world.payer)
    assert gained() == [0]


@pytest.mark.parametrize(
    ("to", "provider_at_fault", "lost"),
    [(State.SETTLED, True, 0), (State.SETTLED, False, BOND), (State.CANCELLED, False, 0)],
)
def test_a_bond_posted_ahead_is_lost_only_if_its_party_disputed_and_is_wrong(
    world: World, to: State, provider_at_fault: bool, lost: int
) -> None:
    transaction_id = world.reach(State.DELIVERED)
    for party in (world.requester, world.provider):
        world.send("postBond", transaction_id, party, sender=world.stranger)
    paid = world.gains(world.requester, world.stranger)
    world.dispute(transaction_id)
    assert paid() == [0, 0]
    gained = world.gains(world.requester, world.provider, world.stranger)
    world.rule(transaction_id, words(AMOUNT, 0) + words(provider_at_fault), to=to)
    world.send("withdrawCredit", world.stranger, sender=world.payer)
    assert gained() == [AMOUNT, lost, 2 * BOND - lost]


def test_a_bond_that_was_owed_and_posted_later_counts_as_posted(world: World) -> None:
    transaction_id = world.reach(State.DELIVERED)
    world.block(world.provider)
    world.dispute(transaction_id, sender=world.provider)
    assert world.kernel.read("bondsOf", transaction_id)[2] == BOND
    world.refuse("BondNotWanted", "postBond", transaction_id, world.requester, sender=world.stranger)
    world.send("postBond", transaction_id, world.provider, sender=world.stranger)
    assert world.kernel.read("bondsOf", transaction_id)[2] == 0
    world.refuse("BondNotWanted", "postBond", transaction_id, world.provider, sender=world.stranger)
    gained = world.gains(world.requester, world.stranger)
    world.rule(transaction_id, words(0, AMOUNT))
    assert gained() == [BOND, 0]


@pytest.mark.parametrize(
    ("initiator", "fault", "requester_part", "shift"),
    [
        ("requester", False, 40 * USDC, -BOND),  # the requester lost, and owes the provider
        ("requester", True, 40 * USDC, 0),  # the requester won, and owes nothing
        ("requester", False, 2 * USDC, -2 * USDC),  # as far as its part goes
        ("provider", True, 40 * USDC, BOND),
        ("provider", False, 40 * USDC, 0),
        ("provider", True, AMOUNT - 2 * USDC, 2 * USDC - 50_000),  # the fee comes first
    ],
)
def test_a_lost_bond_that_is_owed_comes_out_of_its_partys_part(
    world: World, initiator: str, fault: bool, requester_part: int, shift: int
) -> None:
    transaction_id = world.reach(State.DELIVERED)
    world.block(world.people[initiator])
    world.dispute(transaction_id, sender=world.people[initiator])
    world.unblock(world.people[initiator])
    provider_part = AMOUNT - requester_part
    fee = max(provider_part // 100, 50_000)
    gained = world.gains(world.requester, world.provider)
    world.rule(transaction_id, proof_of(world, requester_part, provider_part, fault=fault))
    assert gained() == [requester_part + shift, provider_part - fee - shift]


def test_an_owed_bond_costs_nothing_when_the_dispute_is_cancelled_or_times_out(world: World) -> None:
    transaction_id = world.reach(State.DELIVERED)
    world.block(world.requester)
    world.dispute(transaction_id)
    world.unblock(world.requester)
    gained = world.gains(world.requester, world.provider)
    with world.undone():
        world.rule(transaction_id, words(40 * USDC, 60 * USDC), to=State.CANCELLED)
        assert gained() == [40 * USDC, 59_400_000]
    world.pass_time(31 * DAY)
    world.send("closeTimedOutDispute", transaction_id, sender=world.stranger)
    assert gained() == [50 * USDC, 49_500_000]


@pytest.mark.parametrize("initiator", ["requester", "provider"])
def test_time_out_splits_evenly_takes_the_fee_and_returns_the_bond(world: World, initiator: str) -> None:
    amount = AMOUNT + 1
    transaction_id = world.reach(State.DELIVERED, amount)
    gained = world.gains(world.requester, world.provider)
    world.dispute(transaction_id, sender=world.people[initiator])
    world.pass_time(31 * DAY)
    receipt = world.send("closeTimedOutDispute", transaction_id, sender=world.stranger)
    assert gained() == [50 * USDC, 50 * USDC + 1 - 500_000]
    timed_out = receipt.one("DisputeTimedOut")
    assert (timed_out.requesterAmount, timed_out.providerAmount) == (50 * USDC, 50 * USDC + 1)
    assert receipt.one("BondPaid").recipient == world.people[initiator]
    assert world.state(transaction_id) is State.SETTLED
