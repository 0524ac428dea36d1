"""The known defects of the public kernel that have to do with tokens and the vault's books: ours has none of them.

5: one blocked account blocks the others. 12: tokens that lie. 13: refunds computed from terms instead of receipts.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contracts.kernel_support import AMOUNT, DAY, FREE, HOUR, USDC, State, World, words

OpenWorld = Callable[..., World]
FEE = USDC
BOND = 5 * USDC
TIMEOUT = 30 * DAY


# ---------------------------------------------------------------- 5: one blocked account blocks the others


def test_defect_05_a_blocked_provider_gets_a_credit_and_blocks_nobody(world: World) -> None:
    transaction_id = world.reach(State.DELIVERED)
    world.block(world.provider)
    receipt = world.settle(transaction_id)
    accrued = receipt.one("CreditAccrued")
    assert (accrued.transactionId, accrued.payee, accrued.amount) == (transaction_id, world.provider, AMOUNT - FEE)
    assert world.state(transaction_id) is State.SETTLED
    assert receipt.one("EscrowCompleted").escrowId == transaction_id
    assert receipt.of("EscrowPayout") == []
    world.send("withdrawFees", sender=world.fee_recipient)
    assert world.balance(world.vault.address) == AMOUNT - FEE


def test_defect_05_a_credit_is_pushed_by_anyone_to_its_owner_only_and_kept_while_refused(world: World) -> None:
    transaction_id = world.reach(State.DELIVERED)
    world.block(world.provider)
    world.settle(transaction_id)
    for sender in (world.stranger, world.provider):
        world.refuse(
            "PushRefused", "withdrawCredit", world.provider, sender=sender, payee=world.provider, amount=AMOUNT - FEE
        )
    world.refuse("NothingToWithdraw", "withdrawCredit", world.stranger, sender=world.stranger)
    world.unblock(world.provider)
    gained = world.gains(world.provider, world.stranger)
    withdrawn = world.send("withdrawCredit", world.provider, sender=world.stranger).one("CreditWithdrawn")
    assert (withdrawn.payee, withdrawn.caller, withdrawn.amount) == (world.provider, world.stranger, AMOUNT - FEE)
    assert gained() == [AMOUNT - FEE, 0]
    world.refuse("NothingToWithdraw", "withdrawCredit", world.provider, sender=world.provider)


@pytest.mark.parametrize("blocked", ["requester", "provider", "mediator", "stranger"])
def test_defect_05_in_a_ruling_only_the_blocked_payee_waits_for_its_money(world: World, blocked: str) -> None:
    transaction_id = world.reach(State.DELIVERED)
    world.send("postBond", transaction_id, world.requester, sender=world.stranger)
    world.dispute(transaction_id)
    world.block(world.people[blocked])
    people = ["requester", "provider", "mediator", "stranger"]
    due = {"requester": 30 * USDC, "provider": 60 * USDC - 600_000, "mediator": 10 * USDC, "stranger": BOND}
    gained = world.gains(*(world.people[name] for name in people))
    world.rule(transaction_id, words(30 * USDC, 60 * USDC, world.mediator, 10 * USDC), to=State.CANCELLED)
    assert gained() == [due[name] * (name != blocked) for name in people]
    assert [world.credit(world.people[name]) for name in people] == [due[name] * (name == blocked) for name in people]


@pytest.mark.parametrize("state", [State.COMMITTED, State.IN_PROGRESS])
def test_defect_05_a_blocked_requester_gets_its_refund_as_a_credit(world: World, state: State) -> None:
    transaction_id = world.reach(state)
    world.block(world.requester)
    world.cancel(transaction_id, sender=world.provider)
    assert world.credit(world.requester) == AMOUNT
    assert world.state(transaction_id) is State.CANCELLED


def test_defect_05_a_blocked_provider_hinders_neither_milestones_nor_a_requester_who_leaves(world: World) -> None:
    started, committed = world.reach(State.IN_PROGRESS), world.reach(State.COMMITTED)
    world.block(world.provider)
    world.milestone(started, 50 * USDC)
    assert world.credit(world.provider) == 49_500_000
    world.send("announceCancellation", committed, sender=world.requester)
    world.pass_time(HOUR)
    gained = world.gains(world.requester)
    world.send("cancelEarly", committed, sender=world.requester)
    assert gained() == [AMOUNT - 5 * USDC]
    assert world.credit(world.provider) == 49_500_000 + 5 * USDC


def test_defect_05_a_blocked_fee_recipient_blocks_no_settlement_and_can_be_replaced(world: World) -> None:
    world.block(world.fee_recipient)
    world.settle(world.reach(State.DELIVERED))
    world.refuse("PushRefused", "withdrawFees", sender=world.fee_recipient, amount=FEE)
    assert world.kernel.read("accruedFees") == FEE
    world.send("updateFeeRecipient", world.payer, sender=world.admin)
    world.settle(world.reach(State.DELIVERED))
    gained = world.gains(world.payer)
    world.send("withdrawFees", sender=world.payer)
    assert gained() == [FEE]
    assert world.credit(world.fee_recipient) == FEE


def test_defect_05_credits_of_many_transactions_add_up(world: World) -> None:
    ids = [world.reach(State.DELIVERED) for _ in range(3)]
    world.block(world.provider)
    for one in ids:
        world.settle(one)
    world.unblock(world.provider)
    gained = world.gains(world.provider)
    world.send("withdrawCredit", world.provider, sender=world.stranger)
    assert gained() == [3 * (AMOUNT - FEE)]


@pytest.mark.parametrize("refusal", ["FalseReturnToken", "ReturnBombToken", "GasBurningToken"])
def test_defect_05_whatever_way_a_token_refuses_the_state_advances(open_world: OpenWorld, refusal: str) -> None:
    world = open_world(refusal)
    ids = [world.reach(state) for state in (State.DELIVERED, State.COMMITTED, State.IN_PROGRESS)]
    switch: dict[str, tuple[str, tuple[object, ...], tuple[object, ...]]] = {
        "FalseReturnToken": ("setRefusing", (True,), (False,)),
        "ReturnBombToken": ("setBomb", (100_000, True), (0, False)),
        "GasBurningToken": ("setBurning", (True,), (False,)),
    }
    setter, on, off = switch[refusal]
    world.token.send(setter, *on, sender=world.admin)
    world.settle(ids[0])
    world.cancel(ids[1], sender=world.provider)
    world.milestone(ids[2], USDC)
    assert world.credit(world.requester) == AMOUNT
    assert world.credit(world.provider) == AMOUNT - FEE + 950_000
    world.token.send(setter, *off, sender=world.admin)
    gained = world.gains(world.requester, world.provider)
    for payee in (world.requester, world.provider):
        world.send("withdrawCredit", payee, sender=world.stranger)
    assert gained() == [AMOUNT, AMOUNT - FEE + 950_000]


def test_defect_05_a_dispute_is_accepted_when_the_token_answers_false(open_world: OpenWorld) -> None:
    world = open_world("FalseReturnToken")
    transaction_id = world.reach(State.DELIVERED)
    world.token.send("setRefusing", True, sender=world.admin)
    assert world.dispute(transaction_id).one("BondOwed").amount == BOND


# ---------------------------------------------------------------- 12: tokens that lie


@pytest.mark.parametrize(
    ("token", "received"), [("FeeOnTransferToken", AMOUNT - AMOUNT // 100), ("SilentExtraToken", AMOUNT + 1)]
)
@pytest.mark.parametrize("aliased", [False, True])
def test_defect_12_funding_reverts_unless_exactly_the_amount_arrives(
    open_world: OpenWorld, token: str, received: int, aliased: bool
) -> None:
    world = open_world(token)
    transaction_id = world.create()
    link = ("linkEscrow", transaction_id, world.vault.address, b"\xa1" * 32 if aliased else transaction_id)
    world.refuse("ReceivedMismatch", *link, sender=world.requester, received=received, expected=AMOUNT)
    assert world.state(transaction_id) is State.INITIATED
    assert world.balance(world.vault.address) == 0


def test_defect_12_funding_reverts_when_the_token_answers_false_or_moves_nothing(open_world: OpenWorld) -> None:
    for token, setter, error in (
        ("FalseReturnToken", "setRefusing", "SafeERC20FailedOperation"),
        ("LyingToken", "setLying", "ReceivedMismatch"),
    ):
        world = open_world(token)
        transaction_id = world.create()
        world.token.send(setter, True, sender=world.admin)
        link = ("linkEscrow", transaction_id, world.vault.address, transaction_id)
        why = world.kernel.refusal(*link, sender=world.requester)
        assert why is not None
        assert why.name in {error, SAFE_ERC20_FAILED}


SAFE_ERC20_FAILED = "5274afe7"
"""Selector of OpenZeppelin's SafeERC20FailedOperation(address), should no ABI of ours list it."""


