"""What anyone does for others: settling many at once, closing disputes, paying out what is owed."""

from __future__ import annotations

from typing import Any

import pytest

from actp.client import ACTPClient
from actp.networks import Endpoint
from actp.types import Receipt, State
from actp.units import usdc
from coordinator.errors import InvalidIntent, MissingRole, WrongState
from coordinator.intents import Built, ItemOutcome, World, build, build_all, effects_then, parse, settled_items
from coordinator.types import Movement
from tests.client.support import BOND, DAY, FEE, HOUR, NOBODY, PRICE, act, delivered, disputed, funded, started, state
from tests.coordinator.intents.support import built, carry_out, deliver

LEAST = 50_000


def over(client: ACTPClient) -> None:
    """The dispute windows of all deliveries end."""
    client.chain.time_travel(HOUR + 1)
    client.chain.mine()


def paid(what: Built) -> dict[str, int]:
    return {each.target: each.amount for each in what.effects.movements}


def events_of(client: ACTPClient, receipt: Receipt) -> tuple[Any, ...]:
    return client._session.decoder.decode_all(receipt.logs)


# -------------------------------------------------------------------- many at once


@pytest.mark.slow
def test_each_provider_is_paid_once_for_all_of_its_escrows(
    requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient, resolver: ACTPClient
) -> None:
    ids = [delivered(requester, provider), delivered(requester, resolver, amount=usdc(7)),
           delivered(requester, provider, amount=LEAST), delivered(requester, provider, amount=usdc(2))]  # fmt: skip
    over(requester)
    what = carry_out(stranger, "settle_escrow_batch", transaction_ids=ids)
    assert what.effects.movements == (
        Movement(requester.token.address, requester.escrow.address, provider.address, PRICE - FEE + usdc(2) - LEAST,
                 creditable=True),
        Movement(requester.token.address, requester.escrow.address, resolver.address, usdc(7) - usdc("0.07"),
                 creditable=True),
    )  # fmt: skip
    assert (what.subject.amount, what.subject.counterparty, what.subject.transaction_id) == (0, None, None)
    assert {state(requester, one) for one in ids} == {State.SETTLED}


def test_a_batch_for_one_provider_names_it(requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient) -> None:
    ids = [delivered(requester, provider) for _ in range(2)]
    over(requester)
    assert built(stranger, "settle_escrow_batch", transaction_ids=ids).subject.counterparty == provider.address


@pytest.mark.slow
def test_what_cannot_be_settled_is_skipped_and_told_with_its_reason(
    requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient
) -> None:
    due = delivered(requester, provider)
    over(requester)
    fresh, begun = delivered(requester, provider), started(requester, provider)
    emptied = started(requester, provider)
    requester.kernel.release_milestone(emptied, PRICE)
    ids = [fresh, due, NOBODY, begun, emptied]
    what = built(stranger, "settle_escrow_batch", transaction_ids=ids)
    assert paid(what) == {provider.address: PRICE - FEE}
    receipt = deliver(stranger, what)
    outcomes = {one.transaction_id: one for one in settled_items(events_of(stranger, receipt))}
    assert outcomes == {
        fresh: ItemOutcome(fresh, False, reason="WindowOpen"),
        due: ItemOutcome(due, True, PRICE - FEE),
        NOBODY: ItemOutcome(NOBODY, False, reason="UnknownTransaction"),
        begun: ItemOutcome(begun, False, reason="InvalidTransition"),
        emptied: ItemOutcome(emptied, True),
    }
    assert tuple(outcomes) == tuple(ids)
    assert [state(requester, one) for one in (fresh, due, begun, emptied)] == [
        State.DELIVERED, State.SETTLED, State.IN_PROGRESS, State.SETTLED,
    ]  # fmt: skip


def test_the_requester_settles_its_own_before_the_window_is_over(
    requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient
) -> None:
    ids = [delivered(requester, provider), delivered(provider, stranger)]
    what = carry_out(requester, "settle_escrow_batch", transaction_ids=ids)
    assert paid(what) == {provider.address: PRICE - FEE}
    assert state(requester, ids[1]) is State.DELIVERED


def test_a_batch_that_would_do_nothing_is_not_sent(
    requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient
) -> None:
    ids = [delivered(requester, provider), delivered(requester, provider), NOBODY]
    with pytest.raises(WrongState, match="2 WindowOpen, 1 UnknownTransaction") as caught:
        built(stranger, "settle_escrow_batch", transaction_ids=ids)
    assert (caught.value.code, caught.value.retryable) == ("nothing_to_settle", False)


def test_what_milestones_took_is_not_paid_again(
    requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient
) -> None:
    tx_id = started(requester, provider)
    requester.kernel.release_milestone(tx_id, usdc(30))
    provider.kernel.deliver(tx_id)
    over(requester)
    what = carry_out(stranger, "settle_escrow_batch", transaction_ids=[tx_id])
    assert paid(what) == {provider.address: usdc(70) - usdc("0.7")}


