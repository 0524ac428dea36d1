"""Both parties agree on a split of what is left: it settles any funded state at once, and only what both signed counts.

Defect 8 of the public kernel: only a resolver could end a dispute, whatever the parties agreed on.
"""

from __future__ import annotations

import pytest
from eth_account import Account
from eth_utils.crypto import keccak

from tests.contracts.kernel_support import AMOUNT, DAY, HOUR, USDC, State, World
from tests.contracts.orders import (
    FOREVER,
    USUAL,
    Wallet,
    order,
    place,
    placed,
    salt,
    salted_id,
    sign_split,
    three_parts,
)

BOND = 5 * USDC
OPEN = [State.COMMITTED, State.IN_PROGRESS, State.DELIVERED, State.DISPUTED]
Split = tuple[bytes, int, int, int]


def half(transaction_id: bytes, until: int = FOREVER) -> Split:
    return transaction_id, 60 * USDC, 40 * USDC, until


def both(world: World, split: Split) -> tuple[bytes, bytes]:
    return sign_split(world, world.requester, *split), sign_split(world, world.provider, *split)


# ---------------------------------------------------------------- who agrees


@pytest.mark.parametrize("sender", ["requester", "provider", "stranger"])
@pytest.mark.parametrize("state", OPEN)
def test_defect_08_a_split_that_both_parties_agree_on_settles_any_funded_state(
    world: World, state: State, sender: str
) -> None:
    transaction_id = placed(world, state)
    split = half(transaction_id)
    by_requester, by_provider = both(world, split)
    signatures = (b"" if sender == "requester" else by_requester, b"" if sender == "provider" else by_provider)
    gained = world.gains(world.requester, world.provider)
    receipt = world.send("settleByConsent", *split, *signatures, sender=world.people[sender])
    assert world.state(transaction_id) is State.SETTLED
    assert gained() == [60 * USDC + (BOND if state is State.DISPUTED else 0), 40 * USDC - 400_000]
    agreed = receipt.one("SettledByConsent")
    assert (agreed.transactionId, agreed.requesterAmount, agreed.providerAmount) == split[:3]
    moved = receipt.one("StateTransitioned")
    assert (moved.oldState, moved.newState) == (state, State.SETTLED)
    assert receipt.one("EscrowCompleted").escrowId == transaction_id
    assert world.vault.read("remaining", transaction_id) == 0


@pytest.mark.parametrize(
    ("missing", "sender"),
    [
        (missing, sender)
        for missing in ("requester", "provider")
        for sender in ("requester", "provider", "stranger", "admin")
        # A party that makes the call needs no signature.
        if missing != sender
    ],
)
@pytest.mark.parametrize("instead", ["nothing", "garbage", "the other's", "a stranger's", "the sender's"])
@pytest.mark.slow
def test_the_consent_of_each_party_is_needed(world: World, missing: str, instead: str, sender: str) -> None:
    transaction_id = placed(world, State.DELIVERED)
    split = half(transaction_id)
    signatures = dict(zip(("requester", "provider"), both(world, split), strict=True))
    signatures[missing] = {
        "nothing": b"",
        "garbage": b"\x01" * 65,
        "the other's": signatures["provider" if missing == "requester" else "requester"],
        "a stranger's": sign_split(world, world.stranger, *split),
        "the sender's": sign_split(world, world.people[sender], *split),
    }[instead]
    world.refuse(
        "ConsentMissing", "settleByConsent", *split, *signatures.values(), sender=world.people[sender],
        party=world.people[missing],
    )  # fmt: skip


def test_neither_an_arbiter_nor_the_admin_can_consent_for_a_party(world: World) -> None:
    transaction_id = placed(world, State.DISPUTED, clauses=USUAL._replace(arbiter=world.stranger))
    split = half(transaction_id)
    by_provider = sign_split(world, world.provider, *split)
    for official in (world.stranger, world.admin, world.mediator):
        args = (*split, sign_split(world, official, *split), by_provider)
        world.refuse("ConsentMissing", "settleByConsent", *args, sender=official, party=world.requester)


# ---------------------------------------------------------------- what was signed


def sign_raw(world: World, party: str, split: Split) -> bytes:
    """A signature over the bare values, without a domain."""
    (key,) = [account.private_key for account in world.chain.accounts if account.address.lower() == party]
    digest = keccak(split[0] + b"".join(amount.to_bytes(32, "big") for amount in split[1:]))
    return bytes(Account.unsafe_sign_hash(digest, key).signature)