def test_defect_12_a_bond_counts_only_if_it_arrives_in_full(open_world: OpenWorld) -> None:
    world = open_world("LyingToken")
    transaction_id = world.reach(State.DELIVERED)
    world.token.send("setLying", True, sender=world.admin)
    world.refuse("ReceivedMismatch", "postBond", transaction_id, world.requester, sender=world.stranger, received=0)


@pytest.mark.slow
@pytest.mark.parametrize("token", ["NoReturnToken", "RevertOnZeroToken"])
def test_defect_12_unusual_but_honest_tokens_go_through_a_whole_life(open_world: OpenWorld, token: str) -> None:
    world = open_world(token)
    first, second, refunded = (world.reach(state) for state in (State.DELIVERED, State.DELIVERED, State.COMMITTED))
    gained = world.gains(world.requester, world.provider)
    world.settle(first)
    assert gained() == [0, AMOUNT - FEE]
    world.dispute(second)
    world.rule(second, words(AMOUNT, 0))
    world.cancel(refunded, sender=world.provider)
    assert gained() == [2 * AMOUNT, AMOUNT - FEE]
    milestoned = world.reach(State.IN_PROGRESS)
    world.milestone(milestoned, AMOUNT)
    world.settle(milestoned, sender=world.stranger)
    world.send("withdrawFees", sender=world.fee_recipient)
    assert world.balance(world.vault.address) == 0


