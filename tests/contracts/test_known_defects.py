"""The known defects of the public kernel that have to do with states, time and rates: ours has none of them.

The numbers are those of the list in the protocol's description. Defects that have to do with tokens and the vault's
books (5, 12 and 13) are in `test_known_defects_tokens.py`.
"""

from __future__ import annotations

import pytest

from tests.contracts.kernel_support import AMOUNT, DAY, HOUR, USDC, State, World, word, words

FEE = USDC
BOND = 5 * USDC
GRACE = 7 * DAY
TIMEOUT = 30 * DAY


# ---------------------------------------------------------------- 1: locked for ever

EXITS = {
    State.COMMITTED: ("CANCELLED", lambda world, one: world.deadline(one) + GRACE + 1),
    State.IN_PROGRESS: ("CANCELLED", lambda world, one: world.deadline(one) + GRACE + 1),
    State.DELIVERED: ("SETTLED", lambda world, one: world.window_end(one) + 1),
    State.DISPUTED: ("SETTLED", lambda world, one: world.view(one).updatedAt + TIMEOUT + 1),
}
TROUBLES = [
    "none", "kernel paused", "vault not approved", "token paused", "requester blocked", "provider blocked",
    "everybody blocked", "vault blocked", "rates changed", "roles given away",
]  # fmt: skip


def make_trouble(world: World, trouble: str) -> None:
    match trouble:
        case "kernel paused":
            world.send("pause", sender=world.pauser)
        case "vault not approved":
            world.send("approveEscrowVault", world.vault.address, False, sender=world.admin)
        case "token paused":
            world.token.send("pause", sender=world.admin)
        case "requester blocked" | "provider blocked":
            world.block(world.people[trouble.split()[0]])
        case "everybody blocked":
            for account in world.people.values():
                world.block(account)
        case "vault blocked":
            world.block(world.vault.address)
        case "rates changed":
            world.send("scheduleEconomicParams", 500, 5_000, sender=world.admin)
            world.send("updateDisputeBondBps", 2_000, sender=world.admin)
        case "roles given away":
            world.send("updateFeeRecipient", world.payer, sender=world.admin)
            world.send("approveMediator", world.mediator, False, sender=world.admin)
            world.send("transferAdmin", world.requester, sender=world.admin)
            world.send("acceptAdmin", sender=world.requester)


def leave(world: World, transaction_id: bytes, sender: str) -> None:
    """The exit of a funded state that anyone may take."""
    if world.state(transaction_id) is State.DISPUTED:
        world.send("closeTimedOutDispute", transaction_id, sender=sender)
    else:
        to = State[EXITS[world.state(transaction_id)][0]]
        world.move(transaction_id, to, sender=sender)


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("state", EXITS)
def test_defect_01_nothing_is_locked_for_ever_every_funded_state_has_an_exit_for_anyone(
    world: World, state: State, trouble: str
) -> None:
    transaction_id = world.reach(state)
    final, due = EXITS[state]
    due_at = due(world, transaction_id)
    make_trouble(world, trouble)
    world.warp(due_at - 1)
    with world.undone(), pytest.raises(AssertionError, match=r"RefundNotDue|WindowOpen|DisputeNotTimedOut"):
        leave(world, transaction_id, world.stranger)
    world.warp(due_at)
    leave(world, transaction_id, world.stranger)
    assert world.state(transaction_id) is State[final]
    assert world.vault.read("remaining", transaction_id) == 0


@pytest.mark.parametrize("state", [State.COMMITTED, State.IN_PROGRESS])
def test_defect_01_nothing_is_locked_for_ever_undelivered_work_is_refunded_in_full(world: World, state: State) -> None:
    transaction_id = world.reach(state)
    gained = world.gains(world.requester, world.provider)
    for first_second, sender in ((1, world.requester), (GRACE + 1, world.stranger)):
        with world.undone():
            world.warp(world.deadline(transaction_id) + first_second)
            world.cancel(transaction_id, sender=sender)
            assert gained() == [AMOUNT, 0]
            assert world.kernel.read("accruedFees") == 0


def test_defect_01_nothing_is_locked_for_ever_a_deadline_before_the_windows_end_hinders_no_settlement(
    world: World,
) -> None:
    transaction_id = world.create(work=4, window=30 * DAY)
    world.fund(transaction_id)
    world.start(transaction_id)
    world.deliver(transaction_id)
    assert world.deadline(transaction_id) < world.window_end(transaction_id)
    gained = world.gains(world.provider)
    world.warp(world.window_end(transaction_id) + 1)
    world.settle(transaction_id, sender=world.stranger)
    assert gained() == [AMOUNT - FEE]