@pytest.mark.slow
def test_a_provider_whom_the_token_refuses_gets_one_credit_and_the_others_are_paid(
    requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient, resolver: ACTPClient, endpoint: Endpoint
) -> None:
    ids = [delivered(requester, provider), delivered(requester, resolver), delivered(requester, provider)]
    over(requester)
    act(endpoint, 0, "TestUSDC", "blacklist", provider.address)
    what = built(stranger, "settle_escrow_batch", transaction_ids=ids)
    deliver(stranger, what)
    assert requester.kernel.credits(provider.address) == paid(what)[provider.address] == 2 * (PRICE - FEE)
    assert paid(what)[resolver.address] == PRICE - FEE


def test_bonds_that_were_posted_ahead_move_nothing(
    requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient
) -> None:
    tx_id = delivered(requester, provider)
    stranger.kernel.post_bond(tx_id, requester.address)
    over(requester)
    carry_out(stranger, "settle_escrow_batch", transaction_ids=[tx_id])
    assert requester.kernel.credits(stranger.address) == BOND


@pytest.mark.slow
def test_locked_rates_count(
    requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient, endpoint: Endpoint
) -> None:
    old = delivered(requester, provider, deadline=requester.now() + 9 * DAY)
    act(endpoint, 0, "ACTPKernel", "scheduleEconomicParams", 300, 500)
    requester.chain.time_travel(2 * DAY + 1)
    act(endpoint, 0, "ACTPKernel", "executeEconomicParamsUpdate")
    new = delivered(requester, provider)
    over(requester)
    what = carry_out(stranger, "settle_escrow_batch", transaction_ids=[old, new])
    assert paid(what) == {provider.address: 2 * PRICE - 4 * FEE}


def test_an_escrow_that_is_named_twice_is_refused() -> None:
    for again in ("0x" + "ab" * 32, "0x" + "AB" * 32):
        with pytest.raises(InvalidIntent, match="twice"):
            parse("settle_escrow_batch", {"transaction_ids": ["0x" + "ab" * 32, again]})


@pytest.mark.parametrize("count", [0, 101])
def test_a_batch_has_one_to_a_hundred_escrows(count: int) -> None:
    with pytest.raises(InvalidIntent, match="transaction_ids"):
        parse("settle_escrow_batch", {"transaction_ids": [f"0x{number:064x}" for number in range(count)]})


@pytest.mark.slow
def test_two_batches_never_share_an_escrow(requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient) -> None:
    ids = [delivered(requester, provider) for _ in range(3)]
    over(requester)
    first, second, third = build_all(
        [
            parse("settle_escrow_batch", {"transaction_ids": ids[:2]}),
            parse("settle_escrow_batch", {"transaction_ids": ids[1:]}),
            parse("release_escrow", {"transaction_id": ids[0]}),
        ],
        World(stranger),
    )
    assert isinstance(first, Built)
    for busy in (second, third):
        assert isinstance(busy, WrongState)
        assert (busy.code, busy.retryable) == ("escrow_busy", True)


@pytest.mark.slow
def test_what_a_batch_does_after_others_were_faster(
    requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient
) -> None:
    ids = [delivered(requester, provider) for _ in range(3)]
    over(requester)
    intent = parse("settle_escrow_batch", {"transaction_ids": ids})
    world = World(stranger)
    build(intent, world)
    for count, one in enumerate(ids, 1):
        provider.kernel.settle(one)
        world.bring_up(requester.events.since(names=("StateTransitioned",)).events)
        left = effects_then(intent, world)
        assert left is not None
        assert sum(each.amount for each in left.movements) == (3 - count) * (PRICE - FEE)


# -------------------------------------------------------------------- disputes on which nobody ruled


