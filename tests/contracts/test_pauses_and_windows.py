"""Defects 6 and 7 beyond G1: a pause stops new money at every entry, and moves no window by a second.

Nor does an announcement by a requester who sees the delivery coming (defect 2).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from tests.contracts.kernel_support import AMOUNT, DAY, HOUR, USDC, Refused, State, World
from tests.contracts.orders import (
    USUAL,
    order,
    place,
    placed,
    salt,
    salted_id,
    sign_authorization,
    sign_permit,
    sign_split,
    three_parts,
)

GRACE = 7 * DAY
TIMEOUT = 30 * DAY


class Window(NamedTuple):
    """One call and the last second before its answer changes; an answer is the name of an error or empty."""

    call: tuple[Any, ...]
    sender: str
    last: int
    until: str
    after: str


def announced(world: World) -> tuple[bytes, int]:
    one = placed(world, State.COMMITTED)
    return one, world.send("announceCancellation", one, sender=world.requester).timestamp + HOUR


def delivery(world: World) -> Window:
    one = placed(world, State.COMMITTED)
    return Window(
        ("transitionState", one, State.DELIVERED, b""), world.provider, world.deadline(one), "", "DeadlinePassed"
    )


def refund(world: World) -> Window:
    one = placed(world, State.COMMITTED)
    call = ("transitionState", one, State.CANCELLED, b"")
    return Window(call, world.requester, world.deadline(one), "RefundNotDue", "")


def refund_by_anyone(world: World) -> Window:
    one = placed(world, State.IN_PROGRESS)
    call = ("transitionState", one, State.CANCELLED, b"")
    return Window(call, world.stranger, world.deadline(one) + GRACE, "RefundNotDue", "")


def dispute(world: World) -> Window:
    one = placed(world, State.DELIVERED)
    call = ("transitionState", one, State.DISPUTED, b"")
    return Window(call, world.requester, world.window_end(one), "", "WindowClosed")


def settlement(world: World) -> Window:
    one = placed(world, State.DELIVERED)
    return Window(("releaseEscrow", one), world.stranger, world.window_end(one), "WindowOpen", "")


def time_out(world: World) -> Window:
    one = placed(world, State.DISPUTED)
    last = world.view(one).updatedAt + TIMEOUT
    return Window(("closeTimedOutDispute", one), world.stranger, last, "DisputeNotTimedOut", "")


def notice(world: World) -> Window:
    one, effective = announced(world)
    return Window(("cancelEarly", one), world.requester, effective - 1, "NoticeRunning", "")


def lapse(world: World) -> Window:
    one, effective = announced(world)
    return Window(("cancelEarly", one), world.requester, effective + DAY, "", "CancellationLapsed")


def part(world: World) -> Window:
    one = placed(world, State.COMMITTED, clauses=three_parts(world))
    last = world.kernel.read("milestonesOf", one)[0].deadline
    return Window(("refundMilestone", one, 0), world.requester, last, "RefundNotDue", "")


def part_by_anyone(world: World) -> Window:
    one = placed(world, State.IN_PROGRESS, clauses=three_parts(world))
    last = world.kernel.read("milestonesOf", one)[0].deadline + GRACE
    return Window(("refundMilestone", one, 0), world.stranger, last, "RefundNotDue", "")


def consent(world: World) -> Window:
    until = world.now() + 5 * HOUR
    split = (placed(world, State.DELIVERED), 60 * USDC, 40 * USDC, until)
    signatures = [sign_split(world, party, *split) for party in (world.requester, world.provider)]
    return Window(("settleByConsent", *split, *signatures), world.stranger, until, "", "ConsentExpired")


WINDOWS: list[Callable[[World], Window]] = [
    delivery, refund, refund_by_anyone, dispute, settlement, time_out, notice, lapse, part, part_by_anyone, consent,
]  # fmt: skip


def answer(world: World, window: Window) -> str:
    """What the call would be answered with now; the error's name, or nothing."""
    with world.undone():
        try:
            world.send(*window.call, sender=window.sender)
        except Refused as refused:
            return refused.why.name
    return ""