@pytest.mark.parametrize("to", [State.SETTLED, State.CANCELLED])
def test_defect_01_nothing_is_locked_for_ever_a_dispute_outlives_the_deadline(world: World, to: State) -> None:
    transaction_id = world.reach(State.DISPUTED)
    world.warp(world.deadline(transaction_id) + 400 * DAY)
    world.rule(transaction_id, to=to)


def test_defect_01_nothing_is_locked_for_ever_nobody_can_put_off_the_time_out_of_a_dispute(world: World) -> None:
    transaction_id = world.reach(State.DELIVERED)
    world.block(world.requester)
    disputed_at = world.dispute(transaction_id).timestamp
    world.pass_time(29 * DAY)
    world.send("postBond", transaction_id, world.requester, sender=world.stranger)
    world.send("anchorAttestation", transaction_id, b"\x01" * 32, sender=world.provider)
    for call in (("releaseEscrow",), ("announceCancellation",), ("acceptQuote", AMOUNT), ("releaseMilestone", AMOUNT)):
        assert world.kernel.refusal(call[0], transaction_id, *call[1:], sender=world.requester) is not None
    world.warp(disputed_at + TIMEOUT + 1)
    world.send("closeTimedOutDispute", transaction_id, sender=world.stranger)


# ---------------------------------------------------------------- 2: the idle provider is paid


@pytest.mark.parametrize("state", [State.COMMITTED, State.IN_PROGRESS])
def test_defect_02_an_idle_provider_is_not_paid_when_the_requester_reclaims(world: World, state: State) -> None:
    transaction_id = world.reach(state)
    world.warp(world.deadline(transaction_id) + 1)
    gained = world.gains(world.requester, world.provider)
    receipt = world.cancel(transaction_id, sender=world.requester)
    assert gained() == [AMOUNT, 0]
    assert receipt.of("PenaltyPaid") == []


def test_defect_02_an_idle_provider_is_not_paid_by_an_early_cancellation_that_comes_after_the_deadline(
    world: World,
) -> None:
    transaction_id = world.reach(State.COMMITTED)
    deadline = world.deadline(transaction_id)
    world.warp(deadline - HOUR)
    world.send("announceCancellation", transaction_id, sender=world.requester)
    gained = world.gains(world.requester, world.provider)
    with world.undone():
        world.warp(deadline)
        world.send("cancelEarly", transaction_id, sender=world.requester)
        assert gained() == [AMOUNT - BOND, 5 * USDC]
    world.warp(deadline + 1)
    world.send("cancelEarly", transaction_id, sender=world.requester)
    assert gained() == [AMOUNT, 0]


def test_defect_02_an_idle_provider_is_not_paid_when_it_cancels_itself(world: World) -> None:
    for state in (State.COMMITTED, State.IN_PROGRESS):
        transaction_id = world.reach(state)
        gained = world.gains(world.requester, world.provider)
        world.cancel(transaction_id, sender=world.provider)
        assert gained() == [AMOUNT, 0]


@pytest.mark.parametrize("after_announcement", [1, HOUR - 1, HOUR, 5 * HOUR])
def test_defect_02_a_provider_may_still_start_after_the_notice_and_then_cannot_be_walked_out_on(
    world: World, after_announcement: int
) -> None:
    transaction_id = world.reach(State.COMMITTED)
    announced = world.send("announceCancellation", transaction_id, sender=world.requester).timestamp
    world.warp(announced + after_announcement)
    world.start(transaction_id)
    world.pass_time(2 * HOUR)
    world.refuse("WrongState", "cancelEarly", transaction_id, sender=world.requester)
    world.refuse("RefundNotDue", "transitionState", transaction_id, State.CANCELLED, b"", sender=world.requester)
    world.deliver(transaction_id)
    world.refuse("WrongState", "cancelEarly", transaction_id, sender=world.requester)


def test_defect_02_nothing_announced_before_funding_counts_as_notice(world: World) -> None:
    transaction_id = world.create()
    world.refuse("WrongState", "announceCancellation", transaction_id, sender=world.requester)


# ---------------------------------------------------------------- 3: the agreed window is ignored


