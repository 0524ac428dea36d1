"""The same client on a real node: anvil, under the chain id of Base Sepolia."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actp import ACTPClient, Network, PaymentAuthorization, PaymentOrder, Reverted, State
from actp.chain import AnvilProcess, DevAccount
from actp.deploy import deploy_contracts
from actp.deployments import AddressBook
from actp.engine import Sender
from actp.errors import UnknownTransaction
from actp.rpc import genesis_hash
from actp.signers import LocalSigner
from actp.token import MissingAllowance
from actp.units import usdc
from tests.client.support import (
    BOND,
    HOUR,
    NOBODY,
    PRICE,
    PURSE,
    assert_each_was_paid_once,
    buy_in_threads,
    delivered,
    disputed,
    open_transaction,
    state,
)

pytestmark = pytest.mark.anvil

OpenClient = Callable[[int], ACTPClient]


@pytest.fixture
def open_client(
    anvil: AnvilProcess, accounts: tuple[DevAccount, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> OpenClient:
    """A client of a development account, whose purse is filled."""
    monkeypatch.setenv("ACTP_DEPLOYMENTS_DIR", str(tmp_path))
    book = AddressBook(anvil.chain_id, genesis_hash(anvil, anvil.chain_id))
    deploy_contracts(Sender(anvil, LocalSigner(accounts[0].private_key), chain_id=anvil.chain_id), book)

    def open_(index: int) -> ACTPClient:
        key = accounts[index].private_key
        client = ACTPClient.create(network=Network.BASE_SEPOLIA, rpc_url=anvil.url, private_key=key)
        client.token.mint(PURSE)
        return client

    return open_


@pytest.mark.slow
def test_fifty_threads_pay_once_each(open_client: OpenClient) -> None:
    client, provider = open_client(1), open_client(2)
    ids = buy_in_threads(client, provider.address, 50)
    assert_each_was_paid_once(client, ids, PURSE)
    assert client.token.allowance(client.escrow.address) == 0


def test_a_dispute_is_resolved_and_everything_adds_up(open_client: OpenClient) -> None:
    resolver, requester, provider = (open_client(index) for index in range(3))
    start = requester.events.since().cursor
    tx_id = disputed(requester, provider)
    assert requester.balances().usdc == PURSE - PRICE - BOND
    resolver.kernel.resolve(tx_id, usdc(60), usdc(40), True)
    assert state(requester, tx_id) is State.SETTLED
    assert requester.balances().usdc == PURSE - usdc(40)
    assert provider.balances().usdc == PURSE + usdc(40) - usdc("0.4")
    names = [event.name for event in requester.events.since(start, transaction_id=tx_id)]
    assert names[:2] == ["TransactionCreated", "StateTransitioned"]
    assert {"DisputeOpened", "DisputeResolved", "BondPaid", "EscrowCompleted"} <= set(names)


def test_a_third_party_settles_after_the_window(open_client: OpenClient, anvil: AnvilProcess) -> None:
    requester, provider, stranger = (open_client(index) for index in range(1, 4))
    tx_id = delivered(requester, provider)
    anvil.request("evm_increaseTime", [HOUR + 1])
    anvil.request("evm_mine", [])
    stranger.release_escrow(tx_id)
    assert provider.balances().usdc == PURSE + usdc(99)


def test_refusals_are_the_same_errors_as_in_this_process(open_client: OpenClient) -> None:
    requester, provider = open_client(1), open_client(2)
    tx_id = open_transaction(requester, provider)
    with pytest.raises(Reverted) as caught:
        provider.fund_transaction(tx_id)
    assert caught.value.name == "NotRequester"
    assert caught.value.arguments == {"caller": provider.address, "requester": requester.address}
    assert caught.value.outcome == "not_sent"
    with pytest.raises(MissingAllowance):
        requester.kernel.link_escrow(tx_id)
    with pytest.raises(UnknownTransaction):
        requester.kernel.settle(NOBODY)


def test_payments_by_key_list_signature_and_consent(open_client: OpenClient) -> None:
    requester, provider, relayer = (open_client(index) for index in range(1, 4))
    end = requester.now() + HOUR
    wanted: dict[str, Any] = {"provider": provider.address, "amount": PRICE, "deadline": end, "dispute_window": HOUR}
    first = requester.pay(**wanted, idempotency_key="once", funding="permit")
    assert requester.pay(**wanted, idempotency_key="once").transaction_id == first.transaction_id
    orders = [PaymentOrder(provider.address, usdc(2), end, idempotency_key=f"job {number}") for number in range(50)]
    ids = [payment.transaction_id for payment in requester.pay_many(orders)]
    assert len(provider.deliver_many([*ids, NOBODY]).done) == 50
    assert len(requester.settle_many(ids).done) == 50
    signed = requester.authorize_payment(**wanted, idempotency_key="by somebody else")
    relayed = relayer.submit_authorization(PaymentAuthorization.from_json(signed.to_json()))
    consent = provider.sign_split(relayed.transaction_id, usdc(99), usdc(1), requester.now() + HOUR)
    requester.settle_by_consent(consent)
    assert requester.balances().usdc == PURSE - PRICE - 50 * usdc(2) - usdc(1)
    assert provider.balances().usdc == PURSE + 50 * usdc("1.95") + usdc("0.95")
