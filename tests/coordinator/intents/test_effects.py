"""Every type and role: what is built is sent, and the chain must show exactly the effects it was built with."""

from __future__ import annotations

from typing import Any

import pytest

from actp.client import ACTPClient
from actp.networks import Endpoint
from actp.orders import Milestone
from actp.types import State
from actp.units import keccak, usdc
from coordinator.intents import World, parse
from coordinator.types import ETH, AllowanceChange, Movement
from tests.client.support import BOND, DAY, FEE, HOUR, PRICE, act, state, terms
from tests.coordinator.intents.support import built, carry_out, deliver

PLENTY = usdc(900)
MINIMUM = 50_000
"""The smallest fee of a payout, and the smallest payout."""


def opening(requester: ACTPClient, provider: ACTPClient, number: int = 1, **more: Any) -> dict[str, Any]:
    usual = {
        "escrow_numeric_id": number,
        "provider": provider.address,
        "amount": PRICE,
        "deadline": requester.now() + DAY,
        "dispute_window": HOUR,
    }
    return {**usual, **more}


def opened(requester: ACTPClient, provider: ACTPClient, /, type: str = "create_escrow", **more: Any) -> str:
    """An escrow that was opened by an intent; its transaction id."""
    carry_out(requester, "approve_erc20", amount=PLENTY)
    what = carry_out(requester, type, **opening(requester, provider, **more))
    assert what.subject.transaction_id is not None
    return what.subject.transaction_id


def started(requester: ACTPClient, provider: ACTPClient, /, **more: Any) -> str:
    tx_id = opened(requester, provider, **more)
    carry_out(provider, "accept_escrow", transaction_id=tx_id)
    return tx_id


def delivered(requester: ACTPClient, provider: ACTPClient, /, **more: Any) -> str:
    tx_id = started(requester, provider, **more)
    carry_out(provider, "deliver_escrow", transaction_id=tx_id)
    return tx_id


def schedule(requester: ACTPClient) -> list[dict[str, Any]]:
    return [
        {"amount": usdc(40), "deadline": requester.now() + HOUR, "condition": "a draft"},
        {"amount": usdc(60) - MINIMUM},
        {"amount": MINIMUM},
    ]


# -------------------------------------------------------------------- payments


def test_ether(requester: ACTPClient, stranger: ACTPClient) -> None:
    what = carry_out(requester, "transfer_eth", to=stranger.address, amount=10**15)
    assert what.effects.movements == (Movement(ETH, requester.address, stranger.address, 10**15),)
    assert (what.subject.asset, what.subject.amount, what.subject.counterparty) == (ETH, 10**15, stranger.address)
    assert what.call.selector == "0x"


def test_tokens(requester: ACTPClient, stranger: ACTPClient) -> None:
    what = carry_out(requester, "transfer_erc20", to=stranger.address, amount=PRICE)
    assert (what.subject.asset, what.subject.amount) == (requester.token.address, PRICE)
    assert what.call.to == requester.token.address


def test_the_allowance_replaces_the_one_before(requester: ACTPClient) -> None:
    carry_out(requester, "approve_erc20", amount=PLENTY)
    what = carry_out(requester, "approve_erc20", amount=3, spender=requester.escrow.address)
    assert what.effects.allowances == (
        AllowanceChange(requester.token.address, requester.address, requester.escrow.address, to=3),
    )
    assert what.subject.amount == 0
    carry_out(requester, "approve_erc20", amount=0)


# -------------------------------------------------------------------- opening


def test_an_escrow_is_funded_and_found_by_its_number(
    requester: ACTPClient, provider: ACTPClient, resolver: ACTPClient
) -> None:
    carry_out(requester, "approve_erc20", amount=PLENTY)
    what = carry_out(
        requester,
        "create_escrow",
        escrowNumericId="900001",
        counterparty=provider.address,
        creator=requester.address,
        amount=str(PRICE),
        deadlineUnixSec=requester.now() + DAY,
        feeRecipient=resolver.address,
        terms="a report on rivers",
    )
    record = requester.kernel.get_transaction(str(what.subject.transaction_id))
    assert (record.state, record.amount, record.provider) == (State.COMMITTED, PRICE, provider.address)
    assert what.texts == {record.service_hash: "a report on rivers"}
    assert record.service_hash == "0x" + keccak(b"a report on rivers").hex()
    assert what.subject.locks
    assert (what.subject.amount, what.subject.counterparty) == (PRICE, provider.address)
    assert what.effects.allowances[0].used == PRICE
    # The client's own payment with the number as its key is this one.
    found = requester.pay(
        provider=provider.address,
        amount=PRICE,
        deadline=record.deadline,
        metadata="a report on rivers",
        idempotency_key="900001",
    )
    assert found.found
    assert found.transaction_id == what.subject.transaction_id