def test_defect_12_payouts_of_nothing_never_touch_the_token(open_world: OpenWorld) -> None:
    """A payout whose fee takes everything, and rulings that leave one side nothing, would revert on this token."""
    world = open_world("RevertOnZeroToken")
    world.settle(world.reach(State.DELIVERED, 50_000))
    for proof in (words(AMOUNT, 0), words(0, AMOUNT)):
        world.rule(world.reach(State.DISPUTED), proof)
    assert world.credit(world.requester) == world.credit(world.provider) == 0


def test_defect_12_a_vault_is_refused_if_its_token_has_no_code(world: World) -> None:
    kernel = world.deploy_kernel(world.stranger)
    vault = world.deploy("EscrowVault", world.stranger, kernel.address)
    world.refuse(
        "NoCode", "approveEscrowVault", vault.address, True, sender=world.admin, on=kernel, account=world.stranger
    )


def test_defect_12_a_vault_is_refused_if_it_is_none_or_serves_another_token_or_kernel(world: World) -> None:
    kernel = world.deploy_kernel(world.token.address)
    other_token = world.deploy("PlainERC20")
    refused = [
        ("NoCode", world.stranger),
        ("VaultMismatch", world.deploy("EscrowVault", other_token.address, kernel.address).address),
        ("VaultMismatch", world.vault.address),
    ]
    for error, vault in refused:
        world.refuse(error, "approveEscrowVault", vault, True, sender=world.admin, on=kernel)
    assert kernel.refusal("approveEscrowVault", other_token.address, True, sender=world.admin) is not None
    assert kernel.refusal("approveEscrowVault", "0x" + "00" * 20, True, sender=world.admin) is not None


def test_defect_12_nobody_can_be_paid_by_the_vault_itself(world: World) -> None:
    args = (world.vault.address, world.requester, AMOUNT, world.now() + DAY, 2 * DAY, bytes(32), 0, 0)
    world.refuse("InvalidProvider", "createTransaction", *args, sender=world.requester, provider=world.vault.address)


def test_defect_12_nobody_can_be_paid_by_a_vault_that_is_bound_later(world: World) -> None:
    """A vault that pays itself keeps tokens that it owes to nobody, so the books do not add up any more."""
    kernel = world.deploy_kernel(world.token.address)
    vault = world.deploy("EscrowVault", world.token.address, kernel.address)
    args = (vault.address, world.requester, AMOUNT, world.now() + DAY, 2 * DAY, bytes(32), 0, 0)
    early = kernel.read("createTransaction", *args, sender=world.requester)
    refused = kernel.refusal("createTransaction", *args, sender=world.requester) is not None
    if not refused:
        kernel.send("createTransaction", *args, sender=world.requester)
        kernel.send("approveEscrowVault", vault.address, True, sender=world.admin)
        world.token.send("approve", vault.address, AMOUNT, sender=world.requester)
        refused = kernel.refusal("linkEscrow", early, vault.address, early, sender=world.requester) is not None
    assert refused


def test_defect_12_the_vault_is_not_owed_its_own_tokens(world: World) -> None:
    if world.kernel.refusal("updateFeeRecipient", world.vault.address, sender=world.admin) is None:
        world.send("updateFeeRecipient", world.vault.address, sender=world.admin)
        world.settle(world.reach(State.DELIVERED))
        world.send("updateFeeRecipient", world.admin, sender=world.admin)
        if world.kernel.refusal("withdrawCredit", world.vault.address, sender=world.stranger) is None:
            world.send("withdrawCredit", world.vault.address, sender=world.stranger)


# ---------------------------------------------------------------- 13: books


