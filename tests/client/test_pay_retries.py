"""A payment with an idempotency key is made once, whatever is lost on the way and whoever else makes it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from actp.chain import DevAccount, EmbeddedChain
from actp.chain.server import ChainServer
from actp.client import ACTPClient
from actp.errors import OutcomeUnknown, RpcError, RpcUnavailable, SendError
from actp.intents import Payment
from actp.networks import Endpoint, connect_local
from actp.signers import LocalSigner
from actp.types import State
from tests.client.support import PRICE, PURSE, in_threads, terms
from tests.engine.faults import FaultyTransport
from tests.engine.helpers import SEND, answers, raises, taken_but_raises

KEY = "order 4711"
RECEIPT = "eth_getTransactionReceipt"


@pytest.fixture
def endpoint() -> Endpoint:
    """A chain for one test: some of these leave eth transactions behind whose outcome stays unknown."""
    return connect_local(chain=EmbeddedChain())


def payments_of(client: ACTPClient) -> int:
    return len(client.events.created_by(client.address))


def test_a_lost_reply_costs_nothing(buyer: ACTPClient, faulty: FaultyTransport, provider: ACTPClient) -> None:
    faulty.once(SEND, taken_but_raises(RpcUnavailable("cut off")))
    payment = buyer.pay(**terms(buyer, provider), idempotency_key=KEY)
    assert payment.state is State.COMMITTED
    assert payments_of(buyer) == 1


@pytest.mark.slow
def test_a_payment_whose_outcome_was_unknown_is_found_by_the_retry(
    buyer: ACTPClient, faulty: FaultyTransport, provider: ACTPClient
) -> None:
    wanted = terms(buyer, provider)
    faulty.always(RECEIPT, answers(None))
    with pytest.raises(OutcomeUnknown) as caught:
        buyer.pay(**wanted, idempotency_key=KEY)
    assert "same terms and idempotency_key is safe" in caught.value.hint
    faulty.clear()
    again = buyer.pay(**wanted, idempotency_key=KEY)
    assert again.found
    assert again.transaction_id in caught.value.hint
    assert payments_of(buyer) == 1
    assert buyer.balances().usdc == PURSE - PRICE


@pytest.mark.slow
def test_without_a_key_the_error_warns_of_a_second_payment(
    buyer: ACTPClient, faulty: FaultyTransport, provider: ACTPClient
) -> None:
    faulty.always(RECEIPT, answers(None))
    with pytest.raises(OutcomeUnknown, match="second payment") as caught:
        buyer.pay(**terms(buyer, provider))
    faulty.clear()
    (created,) = buyer.events.created_by(buyer.address)
    assert str(created.transaction_id) in caught.value.hint


def test_a_payment_that_never_arrived_is_made_by_the_retry(
    buyer: ACTPClient, faulty: FaultyTransport, provider: ACTPClient
) -> None:
    wanted = terms(buyer, provider)
    faulty.always(SEND, raises(RpcError(-32000, "insufficient funds for gas * price + value")))
    with pytest.raises(SendError):
        buyer.pay(**wanted, idempotency_key=KEY)
    faulty.clear()
    assert not buyer.pay(**wanted, idempotency_key=KEY).found
    assert payments_of(buyer) == 1


def test_one_key_in_many_threads_and_two_clients_is_one_payment(
    endpoint: Endpoint, requester: ACTPClient, provider: ACTPClient, accounts: tuple[DevAccount, ...]
) -> None:
    twin = ACTPClient(endpoint, LocalSigner(accounts[1].private_key))
    wanted = terms(requester, provider)
    payments: list[Payment] = []

    def buy(client: ACTPClient) -> None:
        payments.append(client.pay(**wanted, idempotency_key=KEY))

    assert in_threads(partial(buy, client) for client in [requester, twin] * 4) == []
    assert len(payments) == 8
    assert len({payment.transaction_id for payment in payments}) == 1
    assert [payment.found for payment in payments].count(False) == 1
    assert requester.balances().usdc == PURSE - PRICE
    assert payments_of(requester) == 1
    assert requester.token.allowance(requester.escrow.address) == 0


def test_a_race_that_the_simulation_sees_is_the_found_payment(
    requester: ACTPClient, provider: ACTPClient, buyer: ACTPClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = terms(requester, provider)
    first = requester.pay(**wanted, idempotency_key=KEY)
    real, looks = buyer._payments._intents.find, iter([True])
    monkeypatch.setattr(buyer._payments._intents, "find", lambda intent: None if next(looks, False) else real(intent))
    second = buyer.pay(**wanted, idempotency_key=KEY)
    assert (second.found, second.transaction_id) == (True, first.transaction_id)


def test_a_race_that_is_lost_in_the_block_is_the_found_payment(
    requester: ACTPClient, provider: ACTPClient, buyer: ACTPClient, faulty: FaultyTransport
) -> None:
    wanted = terms(requester, provider)
    first: list[Payment] = []

    def somebody_is_faster(go_on: Callable[[], Any], params: list[Any]) -> Any:
        estimate = go_on()
        first.append(requester.pay(**wanted, idempotency_key=KEY))
        return estimate

    faulty.once("eth_estimateGas", somebody_is_faster)
    second = buyer.pay(**wanted, idempotency_key=KEY)
    assert (second.found, second.transaction_id) == (True, first[0].transaction_id)
    assert payments_of(requester) == 1


def test_an_open_payment_that_somebody_funds_first_is_the_found_payment(
    requester: ACTPClient, provider: ACTPClient, buyer: ACTPClient, faulty: FaultyTransport
) -> None:
    wanted = terms(requester, provider)
    opened = requester.open_payment(**wanted, idempotency_key=KEY)

    def somebody_is_faster(go_on: Callable[[], Any], params: list[Any]) -> Any:
        estimate = go_on()
        requester.fund_transaction(opened.transaction_id)
        return estimate

    faulty.once("eth_estimateGas", somebody_is_faster)
    paid = buyer.pay(**wanted, idempotency_key=KEY)
    assert (paid.transaction_id, paid.state, paid.result) == (opened.transaction_id, State.COMMITTED, None)
    assert buyer.balances().usdc == PURSE - PRICE


PROGRAM = """
import sys
from actp import ACTPClient, Network

