"""Schedules: parts that are paid or refunded by their index."""

from __future__ import annotations

import pytest

from actp.client import ACTPClient
from actp.errors import InvalidInput, Reverted, UnknownTransaction
from actp.networks import Endpoint
from actp.orders import Milestone, MilestoneStatus
from actp.types import State
from actp.units import usdc
from tests.client.support import DAY, HOUR, NOBODY, PURSE, refused, state, terms

LOCKED, PAID, REFUNDED = MilestoneStatus
WEEK = 7 * DAY


@pytest.fixture
def tx_id(requester: ACTPClient, provider: ACTPClient) -> str:
    end = requester.now() + DAY
    parts = [Milestone(usdc(50), end - HOUR, "draft"), Milestone(usdc(30), end, b"\x11" * 32), Milestone(usdc(20), end)]
    paid = requester.pay(**{**terms(requester, provider), "deadline": end}, milestones=parts)
    provider.kernel.start(paid.transaction_id)
    return paid.transaction_id


def statuses(client: ACTPClient, tx_id: str) -> list[MilestoneStatus]:
    return [part.status for part in client.milestones(tx_id)]


def test_the_schedule_is_read_as_it_was_agreed(requester: ACTPClient, tx_id: str) -> None:
    parts = requester.milestones(tx_id)
    assert [part.amount for part in parts] == [usdc(50), usdc(30), usdc(20)]
    assert parts[1].condition_hash == "0x" + "11" * 32
    assert parts[0].deadline == parts[1].deadline - HOUR
    assert statuses(requester, tx_id) == [LOCKED] * 3
    created = requester.events.since(transaction_id=tx_id, names=["MilestoneScheduled"])
    assert [event.args["index"] for event in created] == [0, 1, 2]


def test_each_part_is_paid_once(requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint, tx_id: str) -> None:
    result = requester.pay_milestone(tx_id, 1)
    assert [event.name for event in result.events if event.name.startswith("Milestone")] == ["MilestonePaid"]
    assert statuses(requester, tx_id) == [LOCKED, PAID, LOCKED]
    assert provider.balances().usdc == PURSE + usdc(30) - usdc("0.3")
    with refused(Reverted, requester, endpoint) as refusal:
        requester.pay_milestone(tx_id, 1)
    assert isinstance(refusal.error, Reverted)
    assert refusal.error.name == "MilestoneNotLocked"
    with pytest.raises(Reverted, match="UnknownMilestone"):
        requester.pay_milestone(tx_id, 3)
    with pytest.raises(Reverted, match="NotRequester"):
        provider.pay_milestone(tx_id, 0)
    with pytest.raises(Reverted, match="ScheduleAgreed"):
        requester.kernel.release_milestone(tx_id, usdc(1))


def test_a_part_goes_back_after_its_deadline(requester: ACTPClient, stranger: ACTPClient, tx_id: str) -> None:
    with pytest.raises(Reverted, match="RefundNotDue"):
        requester.refund_milestone(tx_id, 0)
    requester.chain.time_travel(DAY - HOUR + 1)
    with pytest.raises(Reverted, match="RefundNotDue"):
        stranger.refund_milestone(tx_id, 0)
    requester.refund_milestone(tx_id, 0)
    requester.chain.time_travel(WEEK + HOUR)
    stranger.refund_milestone(tx_id, 1)
    assert statuses(requester, tx_id) == [REFUNDED, REFUNDED, LOCKED]
    assert requester.balances().usdc == PURSE - usdc(20)


def test_a_transaction_whose_parts_are_all_paid_is_settled_by_anyone(
    requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient, tx_id: str
) -> None:
    for index in range(3):
        requester.pay_milestone(tx_id, index)
    assert len(stranger.settle_many([tx_id]).done) == 1
    assert state(requester, tx_id) is State.SETTLED
    assert provider.balances().usdc == PURSE + usdc(99)


def test_bad_input_is_refused(requester: ACTPClient, endpoint: Endpoint, tx_id: str) -> None:
    for verb in (requester.pay_milestone, requester.refund_milestone):
        for index in (-1, 1.0, "0", True, 2**256):
            with refused(InvalidInput, requester, endpoint):
                verb(tx_id, index)  # type: ignore[arg-type]
        with refused(InvalidInput, requester, endpoint):
            verb("0x12", 0)
        with refused(UnknownTransaction, requester, endpoint):
            verb(NOBODY, 0)


def test_a_payment_without_a_schedule_has_no_parts(requester: ACTPClient, provider: ACTPClient) -> None:
    assert requester.milestones(requester.pay(**terms(requester, provider)).transaction_id) == ()