@pytest.mark.parametrize(
    ("agreed", "wanted", "counts"),
    [
        (30 * DAY, HOUR, 30 * DAY),
        (30 * DAY, 0, 30 * DAY),
        (30 * DAY, 1, 30 * DAY),
        (30 * DAY, None, 30 * DAY),
        (2 * DAY, 2 * DAY - 1, 2 * DAY),
        (2 * DAY, 2 * DAY, 2 * DAY),
        (2 * DAY, 2 * DAY + 1, 2 * DAY + 1),
        (2 * DAY, 30 * DAY, 30 * DAY),
        (HOUR, HOUR - 1, HOUR),
        (HOUR, None, HOUR),
    ],
)
def test_defect_03_the_agreed_window_is_not_ignored(world: World, agreed: int, wanted: int | None, counts: int) -> None:
    transaction_id = world.reach(State.IN_PROGRESS, window=agreed)
    delivered_at = world.deliver(transaction_id, wanted).timestamp
    assert world.window_end(transaction_id) == delivered_at + counts
    world.warp(delivered_at + counts)
    world.refuse("WindowOpen", "releaseEscrow", transaction_id, sender=world.provider)
    with world.undone():
        world.dispute(transaction_id)
    world.warp(delivered_at + counts + 1)
    world.refuse("WindowClosed", "transitionState", transaction_id, State.DISPUTED, b"", sender=world.requester)
    world.settle(transaction_id, sender=world.provider)


@pytest.mark.parametrize("wanted", [30 * DAY + 1, 2**26, 2**32, 2**256 - 1])
def test_defect_03_the_agreed_window_is_not_lengthened_beyond_the_maximum(world: World, wanted: int) -> None:
    transaction_id = world.reach(State.IN_PROGRESS)
    world.refuse(
        "DisputeWindowOutOfBounds", "transitionState", transaction_id, State.DELIVERED, word(wanted),
        sender=world.provider, window=wanted, maximum=30 * DAY,
    )  # fmt: skip


# ---------------------------------------------------------------- 6: the pause


@pytest.mark.slow
def test_defect_06_a_pause_stops_new_money_and_nothing_else(world: World) -> None:
    created, quoted = world.reach(State.INITIATED), world.reach(State.QUOTED)
    committed, announced = world.reach(State.COMMITTED), world.reach(State.COMMITTED)
    started, delivered = world.reach(State.IN_PROGRESS), world.reach(State.DELIVERED)
    bonded, disputed = world.reach(State.DELIVERED), world.reach(State.DISPUTED)
    late = world.reach(State.DISPUTED)
    world.send("pause", sender=world.pauser)
    args = (world.provider, world.requester, AMOUNT, world.now() + DAY, DAY, bytes(32), 0, 0)
    world.refuse("KernelIsPaused", "createTransaction", *args, sender=world.requester)
    for one in (created, quoted):
        world.refuse("KernelIsPaused", "linkEscrow", one, world.vault.address, one, sender=world.requester)
    world.send("announceCancellation", announced, sender=world.requester)
    world.pass_time(HOUR)
    world.send("cancelEarly", announced, sender=world.requester)
    world.move(created, State.QUOTED, sender=world.provider)
    world.send("acceptQuote", created, AMOUNT, sender=world.requester)
    world.cancel(created, sender=world.requester)
    world.start(committed)
    world.milestone(started, USDC)
    world.deliver(started)
    world.dispute(delivered, sender=world.provider)
    world.send("postBond", bonded, world.requester, sender=world.stranger)
    world.dispute(bonded)
    world.settle(started)
    world.rule(disputed, words(AMOUNT, 0), sender=world.mediator)
    world.rule(delivered, to=State.CANCELLED)
    world.cancel(committed, sender=world.provider)
    world.send("withdrawFees", sender=world.fee_recipient)
    world.pass_time(TIMEOUT)
    world.send("closeTimedOutDispute", late, sender=world.stranger)
    world.send("closeTimedOutDispute", bonded, sender=world.stranger)
    assert world.balance(world.vault.address) == world.kernel.read("accruedFees")