@pytest.mark.parametrize("paused", ["inside only", "from inside, for good", "before the last second", "after"])
@pytest.mark.parametrize("kind", WINDOWS, ids=lambda kind: kind.__name__)
@pytest.mark.slow
def test_defect_06_a_pause_moves_no_window(world: World, kind: Callable[[World], Window], paused: str) -> None:
    window = kind(world)
    beyond = window.last + 1
    if "inside" in paused:
        world.pass_time(HOUR // 2)
        world.send("pause", sender=world.pauser)
        if paused == "inside only":
            world.warp(window.last - 10)
            world.send("unpause", sender=world.pauser)
    if paused == "before the last second":
        world.warp(window.last - 1)
        world.send("pause", sender=world.pauser)
    world.warp(window.last)
    assert answer(world, window) == window.until
    if paused == "after":
        world.warp(beyond)
        world.send("pause", sender=world.pauser)
        beyond += 1
    world.warp(beyond)
    assert answer(world, window) == window.after


@pytest.mark.parametrize("stop", ["pause", "vault not approved"])
def test_defect_06_and_07_new_money_stops_at_every_entry_and_nowhere_else(world: World, stop: str) -> None:
    world.send("createSalted", order(world, 50), USUAL, sender=world.requester)
    unfunded = salted_id(world, world.requester, salt(50))
    delivered, started = placed(world, State.DELIVERED), placed(world, State.IN_PROGRESS)
    waiting = [placed(world, State.COMMITTED) for _ in range(2)]
    wanted = order(world)
    entries: list[tuple[Any, ...]] = [
        ("createFunded", wanted), ("createFundedBatch", [wanted]), ("createFundedWith", wanted, USUAL),
        ("createFundedWithPermit", wanted, USUAL, sign_permit(world, world.requester)),
        ("createFundedWithAuthorization", world.requester, wanted, USUAL,
         sign_authorization(world, world.requester, wanted)),
        ("linkEscrow", unfunded, world.vault.address, unfunded),
    ]  # fmt: skip
    if stop == "pause":
        world.send("pause", sender=world.pauser)
        error = "KernelIsPaused"
        world.refuse(error, "createSalted", wanted, USUAL, sender=world.requester)
    else:
        world.send("approveEscrowVault", world.vault.address, False, sender=world.admin)
        error = "VaultNotApproved"
    for entry in entries:
        world.refuse(error, *entry, sender=world.requester)
    world.send("deliverBatch", [waiting[0], started], sender=world.provider)
    world.send("settleBatch", [delivered, waiting[0]], sender=world.requester)
    world.dispute(started)
    split = (waiting[1], AMOUNT, 0, 2**256 - 1)
    by_provider = sign_split(world, world.provider, *split)
    world.send("settleByConsent", *split, b"", by_provider, sender=world.requester)
    assert [world.state(one) for one in (delivered, *waiting)] == [State.SETTLED] * 3


# ---------------------------------------------------------------- walking away while the delivery is pending


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("after_announcement", [1, HOUR - 1, HOUR, DAY, 2 * DAY])
def test_defect_02_a_requester_who_walks_away_while_the_delivery_is_pending_does_not_get_the_work_for_less(
    world: World, after_announcement: int, batch: bool
) -> None:
    transaction_id = placed(world, State.COMMITTED)
    seen = world.send("announceCancellation", transaction_id, sender=world.requester).timestamp
    for second in (seen + 1, seen + HOUR - 1):
        world.warp(second)
        world.refuse("NoticeRunning", "cancelEarly", transaction_id, sender=world.requester)
    world.warp(seen + after_announcement)
    if batch:
        world.send("deliverBatch", [transaction_id], sender=world.provider)
    else:
        world.deliver(transaction_id)
    for call in ("cancelEarly", "announceCancellation"):
        world.refuse("WrongState", call, transaction_id, sender=world.requester, actual=State.DELIVERED)
    world.refuse("InvalidTransition", "transitionState", transaction_id, 7, b"", sender=world.requester)
    gained = world.gains(world.provider)
    world.warp(world.window_end(transaction_id) + 1)
    world.settle(transaction_id, sender=world.provider)
    assert gained() == [AMOUNT - USDC]


def test_a_requester_has_no_other_way_out_before_the_deadline(world: World) -> None:
    transaction_id = placed(world, State.COMMITTED, clauses=three_parts(world))
    for error, *call in (
        ("NoCancellationAnnounced", "cancelEarly", transaction_id),
        ("RefundNotDue", "transitionState", transaction_id, State.CANCELLED, b""),
        ("RefundNotDue", "refundMilestone", transaction_id, 0),
        ("ConsentMissing", "settleByConsent", transaction_id, AMOUNT, 0, 2**256 - 1, b"", b""),
        ("InvalidTransition", "releaseEscrow", transaction_id),
        ("InvalidTransition", "transitionState", transaction_id, State.DISPUTED, b""),
        ("WrongState", "closeTimedOutDispute", transaction_id),
        ("SaltUsed", "createFunded", order(world, 1)),
    ):
        world.refuse(error, *call, sender=world.requester)


def test_a_provider_delivers_straight_from_committed_up_to_the_deadline_and_may_lengthen_the_window(
    world: World,
) -> None:
    transaction_id = place(world, order(world, window=HOUR))
    world.warp(world.deadline(transaction_id))
    receipt = world.deliver(transaction_id, DAY)
    moved = receipt.one("StateTransitioned")
    assert (moved.oldState, moved.newState) == (State.COMMITTED, State.DELIVERED)
    assert world.window_end(transaction_id) == receipt.timestamp + DAY
    other = place(world, order(world, 2, window=DAY))
    assert world.deliver(other, HOUR).timestamp + DAY == world.window_end(other)
