"""What a purchase costs in JSON-RPC calls, and that what is not read first is still not sent when it would fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from actp.chain import DevAccount
from actp.client import ACTPClient
from actp.engine.store import Store, open_store
from actp.errors import InsufficientFunds, InvalidInput
from actp.networks import Endpoint
from actp.signers import LocalSigner
from actp.types import State
from actp.units import usdc
from tests.client.support import DAY, PRICE, PURSE, funded, in_threads, open_transaction, refused, state, terms
from tests.engine.faults import FaultyTransport

SENT = Counter({"eth_estimateGas": 1, "eth_sendRawTransaction": 1})
POLL = "eth_getTransactionReceipt"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "outbox.db")
    yield opened
    opened.close()


@pytest.fixture
def buyer(
    endpoint: Endpoint,
    faulty: FaultyTransport,
    requester: ACTPClient,
    accounts: tuple[DevAccount, ...],
    store: Store,
    provider: ACTPClient,
) -> ACTPClient:
    """The requester with a store and a standing allowance, who has paid before."""
    client = ACTPClient(replace(endpoint, transport=faulty), LocalSigner(accounts[1].private_key), store=store)
    client.token.approve(client.escrow.address, PURSE)
    client.pay(**terms(client, provider))
    return client


@pytest.fixture
def seller(
    endpoint: Endpoint,
    faulty: FaultyTransport,
    provider: ACTPClient,
    accounts: tuple[DevAccount, ...],
    store: Store,
    buyer: ACTPClient,
) -> ACTPClient:
    """The provider with a store, who has delivered before."""
    client = ACTPClient(replace(endpoint, transport=faulty), LocalSigner(accounts[2].private_key), store=store)
    client.kernel.deliver(funded(buyer, client))
    return client


def calls_since(faulty: FaultyTransport, start: int) -> Counter[str]:
    return Counter(method for method in faulty.calls[start:] if method != POLL)


def test_a_purchase_takes_eight_calls(buyer: ACTPClient, seller: ACTPClient, faulty: FaultyTransport) -> None:
    wanted = terms(buyer, seller)
    start = len(faulty.calls)
    tx_id = buyer.pay(**wanted, idempotency_key="order 4711").transaction_id
    seller.kernel.deliver(tx_id)
    buyer.kernel.settle(tx_id)
    assert state(buyer, tx_id) is State.SETTLED
    calls = calls_since(faulty, start)
    # The read above is the third one; the others ask for the key and for the clauses.
    assert calls - Counter({"eth_call": 3}) == SENT + SENT + SENT


def test_creating_and_funding_reads_nothing(buyer: ACTPClient, seller: ACTPClient, faulty: FaultyTransport) -> None:
    deadline = buyer.now() + DAY
    start = len(faulty.calls)
    tx_id = open_transaction(buyer, seller, deadline=deadline)
    result = buyer.fund_transaction(tx_id)
    assert result.prior == ()
    # `open_transaction` asks for the time, for a deadline that is not used here.
    assert calls_since(faulty, start) - Counter({"eth_getBlockByNumber": 2}) == SENT + SENT
    assert state(buyer, tx_id) is State.COMMITTED


@pytest.mark.parametrize("left", [0, PRICE - 1])
@pytest.mark.slow
def test_an_allowance_that_was_used_up_elsewhere_is_made_anew(
    buyer: ACTPClient, provider: ACTPClient, requester: ACTPClient, left: int
) -> None:
    requester.token.approve(buyer.escrow.address, left)
    paid = buyer.pay(**terms(buyer, provider))
    assert paid.result is not None
    assert len(paid.result.prior) == 1
    assert buyer.token.allowance(buyer.escrow.address) == 0
    requester.token.approve(buyer.escrow.address, left)
    tx_id = open_transaction(buyer, provider)
    assert len(buyer.fund_transaction(tx_id).prior) == 1
    assert buyer.token.allowance(buyer.escrow.address) == 0


def test_an_exact_approval_leaves_nothing_to_go_by(
    requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint, faulty: FaultyTransport
) -> None:
    """Else every payment without a standing allowance would begin with a call that is refused."""
    client = ACTPClient(replace(endpoint, transport=faulty), requester.signer)
    for _ in range(2):
        start = len(faulty.calls)
        paid = client.pay(**terms(client, provider))
        assert paid.result is not None
        assert len(paid.result.prior) == 1
        assert calls_since(faulty, start)["eth_estimateGas"] == 2


def test_a_standing_allowance_is_gone_by_from_the_first_payment_on(
    requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint, faulty: FaultyTransport
) -> None:
    client = ACTPClient(replace(endpoint, transport=faulty), requester.signer)
    wanted = terms(client, provider)
    client.pay(**wanted, standing_allowance=3 * PRICE)
    start = len(faulty.calls)
    client.pay(**wanted)
    assert "eth_call" not in calls_since(faulty, start)
    assert client.token.allowance(client.escrow.address) == PRICE


def test_an_empty_purse_is_found_out_without_reading_it_first(
    buyer: ACTPClient, provider: ACTPClient, requester: ACTPClient, endpoint: Endpoint
) -> None:
    requester.token.transfer(provider.address, requester.token.balance_of() - usdc(1))
    wanted = terms(buyer, provider)
    with refused(InsufficientFunds, buyer, endpoint) as refusal:
        buyer.pay(**wanted)
    assert "USDC" in str(refusal.error)
    tx_id = open_transaction(buyer, provider)
    with refused(InsufficientFunds, buyer, endpoint):
        buyer.fund_transaction(tx_id)


def test_threads_share_an_allowance_that_was_not_looked_at(
    buyer: ACTPClient, provider: ACTPClient, requester: ACTPClient
) -> None:
    """The first one goes by its simulation; the others must count what it is about to take."""
    ids = [open_transaction(buyer, provider, amount=PRICE) for _ in range(4)]
    requester.token.approve(buyer.escrow.address, 2 * PRICE + PRICE // 2)
    assert in_threads([lambda each=each: buyer.fund_transaction(each) for each in ids]) == []  # type: ignore[misc]
    assert {state(buyer, each) for each in ids} == {State.COMMITTED}


@pytest.mark.parametrize("late", [{"deadline": -1}, {"deadline": 1}, {"deadline": 1_999_999_999_999}])
def test_a_deadline_that_the_kernel_refuses_is_explained(
    buyer: ACTPClient, provider: ACTPClient, endpoint: Endpoint, late: dict[str, Any]
) -> None:
    for pay in (buyer.pay, buyer.open_payment):
        with refused(InvalidInput, buyer, endpoint) as refusal:
            pay(**{**terms(buyer, provider), **late})
        assert "the chain's time" in refusal.error.message
        assert refusal.error.hint


def test_a_payment_that_exists_is_found_after_its_deadline(buyer: ACTPClient, provider: ACTPClient) -> None:
    wanted = terms(buyer, provider)
    first = buyer.pay(**wanted, idempotency_key="order 4711")
    buyer.chain.time_travel(2 * DAY)
    assert buyer.pay(**wanted, idempotency_key="order 4711").transaction_id == first.transaction_id