@pytest.mark.parametrize("who", ["requester", "provider"])
@pytest.mark.parametrize(
    "changed",
    ["transaction", "amounts", "validity", "chain", "kernel", "name", "version", "type", "malleated", "compact"],
)
def test_a_signature_counts_for_exactly_what_was_signed(world: World, changed: str, who: str) -> None:
    transaction_id, other = placed(world, State.IN_PROGRESS), placed(world, State.IN_PROGRESS)
    split = half(transaction_id)
    signatures = dict(zip(("requester", "provider"), both(world, split), strict=True))
    party, good = world.people[who], signatures[who]
    domains = {
        "chain": {"chainId": 1}, "kernel": {"verifyingContract": world.vault.address},
        "name": {"name": "ACTP Kerne1"}, "version": {"version": "2"},
    }  # fmt: skip
    if changed in domains:
        signatures[who] = sign_split(world, party, *split, **domains[changed])
    else:
        order_of_curve = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
        mirrored = (order_of_curve - int.from_bytes(good[32:64], "big")).to_bytes(32, "big")
        compact = bytes([good[32] | (0x80 if good[64] == 28 else 0)])
        signatures[who] = {
            "transaction": sign_split(world, party, other, *split[1:]),
            "amounts": sign_split(world, party, transaction_id, 40 * USDC, 60 * USDC),
            "validity": sign_split(world, party, *split[:3], FOREVER - 1),
            "type": sign_raw(world, party, split),
            "malleated": good[:32] + mirrored + bytes([27 + 28 - good[64]]),
            "compact": good[:32] + compact + good[33:64],
        }[changed]  # fmt: skip
    world.refuse("ConsentMissing", "settleByConsent", *split, *signatures.values(), sender=world.stranger, party=party)


def test_the_sender_cannot_change_what_was_signed(world: World) -> None:
    transaction_id, other = placed(world, State.IN_PROGRESS), placed(world, State.IN_PROGRESS)
    split = half(transaction_id, world.now() + DAY)
    signatures = both(world, split)
    until = split[3]
    for changed in (
        (other, *split[1:]), (transaction_id, 60 * USDC + 1, 40 * USDC - 1, until),
        (transaction_id, 40 * USDC, 60 * USDC, until), (*split[:3], until + 1), (*split[:3], FOREVER),
    ):  # fmt: skip
        world.refuse("ConsentMissing", "settleByConsent", *changed, *signatures, sender=world.stranger)
    world.refuse("ConsentMissing", "settleByConsent", *split, *signatures[::-1], sender=world.stranger)
    world.send("settleByConsent", *split, *signatures, sender=world.stranger)


def test_signatures_for_one_kernel_count_in_no_other(world: World) -> None:
    kernel = world.deploy_kernel(world.token.address)
    vault = world.deploy("EscrowVault", world.token.address, kernel.address)
    kernel.send("approveEscrowVault", vault.address, True, sender=world.admin)
    world.token.send("approve", vault.address, AMOUNT, sender=world.requester)
    kernel.send("createFunded", order(world), sender=world.requester)
    there = salted_id(world, world.requester, salt(1), kernel=kernel.address)
    split = half(there)
    why = kernel.refusal("settleByConsent", *split, *both(world, split), sender=world.stranger)
    assert why is not None
    assert why.name == "ConsentMissing"
    moved = [
        sign_split(world, who, *split, verifyingContract=kernel.address) for who in (world.requester, world.provider)
    ]
    kernel.send("settleByConsent", *split, *moved, sender=world.stranger)


def test_consent_expires_after_its_last_second(world: World) -> None:
    transaction_id = placed(world, State.IN_PROGRESS)
    until = world.now() + HOUR
    split = half(transaction_id, until)
    signatures = both(world, split)
    world.warp(until + 1)
    for sender in (world.requester, world.stranger):
        world.refuse("ConsentExpired", "settleByConsent", *split, *signatures, sender=sender, validUntil=until)
    world.warp(until)
    world.send("settleByConsent", *split, *signatures, sender=world.stranger)


def test_consent_is_used_once(world: World) -> None:
    transaction_id = placed(world, State.IN_PROGRESS)
    split = half(transaction_id)
    signatures = both(world, split)
    world.send("settleByConsent", *split, *signatures, sender=world.stranger)
    world.refuse("InvalidTransition", "settleByConsent", *split, *signatures, sender=world.stranger, to=State.SETTLED)


@pytest.mark.parametrize("state", [State.INITIATED, State.QUOTED, State.SETTLED, State.CANCELLED])
def test_nothing_is_shared_out_of_what_is_not_funded_or_over(world: World, state: State) -> None:
    transaction_id = world.reach(state)
    for split in (half(transaction_id), (transaction_id, 0, 0, FOREVER)):
        args = (*split, *both(world, split))
        error = {"sender": world.stranger, "from": state, "to": State.SETTLED}
        world.refuse("InvalidTransition", "settleByConsent", *args, **error)