@pytest.mark.parametrize("by", ["requester", "provider", "stranger"])
def test_a_dispute_without_a_ruling_ends_by_the_agreed_split(
    by: str, requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient
) -> None:
    tx_id = disputed(requester, provider)
    wallet = {"requester": requester, "provider": provider, "stranger": stranger}[by]
    with pytest.raises(WrongState) as early:
        built(wallet, "close_dispute", transaction_id=tx_id)
    assert early.value.code == "dispute_not_timed_out"
    requester.chain.time_travel(30 * DAY + 1)
    requester.chain.mine()
    what = carry_out(wallet, "close_dispute", transaction_id=tx_id)
    half = PRICE // 2
    assert paid(what) == {requester.address: half + BOND, provider.address: half - half // 100}
    assert (what.subject.amount, what.subject.transaction_id) == (0, tx_id)
    assert state(requester, tx_id) is State.SETTLED


@pytest.mark.slow
@pytest.mark.parametrize("bond", ["of a stranger", "owed", "of both"])
def test_bonds_go_back_to_whoever_posted_them_when_a_dispute_is_closed(
    bond: str, requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient, arbiter: ACTPClient,
    endpoint: Endpoint,
) -> None:  # fmt: skip
    made = requester.pay(
        provider=provider.address, amount=PRICE, deadline=requester.now() + DAY, dispute_window=HOUR,
        arbiter=arbiter.address, timeout_requester_bps=3_333,
    )  # fmt: skip
    tx_id = made.transaction_id
    provider.kernel.start(tx_id)
    requester.kernel.release_milestone(tx_id, usdc("30.000001"))
    provider.kernel.deliver(tx_id)
    if bond != "owed":
        stranger.kernel.post_bond(tx_id, provider.address if bond == "of a stranger" else requester.address)
    else:
        act(endpoint, 0, "TestUSDC", "blacklist", provider.address)
    provider.kernel.dispute(tx_id)
    if bond == "owed":
        act(endpoint, 0, "TestUSDC", "unBlacklist", provider.address)
    requester.chain.time_travel(30 * DAY + 1)
    requester.chain.mine()
    what = carry_out(stranger, "close_dispute", transaction_id=tx_id)
    left = PRICE - usdc("30.000001")
    back = {"of a stranger": BOND, "owed": 0, "of both": BOND}[bond]
    share = left * 3_333 // 10_000
    assert sum(paid(what).values()) == left - (left - share) // 100 + back
    assert paid(what)[requester.address] == share


@pytest.mark.slow
def test_only_a_dispute_is_closed(requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient) -> None:
    for tx_id in (funded(requester, provider), delivered(requester, provider)):
        with pytest.raises(WrongState, match="closing its dispute needs DISPUTED"):
            built(stranger, "close_dispute", transaction_id=tx_id)


# -------------------------------------------------------------------- what is owed


@pytest.mark.slow
def test_a_credit_is_paid_to_its_owner_whoever_asks(
    requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient, endpoint: Endpoint
) -> None:
    for tx_id in [delivered(requester, provider) for _ in range(2)]:
        act(endpoint, 0, "TestUSDC", "blacklist", provider.address)
        requester.kernel.settle(tx_id)
        act(endpoint, 0, "TestUSDC", "unBlacklist", provider.address)
    what = carry_out(stranger, "withdraw_credit", payee=provider.address)
    assert paid(what) == {provider.address: 2 * (PRICE - FEE)}
    assert (what.subject.amount, what.subject.counterparty) == (0, provider.address)
    with pytest.raises(WrongState) as nothing:
        built(stranger, "withdraw_credit", payee=provider.address)
    assert nothing.value.code == "nothing_to_withdraw"


def test_fees_are_taken_by_their_recipient_and_nobody_else(
    requester: ACTPClient, provider: ACTPClient, resolver: ACTPClient
) -> None:
    with pytest.raises(WrongState) as nothing:
        built(resolver, "withdraw_fees")
    assert nothing.value.code == "nothing_to_withdraw"
    requester.kernel.settle(delivered(requester, provider))
    with pytest.raises(MissingRole):
        built(requester, "withdraw_fees")
    what = carry_out(resolver, "withdraw_fees")
    assert (paid(what), what.subject.amount) == ({resolver.address: FEE}, 0)


@pytest.mark.slow
def test_what_is_owed_after_others_were_faster(
    requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient, resolver: ACTPClient, endpoint: Endpoint
) -> None:
    for tx_id in [delivered(requester, provider) for _ in range(2)]:
        act(endpoint, 0, "TestUSDC", "blacklist", provider.address)
        requester.kernel.settle(tx_id)
        act(endpoint, 0, "TestUSDC", "unBlacklist", provider.address)
    credit, fees = parse("withdraw_credit", {"payee": provider.address}), parse("withdraw_fees", {})
    theirs, ours = World(stranger), World(resolver)
    theirs.prepare([credit])
    ours.prepare([fees])
    since = requester.events.since().cursor
    requester.kernel.settle(delivered(requester, provider))
    more = requester.events.since(since).events
    ours.bring_up(more)
    assert effects_then(fees, ours) == built(resolver, "withdraw_fees").effects
    stranger.kernel.withdraw_credit(provider.address)
    resolver.kernel.withdraw_fees()
    more = requester.events.since(since).events
    theirs.bring_up(more)
    ours.bring_up(more)
    assert (effects_then(credit, theirs), effects_then(fees, ours)) == (None, None), "these calls are refused now"
    act(endpoint, 0, "TestUSDC", "blacklist", provider.address)
    requester.kernel.settle(delivered(requester, provider))
    act(endpoint, 0, "TestUSDC", "unBlacklist", provider.address)
    theirs.bring_up(requester.events.since(since).events)
    assert effects_then(credit, theirs) == built(stranger, "withdraw_credit", payee=provider.address).effects
