"""Paying, delivering and settling lists."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from actp.chain import DevAccount
from actp.client import ACTPClient
from actp.errors import (
    IdempotencyConflict,
    InsufficientFunds,
    InvalidInput,
    PartialBatch,
    Reverted,
    RpcError,
    UnacceptedClauses,
)
from actp.intents import PaymentOrder
from actp.networks import Endpoint
from actp.signers import LocalSigner
from actp.types import State
from actp.units import usdc
from tests.client.support import DAY, HOUR, NOBODY, PURSE, act, in_threads, nonce, refused, state, terms
from tests.engine.faults import FaultyTransport

PRICE = usdc(2)


def orders(requester: ACTPClient, provider: ACTPClient, count: int, *, keyed: bool = True) -> list[PaymentOrder]:
    end = requester.now() + DAY
    return [
        PaymentOrder(provider.address, PRICE + number, end, HOUR, f"job {number}", f"job {number}" if keyed else None)
        for number in range(count)
    ]


def paid(requester: ACTPClient, provider: ACTPClient, count: int) -> list[str]:
    return [payment.transaction_id for payment in requester.pay_many(orders(requester, provider, count))]


def test_a_list_is_paid_in_as_few_eth_transactions_as_its_size_allows(
    requester: ACTPClient, provider: ACTPClient
) -> None:
    wanted = orders(requester, provider, 7)
    payments = requester.pay_many(wanted, batch_size=3, standing_allowance=usdc(100))
    records = [requester.kernel.get_transaction(payment.transaction_id) for payment in payments]
    assert [record.amount for record in records] == [order.amount for order in wanted]
    assert {record.state for record in records} == {State.COMMITTED}
    assert [payments.count(payment) for payment in payments] == [1] * 7
    hashes = [payment.result.tx_hash for payment in payments if payment.result is not None]
    assert [hashes.index(each) for each in hashes] == [0, 0, 0, 3, 3, 3, 6]
    assert requester.balances().usdc == PURSE - sum(order.amount for order in wanted)


@pytest.mark.slow
def test_fifty_fit_into_one_eth_transaction_and_so_do_a_hundred(requester: ACTPClient, provider: ACTPClient) -> None:
    payments = requester.pay_many(orders(requester, provider, 50))
    assert len({payment.result.tx_hash for payment in payments if payment.result is not None}) == 1
    more = requester.pay_many(orders(requester, provider, 150)[50:], batch_size=100)
    assert more[0].result is not None
    assert more[0].result.gas_used * 6 // 5 < 2**24
    ids = [payment.transaction_id for payment in (*payments, *more)]
    delivered = provider.deliver_many(ids, batch_size=100)
    settled = requester.settle_many(ids)
    assert (len(delivered.done), len(delivered.results)) == (150, 2)
    assert (len(settled.done), len(settled.results)) == (150, 3)


def test_what_was_paid_before_is_found_and_the_rest_is_paid(requester: ACTPClient, provider: ACTPClient) -> None:
    wanted = orders(requester, provider, 5)
    first = requester.pay_many(wanted[1:3])
    payments = requester.pay_many(wanted)
    assert [payment.found for payment in payments] == [False, True, True, False, False]
    assert payments[1].transaction_id == first[0].transaction_id
    before = nonce(requester.chain, requester.address)
    assert all(payment.found for payment in requester.pay_many(wanted))
    assert nonce(requester.chain, requester.address) == before
    assert requester.balances().usdc == PURSE - sum(order.amount for order in wanted)


def test_a_list_without_keys_is_paid_again_each_time(requester: ACTPClient, provider: ACTPClient) -> None:
    wanted = orders(requester, provider, 2, keyed=False)
    ids = {p.transaction_id for _ in range(2) for p in requester.pay_many(wanted)}
    assert len(ids) == 4


def test_two_lists_at_once_pay_each_item_once(
    requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint, accounts: tuple[DevAccount, ...]
) -> None:
    wanted = orders(requester, provider, 6)
    twin = ACTPClient(endpoint, LocalSigner(accounts[1].private_key))
    lists = [partial(client.pay_many, wanted, batch_size=4) for client in (requester, twin)]
    assert in_threads(lists) == []
    assert requester.balances().usdc == PURSE - sum(order.amount for order in wanted)
    assert len(requester.events.created_by(requester.address)) == 6


def test_an_item_that_is_paid_while_the_list_is_sent_is_found(
    requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint, accounts: tuple[DevAccount, ...]
) -> None:
    wanted = orders(requester, provider, 3)
    node = FaultyTransport(endpoint.transport)
    buyer = ACTPClient(replace(endpoint, transport=node), LocalSigner(accounts[1].private_key))
    buyer.token.approve(buyer.escrow.address, usdc(100))

    def somebody_is_faster(go_on: Any, params: list[Any]) -> Any:
        estimate = go_on()
        requester.pay_many(wanted[1:2])
        return estimate

    node.once("eth_estimateGas", somebody_is_faster)
    assert [payment.found for payment in buyer.pay_many(wanted)] == [False, True, False]
    assert buyer.balances().usdc == PURSE - sum(order.amount for order in wanted)


def test_a_list_that_breaks_off_says_what_is_paid(
    requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint, accounts: tuple[DevAccount, ...]
) -> None:
    node = FaultyTransport(endpoint.transport)
    buyer = ACTPClient(replace(endpoint, transport=node), LocalSigner(accounts[1].private_key))
    buyer.token.approve(buyer.escrow.address, usdc(100))
    wanted = orders(requester, provider, 5)

    def goes_away(go_on: Any, params: list[Any]) -> Any:
        raise RpcError(-32000, "the node is gone")

    node.once("eth_estimateGas", lambda go_on, params: go_on(), goes_away)
    with pytest.raises(PartialBatch, match="2 of 5 are done") as caught:
        buyer.pay_many(wanted, batch_size=2)
    assert [payment.state for payment in caught.value.done] == [State.COMMITTED] * 2
    assert len(caught.value.pending) == 3
    assert caught.value.outcome == "not_sent"
    assert "Call again with the same list" in caught.value.hint
    assert [payment.found for payment in buyer.pay_many(wanted)] == [True, True, False, False, False]


def test_bad_lists_are_refused_before_anything_is_sent(
    requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint
) -> None:
    good = orders(requester, provider, 3)
    bad: list[Any] = [
        [*good, replace(good[0], amount=1)],
        [*good, replace(good[0], amount=2.5)],
        [*good, replace(good[0], idempotency_key="", metadata="x")],
        [*good, replace(good[0], deadline=5, idempotency_key="another")],
        [*good, good[1]],
        [*good, {"provider": provider.address}],
    ]
    for wanted in bad:
        with refused(InvalidInput, requester, endpoint) as refusal:
            requester.pay_many(wanted)
    assert "orders[3]" in refusal.error.message
    for size in (0, 101, 2.0, True):
        with refused(InvalidInput, requester, endpoint):
            requester.pay_many(good, batch_size=size)  # type: ignore[arg-type]
    requester.pay_many(good[:1])
    with refused(IdempotencyConflict, requester, endpoint):
        requester.pay_many([replace(good[0], amount=usdc(3)), good[1]])
    assert requester.pay_many([]) == ()


def test_a_purse_that_is_too_small_for_the_list_pays_none_of_it(
    requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint
) -> None:
    wanted = [replace(order, amount=usdc(400)) for order in orders(requester, provider, 3)]
    with refused(InsufficientFunds, requester, endpoint):
        requester.pay_many(wanted)
    assert len(requester.events.created_by(requester.address)) == 0


# -------------------------------------------------------------------- delivering and settling


def test_each_item_tells_what_became_of_it(requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient) -> None:
    first, second, third = paid(requester, provider, 3)
    other = requester.pay(**terms(requester, stranger)).transaction_id
    provider.kernel.deliver(second)
    result = provider.deliver_many([first, second, NOBODY, other, third, first])
    assert [(item.transaction_id, item.done, item.reason) for item in result.items] == [
        (first, True, ""),
        (second, False, "InvalidTransition"),
        (NOBODY, False, "UnknownTransaction"),
        (other, False, "NotProvider"),
        (third, True, ""),
        (first, False, "InvalidTransition"),
    ]
    assert {item.tx_hash for item in result.items} == {result.results[0].tx_hash}
    assert all(item.hint for item in result.skipped)
    # Strangers settle only once the window is over.
    requester.chain.time_travel(HOUR + 1)
    provider.kernel.settle(first)
    settled = stranger.settle_many([first, second, third, other])
    assert [(item.done, item.reason) for item in settled.items] == [
        (False, "InvalidTransition"), (True, ""), (True, ""), (False, "InvalidTransition"),
    ]  # fmt: skip
    assert state(requester, second) is State.SETTLED


def test_nothing_is_sent_where_nothing_can_be_done(
    requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient
) -> None:
    (tx_id,) = paid(requester, provider, 1)
    before = nonce(provider.chain, provider.address), nonce(provider.chain, stranger.address)
    assert [item.reason for item in stranger.deliver_many([tx_id, NOBODY]).items] == [
        "NotProvider", "UnknownTransaction",
    ]  # fmt: skip
    result = provider.settle_many([tx_id])
    assert (result.results, result.done, result.skipped[0].reason) == ((), (), "InvalidTransition")
    assert provider.deliver_many([]).items == ()
    assert before == (nonce(provider.chain, provider.address), nonce(provider.chain, stranger.address))


def test_a_payee_whom_the_token_refuses_gets_a_credit_and_stops_nobody(
    requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient, endpoint: Endpoint
) -> None:
    ids = [requester.pay(**terms(requester, each)).transaction_id for each in (provider, stranger)]
    for client, tx_id in zip((provider, stranger), ids, strict=True):
        client.deliver_many([tx_id])
    act(endpoint, 0, "TestUSDC", "blacklist", provider.address)
    result = requester.settle_many(ids)
    assert len(result.done) == 2
    assert provider.balances().credit > 0
    assert stranger.balances().usdc > PURSE
    (accrued,) = [event for event in result.results[0].events if event.name == "CreditAccrued"]
    assert (accrued.transaction_id, accrued.args["payee"]) == (None, provider.address)


def test_bad_ids_are_refused(requester: ACTPClient, endpoint: Endpoint) -> None:
    for ids in ("0x12", ["0x12"], [5], NOBODY):
        for verb in (requester.deliver_many, requester.settle_many):
            with refused(InvalidInput, requester, endpoint):
                verb(ids)  # type: ignore[arg-type]


# -------------------------------------------------------------------- clauses that a provider did not ask for


def test_work_under_an_unknown_arbiter_is_not_begun(
    requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient, endpoint: Endpoint,
    accounts: tuple[DevAccount, ...],
) -> None:  # fmt: skip
    tx_id = requester.pay(**terms(requester, provider), arbiter=stranger.address).transaction_id
    (usual,) = paid(requester, provider, 1)
    for step in (
        provider.kernel.start,
        provider.kernel.deliver,
        partial(provider.kernel.transition_state, new_state=State.DELIVERED),
    ):
        with refused(UnacceptedClauses, provider, endpoint) as refusal:
            step(tx_id)
    assert isinstance(refusal.error, UnacceptedClauses)
    assert (refusal.error.arbiter, refusal.error.timeout_requester_bps) == (stranger.address, 5_000)
    assert stranger.address in refusal.error.message
    assert "accepted_arbiters" in refusal.error.hint
    listed = provider.deliver_many([tx_id, usual])
    assert [(item.done, item.reason) for item in listed.items] == [(False, "UnacceptedClauses"), (True, "")]

    key = LocalSigner(accounts[2].private_key)
    ACTPClient(endpoint, key, accepted_arbiters=[stranger.address]).kernel.start(tx_id)
    ACTPClient(endpoint, key, accepted_arbiters="any").kernel.deliver(tx_id)
    assert state(requester, tx_id) is State.DELIVERED


def test_a_worse_split_on_time_out_is_accepted_only_where_that_was_said(
    requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint, accounts: tuple[DevAccount, ...]
) -> None:
    worse, better = (
        requester.pay(**terms(requester, provider), timeout_requester_bps=share).transaction_id
        for share in (5_001, 4_999)
    )
    with refused(UnacceptedClauses, provider, endpoint) as refusal:
        provider.kernel.start(worse)
    assert "5001 of 10000" in refusal.error.message
    provider.kernel.start(better)
    key = LocalSigner(accounts[2].private_key)
    ACTPClient(endpoint, key, highest_timeout_requester_bps=6_000).kernel.start(worse)


@pytest.mark.parametrize(
    "bad",
    [
        {"accepted_arbiters": "0x" + "11" * 20},
        {"accepted_arbiters": ["somebody"]},
        {"highest_timeout_requester_bps": 10_001},
        {"highest_timeout_requester_bps": 0.5},
    ],
)
def test_what_a_client_accepts_is_checked(
    endpoint: Endpoint, accounts: tuple[DevAccount, ...], bad: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInput):
        ACTPClient(endpoint, LocalSigner(accounts[2].private_key), **bad)


def test_the_named_arbiter_alone_rules(
    requester: ACTPClient, stranger: ACTPClient, resolver: ACTPClient, endpoint: Endpoint,
    accounts: tuple[DevAccount, ...],
) -> None:  # fmt: skip
    provider = ACTPClient(endpoint, LocalSigner(accounts[2].private_key), accepted_arbiters=[stranger.address])
    tx_id = requester.pay(**terms(requester, provider), arbiter=stranger.address).transaction_id
    provider.kernel.deliver(tx_id)
    requester.kernel.dispute(tx_id)
    with pytest.raises(Reverted, match="NotResolver"):
        resolver.kernel.resolve(tx_id)
    stranger.kernel.resolve(tx_id)
    assert state(requester, tx_id) is State.SETTLED
