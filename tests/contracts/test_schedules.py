"""A schedule that is agreed at creation: each part is paid or refunded at most once, and nothing of it is ever stuck.

Defect 14: where a schedule exists, G1's `releaseMilestone` and a new price would break it, so both revert.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

import pytest

from tests.contracts.kernel_support import AMOUNT, DAY, FREE, HOUR, USDC, ZERO, State, World, word, words
from tests.contracts.orders import (
    FOREVER,
    USUAL,
    Clauses,
    Milestone,
    order,
    place,
    placed,
    salt,
    salted_id,
    schedule,
    sign_split,
    three_parts,
)

OpenWorld = Callable[..., World]
GRACE = 7 * DAY
PARTS = [20 * USDC, 30 * USDC, 50 * USDC]


class Status(IntEnum):
    LOCKED = 0
    PAID = 1
    REFUNDED = 2


def statuses(world: World, transaction_id: bytes) -> list[Status]:
    return [Status(part.status) for part in world.kernel.read("milestonesOf", transaction_id)]


def due(world: World, transaction_id: bytes, index: int) -> int:
    """Last second in which a part cannot be refunded by the requester."""
    return int(world.kernel.read("milestonesOf", transaction_id)[index].deadline)


def left(world: World, transaction_id: bytes) -> int:
    return int(world.vault.read("remaining", transaction_id))


def pay(world: World, transaction_id: bytes, *indices: int) -> None:
    for index in indices:
        world.send("payMilestone", transaction_id, index, sender=world.requester)


def refund(world: World, transaction_id: bytes, *indices: int) -> None:
    for index in indices:
        world.send("refundMilestone", transaction_id, index, sender=world.requester)


# ---------------------------------------------------------------- agreeing


@pytest.mark.parametrize("entry", ["createSalted", "createFundedWith"])
def test_a_schedule_is_kept_and_announced_part_by_part(world: World, entry: str) -> None:
    clauses = three_parts(world)
    receipt = world.send(entry, order(world), clauses, sender=world.requester)
    transaction_id = receipt.one("TransactionCreated").transactionId
    kept = world.kernel.read("milestonesOf", transaction_id)
    assert [(part.amount, part.deadline, part.conditionHash) for part in kept] == list(clauses.milestones)
    assert statuses(world, transaction_id) == [Status.LOCKED] * 3
    told = receipt.of("MilestoneScheduled")
    assert [one.index for one in told] == [0, 1, 2]
    assert [(one.amount, one.deadline, one.conditionHash) for one in told] == list(clauses.milestones)
    assert {one.transactionId for one in told} == {transaction_id}
    assert receipt.of("ClausesAgreed") == []


@pytest.mark.parametrize("off_by", [-1, 1, -PARTS[2] + 50_000, USDC])
def test_a_schedule_that_does_not_sum_to_the_amount_is_refused(world: World, off_by: int) -> None:
    clauses = schedule(world, 20 * USDC, 30 * USDC, 50 * USDC + off_by)
    world.refuse(
        "ScheduleMismatch", "createFundedWith", order(world), clauses, sender=world.requester,
        sum=AMOUNT + off_by, amount=AMOUNT,
    )  # fmt: skip


@pytest.mark.parametrize("amount", [0, 1, 49_999, 10**15 + 1, 2**64 + 50_000, 2**256 - 50_000])
def test_dust_and_giants_are_no_parts_of_a_schedule(world: World, amount: int) -> None:
    parts = (Milestone(amount, world.now() + DAY), Milestone((AMOUNT - amount) % 2**256, world.now() + DAY))
    world.refuse(
        "AmountOutOfBounds", "createFundedWith", order(world), USUAL._replace(milestones=parts),
        sender=world.requester, amount=amount,
    )  # fmt: skip


@pytest.mark.parametrize("index", [0, 2])
@pytest.mark.parametrize("deadline", ["zero", "now", "after the order's", "beyond 64 bits"])
def test_a_part_whose_deadline_is_out_of_bounds_is_refused(world: World, deadline: str, index: int) -> None:
    wanted, parts = order(world), list(three_parts(world).milestones)
    second = {
        "zero": 0, "now": world.now(), "after the order's": wanted.deadline + 1, "beyond 64 bits": 2**64 + world.now()
    }[deadline]  # fmt: skip
    parts[index] = parts[index]._replace(deadline=second)
    world.refuse(
        "MilestoneDeadlineOutOfBounds", "createSalted", wanted, USUAL._replace(milestones=tuple(parts)),
        sender=world.requester, index=index, deadline=second, minimum=world.now() + 1, maximum=wanted.deadline,
    )  # fmt: skip


def test_the_first_and_the_last_possible_deadline_of_a_part_are_accepted(world: World) -> None:
    wanted = order(world)
    parts = (Milestone(50 * USDC, world.now() + 1), Milestone(50 * USDC, wanted.deadline))
    place(world, wanted, USUAL._replace(milestones=parts))


def test_a_schedule_has_at_most_64_parts(world: World) -> None:
    many = tuple(Milestone(USDC, world.now() + DAY) for _ in range(65))
    world.refuse(
        "TooManyMilestones", "createSalted", order(world, 1, 65 * USDC), USUAL._replace(milestones=many),
        sender=world.requester, count=65, maximum=64,
    )  # fmt: skip
    transaction_id = place(world, order(world, 1, 64 * USDC), USUAL._replace(milestones=many[:64]))
    assert world.kernel.read("MAX_MILESTONES") == 64
    world.start(transaction_id)
    pay(world, transaction_id, 63)
    assert statuses(world, transaction_id) == [Status.LOCKED] * 63 + [Status.PAID]


# ---------------------------------------------------------------- paying


def test_a_part_is_paid_less_its_fee_and_announced(world: World) -> None:
    transaction_id = placed(world, State.IN_PROGRESS, clauses=three_parts(world))
    gained = world.gains(world.provider, world.requester)
    receipt = world.send("payMilestone", transaction_id, 1, sender=world.requester)
    assert gained() == [30 * USDC - 300_000, 0]
    paid = receipt.one("MilestonePaid")
    assert (paid.transactionId, paid.index, paid.amount) == (transaction_id, 1, 30 * USDC)
    assert receipt.one("EscrowMilestoneReleased").amount == 30 * USDC
    assert receipt.one("PlatformFeeAccrued").amount == 300_000
    assert statuses(world, transaction_id) == [Status.LOCKED, Status.PAID, Status.LOCKED]
    assert left(world, transaction_id) == 70 * USDC
    assert world.view(transaction_id).updatedAt == receipt.timestamp


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_part_is_not_paid_twice_nor_after_its_refund_nor_refunded_after_its_payment(world: World, index: int) -> None:
    transaction_id = placed(world, State.IN_PROGRESS, clauses=three_parts(world))
    world.warp(due(world, transaction_id, 2) + 1)
    for first, status in ((pay, Status.PAID), (refund, Status.REFUNDED)):
        with world.undone():
            first(world, transaction_id, index)
            for again in ("payMilestone", "refundMilestone"):
                world.refuse(
                    "MilestoneNotLocked", again, transaction_id, index, sender=world.requester,
                    index=index, status=status,
                )  # fmt: skip


@pytest.mark.parametrize("call", ["payMilestone", "refundMilestone"])
@pytest.mark.parametrize("index", [3, 64, 2**64, 2**256 - 1])
def test_a_part_out_of_range_is_refused(world: World, call: str, index: int) -> None:
    transaction_id = placed(world, State.IN_PROGRESS, clauses=three_parts(world))
    world.warp(world.deadline(transaction_id) + 1)
    world.refuse("UnknownMilestone", call, transaction_id, index, sender=world.requester, index=index, count=3)
    unscheduled = placed(world, State.IN_PROGRESS)
    world.refuse("UnknownMilestone", call, unscheduled, 0, sender=world.requester, index=0, count=0)


def test_only_the_requester_pays_a_part_and_only_while_the_work_is_in_progress(world: World) -> None:
    clauses = three_parts(world)
    started = placed(world, State.IN_PROGRESS, clauses=clauses)
    for name in set(world.people) - {"requester"}:
        world.refuse("NotRequester", "payMilestone", started, 0, sender=world.people[name])
    for state in (State.COMMITTED, State.DELIVERED, State.DISPUTED, State.SETTLED):
        other = placed(world, state, clauses=clauses)
        world.refuse("WrongState", "payMilestone", other, 0, sender=world.requester, actual=state, required=3)
    world.send("createSalted", order(world, 99), clauses, sender=world.requester)
    unfunded = salted_id(world, world.requester, salt(99))
    for call in ("payMilestone", "refundMilestone"):
        world.refuse("WrongState", call, unfunded, 0, sender=world.requester, actual=State.INITIATED)


def test_a_part_is_still_paid_after_its_deadline_and_the_orders(world: World) -> None:
    transaction_id = placed(world, State.IN_PROGRESS, clauses=three_parts(world))
    world.warp(world.deadline(transaction_id) + 1)
    gained = world.gains(world.provider)
    pay(world, transaction_id, 0)
    assert gained() == [20 * USDC - 200_000]


def test_each_part_pays_at_least_the_minimum_fee(world: World) -> None:
    wanted = order(world, 1, 150_000)
    transaction_id = placed(world, State.IN_PROGRESS, wanted, schedule(world, 50_000, 100_000))
    gained = world.gains(world.provider)
    pay(world, transaction_id, 0, 1)
    assert gained() == [50_000]
    assert world.kernel.read("accruedFees") == 100_000


def test_a_blocked_provider_gets_a_part_as_a_credit(world: World) -> None:
    transaction_id = placed(world, State.IN_PROGRESS, clauses=three_parts(world))
    world.block(world.provider)
    pay(world, transaction_id, 2)
    assert world.credit(world.provider) == 50 * USDC - 500_000


def test_the_rate_of_the_creation_applies_to_every_part(world: World) -> None:
    transaction_id = placed(world, State.IN_PROGRESS, clauses=schedule(world, *PARTS, step=3 * DAY))
    world.change_rates(500, 5_000)
    receipt = world.send("payMilestone", transaction_id, 2, sender=world.requester)
    assert receipt.one("PlatformFeeAccrued").amount == 500_000


# ---------------------------------------------------------------- refunding


@pytest.mark.parametrize("state", [State.COMMITTED, State.IN_PROGRESS])
def test_a_part_goes_back_after_its_deadline_to_the_requester_and_to_nobody_else(world: World, state: State) -> None:
    transaction_id = placed(world, state, clauses=three_parts(world))
    last = due(world, transaction_id, 0)
    call = ("refundMilestone", transaction_id)
    everybody_else = [account for account in world.people.values() if account != world.requester]
    world.warp(last)
    world.refuse("RefundNotDue", *call, 0, sender=world.requester, dueAfter=last)
    world.warp(last + 1)
    world.refuse("RefundNotDue", *call, 1, sender=world.requester, dueAfter=last + DAY)
    for second in (last + 1, last + GRACE):
        world.warp(second)
        for account in everybody_else:
            world.refuse("RefundNotDue", *call, 0, sender=account, dueAfter=last + GRACE)
    for first_second, sender in ((last + 1, world.requester), (last + GRACE + 1, world.stranger)):
        with world.undone():
            world.warp(first_second)
            gained = world.gains(world.requester, world.provider, world.stranger)
            receipt = world.send(*call, 0, sender=sender)
            assert gained() == [20 * USDC, 0, 0]
            assert world.kernel.read("accruedFees") == 0
            back = receipt.one("MilestoneRefunded")
            assert (back.transactionId, back.index, back.amount) == (transaction_id, 0, 20 * USDC)
            refunded = receipt.one("EscrowRefunded")
            assert (refunded.recipient, refunded.amount) == (world.requester, 20 * USDC)
            assert statuses(world, transaction_id)[0] is Status.REFUNDED
            assert left(world, transaction_id) == 80 * USDC
            assert (world.state(transaction_id), world.view(transaction_id).updatedAt) == (state, receipt.timestamp)


@pytest.mark.parametrize("state", [State.DELIVERED, State.DISPUTED, State.SETTLED])
def test_no_part_goes_back_once_the_work_is_delivered(world: World, state: State) -> None:
    transaction_id = placed(world, state, clauses=three_parts(world))
    world.warp(due(world, transaction_id, 0) + GRACE + 1)
    for sender in (world.requester, world.stranger):
        world.refuse("WrongState", "refundMilestone", transaction_id, 0, sender=sender, actual=state)


def test_no_part_goes_back_from_a_cancelled_transaction(world: World) -> None:
    transaction_id = placed(world, State.IN_PROGRESS, clauses=three_parts(world))
    world.warp(world.deadline(transaction_id) + 1)
    world.cancel(transaction_id, sender=world.requester)
    for call in ("refundMilestone", "payMilestone"):
        world.refuse("WrongState", call, transaction_id, 0, sender=world.requester, actual=State.CANCELLED)


def test_a_blocked_requester_gets_a_part_back_as_a_credit(world: World) -> None:
    transaction_id = placed(world, State.COMMITTED, clauses=three_parts(world))
    world.warp(due(world, transaction_id, 0) + GRACE + 1)
    world.block(world.requester)
    world.send("refundMilestone", transaction_id, 0, sender=world.stranger)
    assert world.credit(world.requester) == 20 * USDC


# ---------------------------------------------------------------- what is left


@pytest.mark.parametrize("how", ["settle", "releaseEscrow", "settleBatch"])
@pytest.mark.parametrize("state", [State.COMMITTED, State.IN_PROGRESS])
def test_a_schedule_that_is_done_is_settled_by_anyone(world: World, state: State, how: str) -> None:
    transaction_id = placed(world, state, clauses=three_parts(world))
    world.warp(due(world, transaction_id, 2) + 1)
    if state is State.IN_PROGRESS:
        pay(world, transaction_id, 0)
    else:
        refund(world, transaction_id, 0)
    refund(world, transaction_id, 1)
    world.refuse("InvalidTransition", "releaseEscrow", transaction_id, sender=world.stranger)
    refund(world, transaction_id, 2)
    world.refuse("InvalidTransition", "transitionState", transaction_id, 7, b"", sender=world.provider)
    gained = world.gains(world.requester, world.provider, world.vault.address)
    if how == "settle":
        world.settle(transaction_id, sender=world.stranger)
    elif how == "releaseEscrow":
        world.send("releaseEscrow", transaction_id, sender=world.stranger)
    else:
        receipt = world.send("settleBatch", [transaction_id], sender=world.stranger)
        assert receipt.of("BatchItemSkipped") == []
    assert world.state(transaction_id) is State.SETTLED
    assert gained() == [0, 0, 0]


def test_a_delivery_settles_the_parts_that_are_still_locked(world: World) -> None:
    transaction_id = placed(world, State.IN_PROGRESS, clauses=three_parts(world))
    pay(world, transaction_id, 1)
    world.warp(due(world, transaction_id, 0) + 1)
    refund(world, transaction_id, 0)
    world.deliver(transaction_id)
    gained = world.gains(world.provider, world.requester)
    world.settle(transaction_id)
    assert gained() == [50 * USDC - 500_000, 0]


@pytest.mark.parametrize("end", ["ruling", "time-out", "consent", "cancelled", "walked away"])
def test_every_end_shares_out_exactly_what_paid_and_refunded_parts_left(open_world: OpenWorld, end: str) -> None:
    world = open_world(economics=FREE)
    started = State.COMMITTED if end == "walked away" else State.IN_PROGRESS
    transaction_id = placed(world, started, clauses=three_parts(world))
    gained = world.gains(world.requester, world.provider, world.vault.address)
    if started is State.IN_PROGRESS:
        pay(world, transaction_id, 1)
    world.warp(due(world, transaction_id, 0) + 1)
    refund(world, transaction_id, 0)
    rest = 50 * USDC if started is State.IN_PROGRESS else 80 * USDC
    if end in {"ruling", "time-out"}:
        world.deliver(transaction_id)
        world.dispute(transaction_id)
    match end:
        case "ruling":
            proof = words(AMOUNT - USDC, USDC)
            world.refuse("SplitMismatch", "transitionState", transaction_id, 5, proof, sender=world.admin)
            world.rule(transaction_id, words(rest - USDC, USDC))
            expected = [20 * USDC + rest - USDC, 31 * USDC]
        case "time-out":
            world.pass_time(30 * DAY + 1)
            world.send("closeTimedOutDispute", transaction_id, sender=world.stranger)
            expected = [20 * USDC + rest // 2, 30 * USDC + rest // 2]
        case "cancelled":
            world.cancel(transaction_id, sender=world.provider)
            expected = [20 * USDC + rest, 30 * USDC]
        case "walked away":
            world.send("announceCancellation", transaction_id, sender=world.requester)
            world.pass_time(HOUR)
            world.send("cancelEarly", transaction_id, sender=world.requester)
            expected = [20 * USDC + rest, 0]
        case _:
            split = (transaction_id, rest - 7, 7, FOREVER)
            by_provider = sign_split(world, world.provider, *split)
            world.send("settleByConsent", *split, b"", by_provider, sender=world.requester)
            expected = [20 * USDC + rest - 7, 30 * USDC + 7]
    assert gained()[:2] == expected
    assert gained()[2] == -sum(expected)


def test_walking_away_costs_the_penalty_on_what_is_left_only(world: World) -> None:
    transaction_id = placed(world, State.COMMITTED, clauses=three_parts(world))
    world.warp(due(world, transaction_id, 1) + 1)
    refund(world, transaction_id, 0, 1)
    world.send("announceCancellation", transaction_id, sender=world.requester)
    world.pass_time(HOUR)
    gained = world.gains(world.requester, world.provider)
    world.send("cancelEarly", transaction_id, sender=world.requester)
    assert gained() == [50 * USDC - 2_500_000, 2_500_000]


@pytest.mark.parametrize("trouble", ["kernel paused", "vault not approved", "token paused"])
def test_defect_01_nothing_of_a_schedule_is_locked_for_ever(world: World, trouble: str) -> None:
    """A silent provider and a silent requester: anyone brings each part home, then closes the transaction."""
    transaction_id = placed(world, State.IN_PROGRESS, clauses=three_parts(world))
    if trouble == "kernel paused":
        world.send("pause", sender=world.pauser)
    elif trouble == "vault not approved":
        world.send("approveEscrowVault", world.vault.address, False, sender=world.admin)
    else:
        world.token.send("pause", sender=world.admin)
    gained = world.gains(world.requester)
    for index in range(3):
        world.warp(due(world, transaction_id, index) + GRACE + 1)
        world.send("refundMilestone", transaction_id, index, sender=world.stranger)
    world.settle(transaction_id, sender=world.stranger)
    if trouble == "token paused":
        world.token.send("unpause", sender=world.admin)
        world.send("withdrawCredit", world.requester, sender=world.stranger)
    assert gained() == [AMOUNT]


# ---------------------------------------------------------------- 14: G1's own milestones


@pytest.mark.parametrize("amount", [50_000, USDC, 20 * USDC, AMOUNT])
def test_defect_14_where_a_schedule_exists_g1s_milestone_is_refused(world: World, amount: int) -> None:
    transaction_id = placed(world, State.IN_PROGRESS, clauses=three_parts(world))
    call = ("releaseMilestone", transaction_id, amount)
    world.refuse("ScheduleAgreed", *call, sender=world.requester, transactionId=transaction_id)
    world.milestone(placed(world, State.IN_PROGRESS), amount)


def test_defect_14_where_a_schedule_exists_no_quote_changes_the_amount(world: World) -> None:
    for number, clauses in enumerate((three_parts(world), USUAL._replace(arbiter=world.stranger))):
        world.send("createSalted", order(world, number), clauses, sender=world.requester)
        transaction_id = salted_id(world, world.requester, salt(number))
        world.move(transaction_id, State.QUOTED, word(9), sender=world.provider)
        call = ("acceptQuote", transaction_id, 2 * AMOUNT)
        if number == 0:
            world.refuse("ScheduleAgreed", *call, sender=world.requester, transactionId=transaction_id)
        else:
            world.send(*call, sender=world.requester)
        world.fund(transaction_id)


def test_a_schedule_belongs_to_its_own_transaction(world: World) -> None:
    first = placed(world, State.IN_PROGRESS, clauses=three_parts(world))
    second = placed(world, State.IN_PROGRESS, clauses=Clauses(ZERO, 5_000, 0, 0, schedule(world, AMOUNT).milestones))
    pay(world, second, 0)
    assert (statuses(world, first), statuses(world, second)) == ([Status.LOCKED] * 3, [Status.PAID])
    assert (left(world, first), left(world, second)) == (AMOUNT, 0)