@pytest.mark.parametrize("paused_from", [-1, 0, 1], ids=["before", "at the start", "inside"])
@pytest.mark.parametrize("paused_until", [-1, 0, 1], ids=["ends inside", "ends with the window", "ends after"])
def test_defect_06_a_pause_neither_shortens_nor_lengthens_a_window(
    world: World, paused_from: int, paused_until: int
) -> None:
    transaction_id = world.reach(State.IN_PROGRESS)
    delivery = world.now() + DAY
    world.warp(delivery + paused_from * HOUR + (paused_from == 0))
    if paused_from == 1:
        world.warp(delivery)
        world.deliver(transaction_id)
        world.warp(delivery + HOUR)
    world.send("pause", sender=world.pauser)
    if paused_from != 1:
        world.warp(delivery + 2 * (paused_from == 0))
        world.deliver(transaction_id)
    end = world.window_end(transaction_id)
    assert end == world.view(transaction_id).updatedAt + 2 * DAY
    for second in (end - HOUR, end):
        with world.undone():
            world.warp(second)
            world.dispute(transaction_id)
    with world.undone():
        world.warp(end + 1)
        world.settle(transaction_id, sender=world.stranger)
    world.warp(end + paused_until * HOUR + (paused_until == 0))
    world.send("unpause", sender=world.pauser)
    assert world.window_end(transaction_id) == end
    if paused_until == -1:
        world.warp(end)
        world.dispute(transaction_id)


@pytest.mark.parametrize("allowance", [0, BOND])
@pytest.mark.parametrize("initiator", ["requester", "provider"])
@pytest.mark.parametrize("trouble", ["token paused", "party blocked", "vault blocked"])
def test_defect_06_a_token_that_will_not_move_the_bond_costs_no_party_its_dispute(
    world: World, trouble: str, initiator: str, allowance: int
) -> None:
    transaction_id = world.reach(State.DELIVERED)
    party = world.people[initiator]
    world.token.send("approve", world.vault.address, allowance, sender=party)
    make_trouble(world, f"{initiator} blocked" if trouble == "party blocked" else trouble)
    world.warp(world.window_end(transaction_id))
    receipt = world.dispute(transaction_id, sender=party)
    owed = receipt.one("BondOwed")
    assert (owed.transactionId, owed.party, owed.amount) == (transaction_id, party, BOND)
    opened = receipt.one("DisputeOpened")
    assert (opened.initiator, opened.bondAmount) == (party, BOND)
    assert world.kernel.read("bondsOf", transaction_id)[2] == BOND
    assert world.view(transaction_id).disputeInitiator == party


def test_defect_06_anyone_may_post_the_bond_for_a_party_whose_tokens_do_not_move(world: World) -> None:
    transaction_id = world.reach(State.DELIVERED)
    world.block(world.requester)
    world.refuse("BondRefused", "postBond", transaction_id, world.requester, sender=world.requester, bond=BOND)
    world.send("postBond", transaction_id, world.requester, sender=world.stranger)
    assert world.dispute(transaction_id).of("BondOwed") == []
    gained = world.gains(world.stranger)
    world.pass_time(TIMEOUT + 1)
    world.send("closeTimedOutDispute", transaction_id, sender=world.payer)
    assert gained() == [BOND]


def test_defect_06_a_token_that_pauses_after_the_dispute_stops_no_ruling(world: World) -> None:
    transaction_id = world.reach(State.DISPUTED)
    world.token.send("pause", sender=world.admin)
    world.rule(transaction_id, words(40 * USDC, 60 * USDC))
    assert world.credit(world.requester) == 40 * USDC + BOND
    assert world.credit(world.provider) == 60 * USDC - 600_000
    world.token.send("unpause", sender=world.admin)
    gained = world.gains(world.requester, world.provider)
    for payee in (world.requester, world.provider):
        world.send("withdrawCredit", payee, sender=world.stranger)
    assert gained() == [40 * USDC + BOND, 60 * USDC - 600_000]


# ---------------------------------------------------------------- 7: un-approving a vault


@pytest.mark.parametrize("state", EXITS)
def test_defect_07_withdrawing_the_approval_of_a_vault_freezes_nothing_in_flight(world: World, state: State) -> None:
    transaction_id, waiting = world.reach(state), world.reach(State.INITIATED)
    make_trouble(world, "vault not approved")
    world.refuse(
        "VaultNotApproved", "linkEscrow", waiting, world.vault.address, waiting, sender=world.requester,
        vault=world.vault.address,
    )  # fmt: skip
    gained = world.gains(world.requester, world.provider)
    match state:
        case State.COMMITTED:
            world.start(transaction_id)
            world.milestone(transaction_id, 50 * USDC)
            world.cancel(transaction_id, sender=world.provider)
            assert gained() == [50 * USDC, 49_500_000]
        case State.IN_PROGRESS:
            world.deliver(transaction_id)
            world.settle(transaction_id)
            assert gained() == [0, AMOUNT - FEE]
        case State.DELIVERED:
            world.dispute(transaction_id)
            world.rule(transaction_id)
            assert gained() == [-BOND, AMOUNT - FEE + BOND]
        case State.DISPUTED:
            world.pass_time(TIMEOUT)
            world.send("closeTimedOutDispute", transaction_id, sender=world.stranger)
            assert gained() == [50 * USDC + BOND, 49_500_000]
    if world.kernel.read("accruedFees"):
        world.send("withdrawFees", sender=world.fee_recipient)
    assert world.balance(world.vault.address) == 0