def test_an_escrow_with_an_arbiter(requester: ACTPClient, provider: ACTPClient, arbiter: ACTPClient) -> None:
    tx_id = opened(requester, provider, arbiter=arbiter.address, timeout_requester_bps=4_000)
    agreed = requester.kernel.clauses(tx_id)
    assert (agreed.arbiter, agreed.timeout_requester_bps) == (arbiter.address, 4_000)


def test_an_escrow_with_a_schedule(requester: ACTPClient, provider: ACTPClient) -> None:
    carry_out(requester, "approve_erc20", amount=PLENTY)
    fields = opening(requester, provider, milestones=schedule(requester), terms="a book")
    what = carry_out(requester, "create_milestone_escrow", **fields)
    parts = requester.kernel.milestones(str(what.subject.transaction_id))
    assert [part.amount for part in parts] == [usdc(40), usdc(60) - MINIMUM, MINIMUM]
    assert [part.deadline for part in parts[1:]] == [fields["deadline"]] * 2
    assert sorted(what.texts.values()) == ["a book", "a draft"]
    assert what.texts[parts[0].condition_hash] == "a draft"


def test_what_the_vault_takes_is_told_of_an_unlimited_allowance_too(
    requester: ACTPClient, provider: ACTPClient
) -> None:
    requester.token.approve(requester.escrow.address, 2**256 - 1)
    assert built(requester, "create_escrow", **opening(requester, provider)).effects.allowances == (
        AllowanceChange(requester.token.address, requester.address, requester.escrow.address, used=PRICE),
    )


def orders(requester: ACTPClient, providers: list[ACTPClient], **more: Any) -> list[dict[str, Any]]:
    return [
        opening(requester, provider, number, amount=PRICE + number, **more) for number, provider in enumerate(providers)
    ]


def test_a_batch_is_funded_with_one_transfer_of_the_total(
    requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient
) -> None:
    carry_out(requester, "approve_erc20", amount=PLENTY)
    wanted = orders(requester, [provider, provider, stranger], terms="a look")
    what = carry_out(requester, "create_escrow_batch", orders=wanted)
    total = 3 * PRICE + 3
    assert [each.amount for each in what.effects.movements] == [total]
    assert (what.subject.amount, what.subject.counterparty, what.subject.transaction_id) == (total, None, None)
    assert what.subject.locks
    assert list(what.texts.values()) == ["a look"]
    # Each is the escrow that its number would have made alone.
    ids = World(requester).ids_of(parse("create_escrow_batch", {"orders": wanted}))
    records = [requester.kernel.get_transaction(each) for each in ids]
    assert [(one.provider, one.amount) for one in records] == [(one["provider"], one["amount"]) for one in wanted]


def test_a_batch_for_one_provider_names_it(requester: ACTPClient, provider: ACTPClient) -> None:
    what = built(requester, "create_escrow_batch", orders=orders(requester, [provider, provider]))
    assert what.subject.counterparty == provider.address
    alone = built(requester, "create_escrow_batch", orders=orders(requester, [provider]))
    assert (
        alone.subject.transaction_id
        == built(requester, "create_escrow", **opening(requester, provider, 0)).subject.transaction_id
    )


# -------------------------------------------------------------------- working


def test_accept_and_deliver_move_nothing(requester: ACTPClient, provider: ACTPClient) -> None:
    carry_out(requester, "approve_erc20", amount=PLENTY)
    tx_id = opened(requester, provider)
    by_number = {"creator": requester.address, "escrow_numeric_id": 1}
    what = carry_out(provider, "accept_escrow", **by_number, provider=provider.address)
    assert (what.effects.movements, what.subject.amount) == ((), 0)
    assert (what.subject.transaction_id, what.subject.counterparty) == (tx_id, requester.address)
    assert state(requester, tx_id) is State.IN_PROGRESS
    carry_out(provider, "deliver_escrow", **by_number, dispute_window=2 * HOUR)
    record = requester.kernel.get_transaction(tx_id)
    assert record.state is State.DELIVERED
    assert record.window_ends == record.updated_at + 2 * HOUR


