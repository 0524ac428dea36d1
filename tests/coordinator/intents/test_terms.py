"""What an escrow's terms say that the vault pays when others end it, from the kernel's events and the state before."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from actp.client import ACTPClient
from actp.decoding import Event
from actp.networks import Endpoint
from actp.types import State
from coordinator.intents import World
from coordinator.intents.terms import payments_due
from tests.client.support import FEE, PRICE, act, delivered, disputed, funded, started


def of(client: ACTPClient, act_: Callable[[], object]) -> tuple[Event, ...]:
    """The kernel's events of what is done, which is then undone, so that the newest state is the one before."""
    cursor = client.events.since(names=["TransactionCreated"]).cursor
    before = client.transport.request("evm_snapshot", [])
    act_()
    events = client.events.since(cursor).events
    assert client.transport.request("evm_revert", [before]) is True
    return tuple(event for event in events if event.contract == client.kernel.address)


def paid(client: ACTPClient, events: tuple[Event, ...]) -> dict[str, int] | None:
    due = payments_due(World(client), events)
    return None if due is None else {one.target: one.amount for one in due}


@pytest.mark.slow
@pytest.mark.parametrize("refused", [False, True])
def test_a_settlement_pays_the_price_less_the_fee_or_a_credit(
    refused: bool, endpoint: Endpoint, requester: ACTPClient, provider: ACTPClient
) -> None:
    number = delivered(requester, provider)
    if refused:
        act(endpoint, 0, "TestUSDC", "blacklist", provider.address)
    events = of(requester, lambda: requester.release_escrow(number))
    assert ("CreditAccrued" in {event.name for event in events}) is refused
    assert paid(requester, events) == ({} if refused else {provider.address: PRICE - FEE})


def test_what_a_batch_could_not_push_is_one_credit_for_all_of_it_and_not_due_as_a_payment(
    endpoint: Endpoint, requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient
) -> None:
    numbers = [delivered(requester, provider), delivered(requester, stranger), delivered(requester, provider)]
    act(endpoint, 0, "TestUSDC", "blacklist", provider.address)
    events = of(requester, lambda: requester.settle_many(numbers))
    assert [event.args["amount"] for event in events if event.name == "CreditAccrued"] == [2 * (PRICE - FEE)]
    assert paid(requester, events) == {stranger.address: PRICE - FEE}


def test_an_id_that_nobody_created_hides_no_payment_from_the_terms(
    endpoint: Endpoint, requester: ACTPClient, provider: ACTPClient
) -> None:
    number = delivered(requester, provider)
    events = of(requester, lambda: requester.settle_many([number, "0x" + "ab" * 32]))
    assert "BatchItemSkipped" in {event.name for event in events}
    assert paid(requester, events) == {provider.address: PRICE - FEE}


def test_what_a_milestone_has_paid_is_not_due_again(
    endpoint: Endpoint, requester: ACTPClient, provider: ACTPClient
) -> None:
    number = started(requester, provider)

    def both() -> None:
        requester.kernel.release_milestone(number, PRICE // 4)
        provider.kernel.cancel(number)

    events = of(requester, both)
    quarter = PRICE // 4
    assert paid(requester, events) == {provider.address: quarter - quarter // 100, requester.address: PRICE - quarter}


def test_a_cancellation_with_notice_pays_the_penalty_of_the_terms(
    endpoint: Endpoint, requester: ACTPClient, provider: ACTPClient
) -> None:
    number = funded(requester, provider)
    requester.kernel.announce_cancellation(number)
    due = requester.kernel.cancellation_effective_at(number)
    assert due is not None
    endpoint.transport.request("evm_increaseTime", [due - requester.now() + 1])
    endpoint.transport.request("evm_mine", [])
    events = of(requester, lambda: requester.kernel.cancel_early(number))
    bps = requester.kernel.get_transaction(number).requester_penalty_bps_locked
    penalty = PRICE * bps // 10_000
    assert penalty > 0
    assert paid(requester, events) == {provider.address: penalty, requester.address: PRICE - penalty}


def test_where_a_ruling_divides_the_terms_say_nothing(
    endpoint: Endpoint, requester: ACTPClient, provider: ACTPClient, resolver: ACTPClient
) -> None:
    number = disputed(requester, provider)
    events = of(requester, lambda: resolver.kernel.resolve(number))
    assert events
    assert paid(requester, events) is None


def test_what_was_opened_in_the_same_eth_transaction_has_no_terms_before_it(
    endpoint: Endpoint, requester: ACTPClient, provider: ACTPClient
) -> None:
    events = of(requester, lambda: funded(requester, provider))
    assert State.COMMITTED in {event.args.get("newState") for event in events}
    assert paid(requester, events) is None