@pytest.mark.parametrize(
    ("requester_amount", "provider_amount"),
    [
        (60 * USDC, 40 * USDC + 1), (60 * USDC, 40 * USDC - 1), (0, 0), (AMOUNT, AMOUNT), (AMOUNT + 1, 2**256 - 1),
        (2**256 - 1, AMOUNT + 1), (2**255 + AMOUNT, 2**255), (2**256 - 40 * USDC, 140 * USDC),
    ],
)  # fmt: skip
def test_a_split_that_does_not_sum_or_wraps_is_refused(
    world: World, requester_amount: int, provider_amount: int
) -> None:
    transaction_id = placed(world, State.DELIVERED)
    split = (transaction_id, requester_amount, provider_amount, FOREVER)
    world.refuse(
        "SplitMismatch", "settleByConsent", *split, *both(world, split), sender=world.stranger,
        sum=(requester_amount + provider_amount) % 2**256, remaining=AMOUNT,
    )  # fmt: skip


@pytest.mark.parametrize(("back", "fee"), [(0, USDC), (AMOUNT, 0), (AMOUNT - 1, 1), (AMOUNT - 60_000, 50_000)])
def test_the_fee_is_taken_from_the_providers_part_only(world: World, back: int, fee: int) -> None:
    transaction_id = placed(world, State.IN_PROGRESS)
    split = (transaction_id, back, AMOUNT - back, FOREVER)
    gained = world.gains(world.requester, world.provider)
    world.send("settleByConsent", *split, *both(world, split), sender=world.stranger)
    assert gained() == [back, AMOUNT - back - fee]
    assert world.kernel.read("accruedFees") == fee


def test_the_split_is_of_what_milestones_left(world: World) -> None:
    transaction_id = placed(world, State.IN_PROGRESS, clauses=three_parts(world))
    world.send("payMilestone", transaction_id, 1, sender=world.requester)
    world.pass_time(DAY + 1)
    world.send("refundMilestone", transaction_id, 0, sender=world.requester)
    split = half(transaction_id)
    world.refuse(
        "SplitMismatch", "settleByConsent", *split, *both(world, split), sender=world.stranger, remaining=50 * USDC
    )
    split = (transaction_id, 10 * USDC, 40 * USDC, FOREVER)
    gained = world.gains(world.requester, world.provider)
    world.send("settleByConsent", *split, *both(world, split), sender=world.stranger)
    assert gained() == [10 * USDC, 40 * USDC - 400_000]


# ---------------------------------------------------------------- bonds, pauses, refusing tokens


@pytest.mark.parametrize("initiator", ["requester", "provider"])
def test_consent_finds_nobody_guilty_every_bond_goes_back_to_its_poster(world: World, initiator: str) -> None:
    transaction_id = placed(world, State.DELIVERED)
    world.send("postBond", transaction_id, world.requester, sender=world.stranger)
    world.send("postBond", transaction_id, world.provider, sender=world.payer)
    world.dispute(transaction_id, sender=world.people[initiator])
    split = half(transaction_id)
    gained = world.gains(world.requester, world.provider, world.stranger, world.payer)
    world.send("settleByConsent", *split, *both(world, split), sender=world.admin)
    for poster in (world.stranger, world.payer):
        if world.credit(poster):
            world.send("withdrawCredit", poster, sender=poster)
    assert gained() == [60 * USDC, 40 * USDC - 400_000, BOND, BOND]


def test_consent_before_a_dispute_returns_bonds_that_were_posted_ahead(world: World) -> None:
    transaction_id = placed(world, State.DELIVERED)
    gained = world.gains(world.stranger)
    world.send("postBond", transaction_id, world.provider, sender=world.stranger)
    split = half(transaction_id)
    world.send("settleByConsent", *split, *both(world, split), sender=world.payer)
    world.send("withdrawCredit", world.stranger, sender=world.payer)
    assert gained() == [0]


def test_a_bond_that_is_owed_costs_nothing_when_the_parties_agree(world: World) -> None:
    transaction_id = placed(world, State.DELIVERED)
    world.block(world.requester)
    world.dispute(transaction_id)
    world.unblock(world.requester)
    split = half(transaction_id)
    gained = world.gains(world.requester, world.provider)
    world.send("settleByConsent", *split, *both(world, split), sender=world.stranger)
    assert gained() == [60 * USDC, 40 * USDC - 400_000]


@pytest.mark.parametrize("blocked", ["requester", "provider"])
def test_a_frozen_party_does_not_hold_up_a_split(world: World, blocked: str) -> None:
    transaction_id = placed(world, State.DISPUTED)
    world.block(world.people[blocked])
    split = half(transaction_id)
    world.send("settleByConsent", *split, *both(world, split), sender=world.stranger)
    credits = [world.credit(world.requester), world.credit(world.provider)]
    assert credits == ([60 * USDC + BOND, 0] if blocked == "requester" else [0, 40 * USDC - 400_000])