def test_a_delivery_needs_no_start(requester: ACTPClient, provider: ACTPClient) -> None:
    tx_id = opened(requester, provider)
    carry_out(provider, "deliver_escrow", transaction_id=tx_id)
    assert state(requester, tx_id) is State.DELIVERED


# -------------------------------------------------------------------- releasing


def test_the_requester_releases_a_delivery_at_once(requester: ACTPClient, provider: ACTPClient) -> None:
    tx_id = delivered(requester, provider)
    what = carry_out(requester, "release_escrow", creator=requester.address, escrow_numeric_id=1)
    assert [(each.target, each.amount) for each in what.effects.movements] == [(provider.address, PRICE - FEE)]
    assert what.effects.movements[0].creditable
    assert state(requester, tx_id) is State.SETTLED


@pytest.mark.parametrize("who", ["provider", "stranger"])
def test_others_release_after_the_window(
    who: str, requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient
) -> None:
    tx_id = delivered(requester, provider)
    requester.chain.time_travel(HOUR + 2)
    requester.chain.mine()
    carry_out({"provider": provider, "stranger": stranger}[who], "release_escrow", transaction_id=tx_id)
    assert state(requester, tx_id) is State.SETTLED


def test_the_rest_is_released_before_the_delivery_and_then_closed(requester: ACTPClient, provider: ACTPClient) -> None:
    tx_id = started(requester, provider)
    carry_out(requester, "release_milestone", transaction_id=tx_id, amount=usdc("33.333333"))
    what = carry_out(requester, "release_escrow", transaction_id=tx_id)
    rest = PRICE - usdc("33.333333")
    assert what.effects.movements[0].amount == rest - rest // 100
    assert requester.escrow.remaining(tx_id) == 0
    closing = carry_out(requester, "release_escrow", transaction_id=tx_id)
    assert closing.effects.movements == ()
    assert state(requester, tx_id) is State.SETTLED


def test_the_parts_of_a_schedule_and_its_last_one(requester: ACTPClient, provider: ACTPClient) -> None:
    tx_id = started(requester, provider, type="create_milestone_escrow", milestones=schedule(requester))
    carry_out(requester, "release_milestone", transaction_id=tx_id, index=1)
    # A payout of the smallest fee is all fee: nothing moves.
    assert carry_out(requester, "release_milestone", transaction_id=tx_id, index=2).effects.movements == ()
    what = carry_out(requester, "release_escrow", transaction_id=tx_id)
    assert [each.amount for each in what.effects.movements] == [usdc(40) - usdc("0.4")]
    assert requester.escrow.remaining(tx_id) == 0


def test_what_parts_left_over_is_settled_with_the_delivery(requester: ACTPClient, provider: ACTPClient) -> None:
    tx_id = delivered_with_parts(requester, provider)
    what = carry_out(requester, "release_escrow", transaction_id=tx_id)
    assert [each.amount for each in what.effects.movements] == [usdc(60) - usdc("0.6")]


def delivered_with_parts(requester: ACTPClient, provider: ACTPClient) -> str:
    tx_id = started(requester, provider, type="create_milestone_escrow", milestones=schedule(requester))
    carry_out(requester, "release_milestone", transaction_id=tx_id, index=0)
    carry_out(provider, "deliver_escrow", transaction_id=tx_id)
    return tx_id


def test_a_payee_whom_the_token_refuses_gets_a_credit_of_the_same_amount(
    requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint
) -> None:
    tx_id = delivered(requester, provider)
    act(endpoint, 0, "TestUSDC", "blacklist", provider.address)
    what = built(requester, "release_escrow", transaction_id=tx_id)
    deliver(requester, what)
    (movement,) = what.effects.movements
    assert movement.creditable
    assert requester.kernel.credits(provider.address) == movement.amount