def test_defect_07_the_view_still_names_the_vault_after_its_approval_is_withdrawn(world: World) -> None:
    transaction_id = world.reach(State.COMMITTED)
    make_trouble(world, "vault not approved")
    assert world.view(transaction_id).escrowContract == world.vault.address


# ---------------------------------------------------------------- 9: milestones and rates


@pytest.mark.parametrize("how", ["transitionState", "releaseEscrow"])
@pytest.mark.parametrize("pieces", [(AMOUNT,), (30 * USDC, 70 * USDC), (AMOUNT - 1, 1)])
def test_defect_09_fully_milestoned_transactions_become_settled(
    world: World, pieces: tuple[int, ...], how: str
) -> None:
    transaction_id = world.reach(State.IN_PROGRESS)
    for piece in pieces:
        assert world.kernel.refusal("releaseEscrow", transaction_id, sender=world.requester) is not None
        world.milestone(transaction_id, piece)
    gained = world.gains(world.requester, world.provider)
    rest = (State.SETTLED, b"") if how == "transitionState" else ()
    world.warp(world.deadline(transaction_id) + 1)
    receipt = world.send(how, transaction_id, *rest, sender=world.stranger)
    assert world.state(transaction_id) is State.SETTLED
    assert gained() == [0, 0]
    assert receipt.one("EscrowCompleted").escrowId == transaction_id


def test_defect_09_fully_milestoned_transactions_become_settled_after_a_delivery_too(world: World) -> None:
    transaction_id = world.reach(State.IN_PROGRESS)
    world.milestone(transaction_id, AMOUNT)
    world.deliver(transaction_id)
    with world.undone():
        world.settle(transaction_id)
        assert world.state(transaction_id) is State.SETTLED
    world.dispute(transaction_id)
    world.rule(transaction_id, words(0, 0))
    assert world.state(transaction_id) is State.SETTLED


def test_defect_09_dust_milestones_do_not_escape_the_fee(world: World) -> None:
    transaction_id = world.reach(State.IN_PROGRESS)
    call = ("releaseMilestone", transaction_id)
    for dust in (0, 1, 49_999):
        world.refuse(
            "MilestoneOutOfBounds", *call, dust, sender=world.requester, amount=dust, minimum=50_000, remaining=AMOUNT
        )
    world.refuse("MilestoneOutOfBounds", *call, AMOUNT + 1, sender=world.requester, remaining=AMOUNT)
    world.refuse("MilestoneOutOfBounds", *call, 2**256 - 1, sender=world.requester)
    world.milestone(transaction_id, 50_000)
    world.milestone(transaction_id, AMOUNT - 50_000 - 49_999)
    world.refuse("MilestoneOutOfBounds", *call, 49_998, sender=world.requester, remaining=49_999)
    gained = world.gains(world.provider)
    assert world.milestone(transaction_id, 49_999).one("PlatformFeeAccrued").amount == 49_999
    assert gained() == [0]
    world.refuse("MilestoneOutOfBounds", *call, 0, sender=world.requester, remaining=0)


def test_defect_09_rates_do_not_change_under_an_open_transaction(world: World) -> None:
    walked_out, disputed, milestoned = (world.reach(State.COMMITTED) for _ in range(3))
    world.send("scheduleEconomicParams", 500, 5_000, sender=world.admin)
    world.pass_time(2 * DAY)
    world.send("executeEconomicParamsUpdate", sender=world.admin)
    world.send("updateDisputeBondBps", 2_000, sender=world.admin)
    gained = world.gains(world.provider)
    world.send("announceCancellation", walked_out, sender=world.requester)
    world.pass_time(HOUR)
    world.send("cancelEarly", walked_out, sender=world.requester)
    assert gained() == [5 * USDC]
    world.start(milestoned)
    assert world.milestone(milestoned, AMOUNT).one("PlatformFeeAccrued").amount == FEE
    world.start(disputed)
    world.deliver(disputed)
    assert world.dispute(disputed).one("BondPosted").amount == BOND
    assert world.rule(disputed).one("PlatformFeeAccrued").amount == FEE