@pytest.mark.parametrize("trouble", ["kernel paused", "vault not approved", "deadline passed", "rates changed"])
def test_nothing_that_changes_around_it_stops_a_split_or_its_rate(world: World, trouble: str) -> None:
    transaction_id = placed(world, State.IN_PROGRESS)
    if trouble == "kernel paused":
        world.send("pause", sender=world.pauser)
    elif trouble == "vault not approved":
        world.send("approveEscrowVault", world.vault.address, False, sender=world.admin)
    elif trouble == "rates changed":
        world.change_rates(500, 0, 0)
    else:
        world.warp(world.deadline(transaction_id) + 400 * DAY)
    split = half(transaction_id)
    gained = world.gains(world.provider)
    world.send("settleByConsent", *split, *both(world, split), sender=world.stranger)
    assert gained() == [40 * USDC - 400_000]


# ---------------------------------------------------------------- contract wallets


def test_defect_08_requester_and_provider_as_contracts_agree_by_erc_1271(world: World) -> None:
    buyer, seller = Wallet(world, world.payer), Wallet(world, world.stranger)
    buyer.act_on(world.token, "approve", world.vault.address, AMOUNT)
    wanted = order(world, provider=seller.address)
    buyer.act("createFunded", wanted)
    transaction_id = salted_id(world, buyer.address, wanted.salt)
    seller.act("transitionState", transaction_id, State.DELIVERED, b"")
    split = half(transaction_id)
    signatures = sign_split(world, world.payer, *split), sign_split(world, world.stranger, *split)
    world.refuse(
        "ConsentMissing", "settleByConsent", *split, *signatures[::-1], sender=world.admin, party=buyer.address
    )
    # The owner's own call is not the wallet's.
    world.refuse("ConsentMissing", "settleByConsent", *split, b"", signatures[1], sender=world.payer)
    gained = world.gains(buyer.address, seller.address, world.payer, world.stranger)
    with world.undone():
        world.send("settleByConsent", *split, *signatures, sender=world.admin)
        assert gained() == [60 * USDC, 40 * USDC - 400_000, 0, 0]
    seller.act("settleByConsent", *split, signatures[0], b"")
    assert gained() == [60 * USDC, 40 * USDC - 400_000, 0, 0]


def test_a_wallet_of_two_keys_agrees_only_with_both_signatures(world: World) -> None:
    buyer = Wallet(world, world.payer, "TwoKeyParty", world.stranger)
    buyer.act_on(world.token, "approve", world.vault.address, AMOUNT)
    buyer.act("createFunded", order(world))
    split = half(salted_id(world, buyer.address, salt(1)))
    one, two = sign_split(world, world.payer, *split), sign_split(world, world.stranger, *split)
    by_provider = sign_split(world, world.provider, *split)
    for wrong in (one, two, one + one, two + one):
        world.refuse("ConsentMissing", "settleByConsent", *split, wrong, by_provider, sender=world.admin)
    world.send("settleByConsent", *split, one + two, by_provider, sender=world.admin)


def test_a_party_without_any_answer_to_erc_1271_can_only_agree_by_its_own_call(world: World) -> None:
    """The token has code and cannot sign: nobody can make up a consent for it."""
    transaction_id = place(world, order(world, provider=world.token.address))
    split = half(transaction_id)
    for signature in (b"", b"\x01" * 65, sign_split(world, world.admin, *split)):
        args = (*split, b"", signature)
        world.refuse("ConsentMissing", "settleByConsent", *args, sender=world.requester, party=world.token.address)


def test_contracts_as_parties_dispute_post_bonds_and_are_paid(world: World) -> None:
    buyer, seller = Wallet(world, world.payer), Wallet(world, world.stranger)
    buyer.allow()
    seller.allow()
    wanted = order(world, provider=seller.address)
    buyer.act("createFundedWith", wanted, USUAL._replace(arbiter=world.other_requester))
    transaction_id = salted_id(world, buyer.address, wanted.salt)
    seller.act("deliverBatch", [transaction_id])
    gained = world.gains(buyer.address, seller.address)
    seller.act("postBond", transaction_id, seller.address)
    buyer.act("transitionState", transaction_id, State.DISPUTED, b"evidence")
    assert gained() == [-BOND, -BOND]
    world.rule(transaction_id, sender=world.other_requester)
    world.send("withdrawCredit", seller.address, sender=world.admin)
    assert gained() == [-BOND, AMOUNT - USDC + BOND]