def test_locked_rates_count_and_not_those_of_today(
    requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint
) -> None:
    tx_id = delivered(requester, provider)
    act(endpoint, 0, "ACTPKernel", "scheduleEconomicParams", 300, 500)
    requester.chain.time_travel(2 * DAY + 1)
    act(endpoint, 0, "ACTPKernel", "executeEconomicParamsUpdate")
    what = carry_out(requester, "release_escrow", transaction_id=tx_id)
    assert what.effects.movements[0].amount == PRICE - FEE


# -------------------------------------------------------------------- refunding


@pytest.mark.parametrize("who", ["provider", "requester", "stranger"])
@pytest.mark.parametrize("before", ["opened", "milestone"])
def test_refunds(who: str, before: str, requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient) -> None:
    if before == "milestone":
        tx_id = started(requester, provider)
        carry_out(requester, "release_milestone", transaction_id=tx_id, amount=usdc(30))
    else:
        tx_id = opened(requester, provider)
    requester.chain.time_travel({"provider": 0, "requester": DAY + 2, "stranger": 8 * DAY + 2}[who])
    requester.chain.mine()
    wallet = {"provider": provider, "requester": requester, "stranger": stranger}[who]
    what = carry_out(wallet, "refund_escrow", transaction_id=tx_id)
    left = PRICE if before == "opened" else PRICE - usdc(30)
    assert [(each.target, each.amount) for each in what.effects.movements] == [(requester.address, left)]
    assert state(requester, tx_id) is State.CANCELLED


def test_what_was_never_funded_is_cancelled_without_money(requester: ACTPClient, provider: ACTPClient) -> None:
    tx_id = requester.open_payment(**terms(requester, provider)).transaction_id
    assert carry_out(requester, "refund_escrow", transaction_id=tx_id).effects.movements == ()
    assert state(requester, tx_id) is State.CANCELLED


# -------------------------------------------------------------------- disputes


@pytest.mark.parametrize("by", ["requester", "provider"])
def test_a_dispute_takes_the_bond(by: str, requester: ACTPClient, provider: ACTPClient) -> None:
    tx_id = delivered(requester, provider)
    wallet, other = (requester, provider) if by == "requester" else (provider, requester)
    carry_out(wallet, "approve_erc20", amount=PLENTY)
    what = carry_out(wallet, "dispute_escrow", transaction_id=tx_id, evidence="nothing came: 你好")
    assert (what.subject.amount, what.subject.counterparty, what.subject.locks) == (BOND, other.address, True)
    assert what.effects.allowances[0].used == BOND
    assert state(requester, tx_id) is State.DISPUTED


def test_a_bond_that_somebody_posted_is_not_taken_again(
    requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient
) -> None:
    tx_id = delivered(requester, provider)
    stranger.kernel.post_bond(tx_id, requester.address)
    what = carry_out(requester, "dispute_escrow", transaction_id=tx_id, evidence="0x00ff")
    assert (what.subject.amount, what.effects.movements, what.effects.allowances) == (0, (), ())