def test_defect_13_what_somebody_sends_on_their_own_changes_nothing_that_is_owed(world: World) -> None:
    transaction_id = world.reach(State.COMMITTED)
    world.donate(7 * USDC)
    assert world.vault.read("remaining", transaction_id) == AMOUNT
    gained = world.gains(world.requester)
    world.cancel(transaction_id, sender=world.provider)
    assert gained() == [AMOUNT]
    assert world.balance(world.vault.address) == 7 * USDC


def test_defect_13_a_gift_to_the_vault_neither_pays_for_an_escrow_nor_blocks_one(world: World) -> None:
    transaction_id = world.create()
    world.donate(AMOUNT)
    world.token.send("approve", world.vault.address, 0, sender=world.requester)
    link = ("linkEscrow", transaction_id, world.vault.address, transaction_id)
    world.refuse("ERC20InsufficientAllowance", *link, sender=world.requester)
    world.token.send("approve", world.vault.address, AMOUNT, sender=world.requester)
    world.fund(transaction_id)


@pytest.mark.parametrize("released", [0, 50_000, 30 * USDC, AMOUNT - 1])
def test_defect_13_a_refund_is_what_came_in_less_what_went_out(world: World, released: int) -> None:
    transaction_id = world.reach(State.QUOTED, 5 * AMOUNT)
    world.send("acceptQuote", transaction_id, AMOUNT, sender=world.requester)
    bystander = world.reach(State.COMMITTED)
    world.fund(transaction_id)
    world.start(transaction_id)
    if released:
        world.milestone(transaction_id, released)
    gained = world.gains(world.requester)
    world.warp(world.deadline(transaction_id) + 1)
    world.cancel(transaction_id, sender=world.requester)
    assert gained() == [AMOUNT - released]
    assert world.vault.read("remaining", bystander) == AMOUNT


@pytest.mark.slow
def test_defect_13_the_books_are_equal_after_every_call_while_many_share_the_vault(world: World) -> None:
    """`World` compares balance and debts after each call; here transactions with all kinds of ends overlap."""
    aliased, early, timed_out, ruled, milestoned, refunded = (world.create(AMOUNT + index) for index in range(6))
    world.fund(aliased, b"\xa1" * 32)
    for one in (early, timed_out, ruled, milestoned, refunded):
        world.fund(one)
    world.donate(1)
    world.send("announceCancellation", early, sender=world.requester)
    for one in (aliased, timed_out, ruled, milestoned, refunded):
        world.start(one)
    world.milestone(aliased, 33 * USDC)
    world.milestone(milestoned, AMOUNT + 4)
    world.block(world.provider)
    world.milestone(refunded, 50_000)
    for one in (aliased, timed_out, ruled):
        world.deliver(one)
    for party in (world.requester, world.provider):
        world.send("postBond", timed_out, party, sender=world.stranger)
    world.dispute(timed_out, sender=world.provider)
    world.dispute(ruled, sender=world.provider)
    world.pass_time(HOUR)
    world.send("cancelEarly", early, sender=world.requester)
    world.settle(milestoned, sender=world.payer)
    world.donate(2)
    world.dispute(aliased, sender=world.requester)
    world.send("updateFeeRecipient", world.provider, sender=world.admin)
    world.rule(ruled, words(20 * USDC, 75 * USDC + 3, True, world.mediator, 5 * USDC))
    world.send("withdrawCredit", world.fee_recipient, sender=world.stranger)
    world.block(world.stranger)
    world.warp(world.deadline(refunded) + 1)
    world.cancel(refunded, sender=world.requester)
    world.pass_time(TIMEOUT)
    world.send("closeTimedOutDispute", timed_out, sender=world.payer)
    world.rule(aliased, words(10, 67 * USDC - 10, False), sender=world.mediator)
    for account in (world.provider, world.stranger):
        world.unblock(account)
        world.send("withdrawCredit", account, sender=world.payer)
    world.send("withdrawFees", sender=world.provider)
    assert world.balance(world.vault.address) == world.unsolicited == 3


def test_defect_13_without_fees_and_bonds_the_vault_is_empty_when_all_is_over(open_world: OpenWorld) -> None:
    world = open_world(economics=FREE)
    ids = [world.reach(state) for state in (State.COMMITTED, State.IN_PROGRESS, State.DELIVERED, State.DISPUTED)]
    world.cancel(ids[0], sender=world.provider)
    world.milestone(ids[1], AMOUNT // 3)
    world.cancel(ids[1], sender=world.provider)
    world.settle(ids[2])
    world.pass_time(TIMEOUT + 1)
    world.send("closeTimedOutDispute", ids[3], sender=world.stranger)
    assert world.balance(world.vault.address) == 0
