"""The client drives kernels of generation G1, and says clearly what they lack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode

from actp import artifacts
from actp.chain import DevAccount, EmbeddedChain
from actp.chain.server import ChainServer
from actp.client import ACTPClient
from actp.deployments import G1_NAME, AddressBook
from actp.errors import Reverted, RpcError, UnknownTransaction, UnsupportedByKernel
from actp.kernel_views import Generation
from actp.networks import Endpoint
from actp.rpc import genesis_hash
from actp.signers import LocalSigner
from actp.types import Network, State
from actp.units import usdc
from tests.client.g1 import deploy_g1, functions_beyond_g1
from tests.client.support import (
    BOND,
    DAY,
    FEE,
    HOUR,
    NOBODY,
    PRICE,
    PURSE,
    delivered,
    disputed,
    funded,
    open_transaction,
    refused,
    started,
    state,
)
from tests.engine.faults import FaultyTransport


@pytest.fixture
def endpoint(chain: EmbeddedChain) -> Endpoint:
    """A deployment of G1 instead of ours: the fixtures of the parties build on it."""
    return Endpoint(chain, chain.chain_id, genesis_hash(chain, chain.chain_id), deploy_g1(chain), chain=chain)


def some_value(part: dict[str, Any]) -> Any:
    """A value of an ABI type: empty where it can be."""
    if part["type"].endswith("[]"):
        return []
    if part["type"] == "tuple":
        return tuple(some_value(inner) for inner in part["components"])
    return {"bytes32": bytes(32), "bytes": b"", "address": "0x" + "11" * 20}.get(part["type"], 0)


def test_the_test_kernel_lacks_what_g1_lacks(endpoint: Endpoint) -> None:
    kernel = artifacts.load("ACTPKernel")
    assert {entry["name"] for entry in functions_beyond_g1()} >= {"kernelVersion", "postBond", "withdrawCredit"}
    for entry in functions_beyond_g1():
        arguments = [some_value(part) for part in entry["inputs"]]
        data = "0x" + kernel.call_data(entry["name"], arguments).hex()
        with pytest.raises(RpcError) as caught:
            endpoint.transport.request("eth_call", [{"to": endpoint.deployment.kernel, "data": data}, "latest"])
        assert caught.value.data in (None, "0x")


def test_the_generation_is_read_off_the_kernel(requester: ACTPClient) -> None:
    assert (requester.kernel.generation, requester.kernel.version) == (Generation.G1, "G1")


def test_work_is_paid_from_creation_to_settlement(requester: ACTPClient, provider: ACTPClient) -> None:
    tx_id = open_transaction(requester, provider)
    provider.kernel.submit_quote(tx_id, "cheaper")
    requester.kernel.accept_quote(tx_id, usdc(80))
    requester.fund_transaction(tx_id)
    assert requester.token.allowance(requester.escrow.address) == 0
    provider.kernel.start(tx_id)
    requester.kernel.release_milestone(tx_id, usdc(30))
    provider.kernel.deliver(tx_id)
    provider.kernel.anchor_attestation(tx_id, "0x" + "cd" * 32)
    requester.release_escrow(tx_id)
    assert state(requester, tx_id) is State.SETTLED
    assert requester.balances().usdc == PURSE - usdc(80)
    assert provider.balances().usdc == PURSE + usdc(80) - usdc("0.8")
    assert provider.balances().credit == 0


def test_anyone_settles_after_the_window(requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient) -> None:
    tx_id = delivered(requester, provider)
    requester.chain.time_travel(HOUR + 1)
    stranger.release_escrow(tx_id)
    assert provider.balances().usdc == PURSE + PRICE - FEE


def test_a_delivery_names_the_agreed_window_which_g1_would_replace(requester: ACTPClient, provider: ACTPClient) -> None:
    tx_id = started(requester, provider, dispute_window=3 * HOUR)
    provider.kernel.deliver(tx_id)
    (call,) = _calls_of(requester, provider.address)[-1:]
    assert call.endswith((3 * HOUR).to_bytes(32, "big").hex())


def _calls_of(client: ACTPClient, account: str) -> list[str]:
    """Call data of the eth transactions that an account has sent, oldest first."""
    head = int(client.chain.request("eth_blockNumber", []), 16)
    blocks = [client.chain.request("eth_getBlockByNumber", [hex(number), True]) for number in range(head + 1)]
    sent = [transaction for block in blocks for transaction in block["transactions"]]
    return [transaction["input"] for transaction in sent if transaction["from"] == account.lower()]


def test_a_dispute_posts_its_bond_and_is_resolved(
    requester: ACTPClient, provider: ACTPClient, resolver: ACTPClient
) -> None:
    tx_id = disputed(requester, provider)
    record = requester.kernel.get_transaction(tx_id)
    assert (record.dispute_initiator, record.dispute_bond) == (requester.address, BOND)
    assert requester.token.allowance(requester.escrow.address) == 0
    resolver.kernel.resolve(tx_id, usdc(60), usdc(40), True)
    assert requester.balances().usdc == PURSE - usdc(40)


def test_the_bond_of_a_small_transaction_is_the_minimum(requester: ACTPClient, provider: ACTPClient) -> None:
    assert requester.kernel.required_bond(open_transaction(requester, provider)) == BOND
    assert requester.kernel.required_bond(open_transaction(requester, provider, amount=usdc(2))) == usdc(1)


def test_money_comes_back_when_work_is_cancelled(requester: ACTPClient, provider: ACTPClient) -> None:
    requester.kernel.cancel(open_transaction(requester, provider))
    provider.kernel.cancel(funded(requester, provider))
    tx_id = started(requester, provider)
    requester.chain.time_travel(DAY + 1)
    requester.kernel.cancel(tx_id)
    assert requester.balances().usdc == PURSE


def test_an_unknown_transaction_is_found_out(requester: ACTPClient, endpoint: Endpoint) -> None:
    for step in (requester.kernel.get_transaction, requester.kernel.start, requester.kernel.dispute):
        with refused(UnknownTransaction, requester, endpoint):
            step(NOBODY)


def test_an_unknown_transaction_is_told_from_other_refusals_whatever_the_kernel_calls_it(
    requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint, accounts: tuple[DevAccount, ...]
) -> None:
    tx_id = open_transaction(requester, provider)
    node = FaultyTransport(endpoint.transport)
    client = ACTPClient(replace(endpoint, transport=node), LocalSigner(accounts[1].private_key))
    # Kernels of G1 have no error of their own for it, only words.
    words = encode(["string"], ["Tx missing"]).hex()

    def refuse(real: Callable[[], Any], params: list[Any]) -> Any:
        raise RpcError(3, "execution reverted: Tx missing", "0x08c379a0" + words)

    node.always("eth_estimateGas", refuse)
    with refused(UnknownTransaction, client, endpoint):
        client.kernel.start(NOBODY)
    with pytest.raises(Reverted, match="Tx missing"):
        client.kernel.start(tx_id)


@pytest.mark.parametrize(
    ("verb", "step"),
    [
        ("post_bond", lambda kernel, tx: kernel.post_bond(tx)),
        ("withdraw_credit", lambda kernel, tx: kernel.withdraw_credit()),
        ("withdraw_fees", lambda kernel, tx: kernel.withdraw_fees()),
        ("close_timed_out_dispute", lambda kernel, tx: kernel.close_timed_out_dispute(tx)),
        ("announce_cancellation", lambda kernel, tx: kernel.announce_cancellation(tx)),
        ("cancel_early", lambda kernel, tx: kernel.cancel_early(tx)),
        ("bonds_of", lambda kernel, tx: kernel.bonds_of(tx)),
        ("credits", lambda kernel, tx: kernel.credits()),
        ("accrued_fees", lambda kernel, tx: kernel.accrued_fees()),
        ("cancellation_effective_at", lambda kernel, tx: kernel.cancellation_effective_at(tx)),
    ],
)
def test_what_g1_lacks_is_named(
    requester: ACTPClient, provider: ACTPClient, endpoint: Endpoint, verb: str, step: Any
) -> None:
    tx_id = open_transaction(requester, provider)
    with refused(UnsupportedByKernel, requester, endpoint) as refusal:
        step(requester.kernel, tx_id)
    assert verb in refusal.error.message
    assert "G1" in refusal.error.message


def test_its_events_are_read(requester: ACTPClient, provider: ACTPClient) -> None:
    tx_id = delivered(requester, provider)
    names = [event.name for event in requester.events.since(transaction_id=tx_id)]
    assert names == [
        "TransactionCreated", "StateTransitioned", "EscrowLinked", "EscrowCreated", "StateTransitioned",
        "StateTransitioned",
    ]  # fmt: skip


def test_it_is_found_by_its_name_in_the_address_book(
    chain: EmbeddedChain,
    endpoint: Endpoint,
    accounts: tuple[DevAccount, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ACTP_DEPLOYMENTS_DIR", str(tmp_path))
    AddressBook(chain.chain_id, endpoint.genesis).put(endpoint.deployment)
    with ChainServer(chain) as server:
        client = ACTPClient.create(
            network=Network.ANVIL, rpc_url=server.url, private_key=accounts[1].private_key, deployment=G1_NAME
        )
        provider = ACTPClient(endpoint, LocalSigner(accounts[2].private_key))
        assert client.kernel.generation is Generation.G1
        client.token.mint(PRICE)
        tx_id = funded(client, provider)
        assert state(provider, tx_id) is State.COMMITTED