@pytest.mark.parametrize("sender", ["requester", "provider", "stranger"])
@pytest.mark.parametrize(
    "when", ["opened", "delivered", "disputed", "disputed by the requester", "bond posted for the other"]
)
@pytest.mark.slow
def test_a_split_that_both_have_signed(
    sender: str, when: str, requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient
) -> None:
    tx_id = opened(requester, provider) if when == "opened" else delivered(requester, provider)
    if when == "disputed":
        stranger.kernel.post_bond(tx_id, provider.address)
        provider.kernel.dispute(tx_id)
    elif when == "disputed by the requester":
        stranger.kernel.post_bond(tx_id, requester.address)
        requester.kernel.dispute(tx_id)
    elif when == "bond posted for the other":
        stranger.kernel.post_bond(tx_id, provider.address)
    split = (usdc("33.333333"), PRICE - usdc("33.333333"))
    until = requester.now() + HOUR
    signed = {
        f"{name}_signature": client.sign_split(tx_id, *split, until).signature
        for name, client in (("requester", requester), ("provider", provider))
        if name != sender
    }
    wallet = {"requester": requester, "provider": provider, "stranger": stranger}[sender]
    what = carry_out(
        wallet,
        "settle_by_consent",
        transaction_id=tx_id,
        requester_amount=split[0],
        provider_amount=split[1],
        valid_until=until,
        **signed,
    )
    paid = {each.target: each.amount for each in what.effects.movements}
    bond = {stranger.address: BOND} if when.startswith("disputed") else {}
    assert paid == {requester.address: split[0], provider.address: split[1] - split[1] // 100, **bond}
    assert what.subject.amount == 0
    assert state(requester, tx_id) is State.SETTLED


RULINGS: list[dict[str, Any]] = [
    {"decision": "release"},
    {"decision": "refund"},
    {"decision": "split", "requester_amount": usdc("33.333333"), "provider_at_fault": True},
    {"decision": "split", "requester_amount": usdc("33.333333"), "provider_at_fault": False},
    {"decision": "split", "requester_amount": 0, "provider_at_fault": True},
    {"decision": "split", "requester_amount": usdc(70), "provider_at_fault": False},
]


@pytest.mark.parametrize("by", ["requester", pytest.param("provider", marks=pytest.mark.slow)])
@pytest.mark.parametrize("bond", ["own", "stranger", "owed", "both"])
@pytest.mark.slow
def test_rulings(
    by: str,
    bond: str,
    requester: ACTPClient,
    provider: ACTPClient,
    stranger: ACTPClient,
    arbiter: ACTPClient,
    endpoint: Endpoint,
) -> None:
    tx_id = started(requester, provider, arbiter=arbiter.address)
    requester.kernel.release_milestone(tx_id, usdc(30))
    provider.kernel.deliver(tx_id)
    wallet, other = (requester, provider) if by == "requester" else (provider, requester)
    if bond in ("stranger", "both"):
        stranger.kernel.post_bond(tx_id, wallet.address if bond == "stranger" else other.address)
    if bond == "owed":
        act(endpoint, 0, "TestUSDC", "blacklist", wallet.address)
    wallet.kernel.dispute(tx_id)
    if bond == "owed":
        act(endpoint, 0, "TestUSDC", "unBlacklist", wallet.address)
        assert requester.kernel.bonds_of(tx_id).owed == BOND
    for ruling in RULINGS:
        before = requester.chain.snapshot()
        _rule(arbiter, tx_id, requester.address, ruling, owed=bond == "owed")
        requester.chain.revert(before)


def _rule(arbiter: ACTPClient, tx_id: str, creator: str, ruling: dict[str, Any], *, owed: bool) -> None:
    fields = dict(ruling)
    if fields["decision"] == "split":
        fields["provider_amount"] = usdc(70) - fields["requester_amount"]
    what = carry_out(arbiter, "resolve_dispute", creator=creator, escrow_numeric_id=1, **fields)
    paid = sum(each.amount for each in what.effects.movements)
    to_provider = {"release": usdc(70), "refund": 0}.get(fields["decision"], fields.get("provider_amount", 0))
    fee = max(to_provider // 100, MINIMUM) if to_provider else 0
    assert paid == usdc(70) - fee + (0 if owed else BOND)
    assert what.subject.amount == 0
    assert state(arbiter, tx_id) is (State.CANCELLED if ruling["decision"] == "refund" else State.SETTLED)


@pytest.mark.parametrize("judge", ["admin", "mediator"])
def test_who_rules_where_nobody_is_named(
    judge: str,
    requester: ACTPClient,
    provider: ACTPClient,
    resolver: ACTPClient,
    arbiter: ACTPClient,
    endpoint: Endpoint,
) -> None:
    act(endpoint, 0, "ACTPKernel", "approveMediator", arbiter.address, True)
    requester.chain.time_travel(2 * DAY + 1)
    tx_id = delivered(requester, provider)
    requester.kernel.dispute(tx_id)
    wallet = resolver if judge == "admin" else arbiter
    carry_out(wallet, "resolve_dispute", transaction_id=tx_id, decision="release")
    assert state(requester, tx_id) is State.SETTLED


def test_the_schedule_of_a_payment_made_by_the_client_is_known(requester: ACTPClient, provider: ACTPClient) -> None:
    """What the coordinator did not create itself is handled alike."""
    parts = [Milestone(usdc(50), requester.now() + HOUR), Milestone(usdc(50), requester.now() + HOUR)]
    tx_id = requester.pay(**terms(requester, provider), milestones=parts).transaction_id
    carry_out(provider, "accept_escrow", transaction_id=tx_id)
    carry_out(requester, "release_milestone", transaction_id=tx_id, index=0)