url, key, provider, deadline = sys.argv[1:]
client = ACTPClient.create(network=Network.ANVIL, rpc_url=url, private_key=key)
client.token.approve(client.escrow.address, 10**9)
print("ready", flush=True)
sys.stdin.readline()
payment = client.pay(provider=provider, amount=100_000_000, deadline=int(deadline), idempotency_key="order 4711")
print(payment.transaction_id, payment.found, payment.result and payment.result.tx_hash, flush=True)
"""


@pytest.mark.slow
def test_two_processes_with_one_key_and_one_account_make_one_payment(
    endpoint: Endpoint, requester: ACTPClient, provider: ACTPClient, accounts: tuple[DevAccount, ...], tmp_path: Any
) -> None:
    from actp.deployments import AddressBook

    AddressBook(endpoint.chain_id, endpoint.genesis, folder=tmp_path).put(endpoint.deployment)
    environment = {**os.environ, "ACTP_DEPLOYMENTS_DIR": str(tmp_path)}
    deadline = str(requester.now() + 3_600)
    with ChainServer(requester.chain) as server:
        arguments = [server.url, accounts[1].private_key, provider.address, deadline]
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", PROGRAM, *arguments],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
            )
            for _ in range(2)
        ]  # fmt: skip
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        outputs = []
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        outputs = [process.communicate(timeout=120)[0].split() for process in processes]
    assert len({output[0] for output in outputs}) == 1
    # Either one of them finds the payment of the other, or both have signed the same nonce and so the very same bytes.
    made = {output[2] for output in outputs if output[1] == "False"}
    assert len(made) == 1
    assert payments_of(requester) == 1
    assert requester.balances().usdc == PURSE - PRICE
