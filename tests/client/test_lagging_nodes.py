"""Paying over an endpoint whose nodes do not all have the newest block, or whose chain lost the contracts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from actp import token
from actp.chain import DevAccount, EmbeddedChain
from actp.client import ACTPClient
from actp.errors import ActpError, Reverted, RpcError, RpcUnavailable
from actp.networks import Endpoint, connect_local
from actp.signers import LocalSigner
from actp.token import MissingAllowance
from actp.types import State
from tests.client.support import BOND, NOBODY, PRICE, delivered, open_transaction, state
from tests.engine.faults import FaultyTransport


@pytest.fixture
def buyer(
    endpoint: Endpoint, faulty: FaultyTransport, requester: ACTPClient, accounts: tuple[DevAccount, ...]
) -> ACTPClient:
    """The requester, over a node that can be told to misbehave."""
    return ACTPClient(replace(endpoint, transport=faulty), LocalSigner(accounts[1].private_key))


def without_the_approval(refusal: RpcError) -> Callable[[Callable[[], Any], list[Any]], Any]:
    def handler(real: Callable[[], Any], params: list[Any]) -> Any:
        raise refusal

    return handler


def as_it_is(real: Callable[[], Any], params: list[Any]) -> Any:
    return real()


def refusal_of_a_link(client: ACTPClient, tx_id: str) -> RpcError:
    """What a node says that has no allowance yet."""
    with pytest.raises(MissingAllowance) as caught:
        client.kernel.link_escrow(tx_id)
    error: BaseException | None = caught.value
    while error is not None and not isinstance(error, RpcError):
        error = error.__cause__
    assert error is not None
    return error


def test_a_node_that_has_not_got_the_approval_yet_is_asked_again(
    buyer: ACTPClient, faulty: FaultyTransport, provider: ACTPClient
) -> None:
    tx_id = open_transaction(buyer, provider)
    stale = without_the_approval(refusal_of_a_link(buyer, tx_id))
    faulty.once("eth_estimateGas", as_it_is, stale, stale)
    result = buyer.fund_transaction(tx_id)
    assert len(result.prior) == 1
    assert state(buyer, tx_id) is State.COMMITTED
    assert buyer.token.allowance(buyer.escrow.address) == 0


def test_an_approval_that_outlives_the_failed_call_is_named(
    buyer: ACTPClient, faulty: FaultyTransport, provider: ACTPClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token, "_LAG_SECONDS", 0.3)
    tx_id = open_transaction(buyer, provider)
    stale = without_the_approval(refusal_of_a_link(buyer, tx_id))
    faulty.once("eth_estimateGas", as_it_is, *[stale] * 20)
    with pytest.raises(Reverted) as caught:
        buyer.fund_transaction(tx_id)
    faulty.clear()
    vault = buyer.escrow.address
    assert buyer.token.allowance(vault) == PRICE
    (approved,) = {log["transactionHash"] for log in approvals(faulty, buyer)}
    assert approved in caught.value.hint
    assert f"{vault} may take {PRICE} base units" in caught.value.hint
    assert buyer.fund_transaction(tx_id).prior == (), "the standing approval is used"


def test_a_failed_dispute_names_its_approval_too(
    buyer: ACTPClient, faulty: FaultyTransport, provider: ACTPClient
) -> None:
    tx_id = delivered(buyer, provider)

    def gone(real: Callable[[], Any], params: list[Any]) -> Any:
        raise RpcUnavailable("no answer")

    faulty.once("eth_estimateGas", as_it_is, gone)
    with pytest.raises(RpcUnavailable, match="no answer") as caught:
        buyer.kernel.dispute(tx_id)
    assert f"may take {BOND} base units" in caught.value.hint
    assert state(buyer, tx_id) is State.DELIVERED


def approvals(faulty: FaultyTransport, client: ACTPClient) -> list[dict[str, Any]]:
    """Logs of Approval events of this client's account since the last block but one."""
    head = int(faulty.request("eth_blockNumber", []), 16)
    topic = "0x8c5be1e5ebec7d5bd14f71427d1e84f3dd0314c0f7b2291e5b200ac8c7c3b925"
    owner = "0x" + "00" * 12 + client.address[2:].lower()
    fields = {"address": client.token.address, "topics": [topic, owner], "fromBlock": hex(head)}
    logs: list[dict[str, Any]] = faulty.request("eth_getLogs", [fields])
    return logs


def test_no_error_is_its_own_cause(requester: ACTPClient, provider: ACTPClient, stranger: ACTPClient) -> None:
    tx_id = open_transaction(requester, provider)
    for call in (
        lambda: stranger.kernel.link_escrow(tx_id),
        lambda: stranger.kernel.settle(tx_id),
        lambda: stranger.kernel.simulate_link(tx_id),
        lambda: stranger.kernel.post_bond(tx_id),
        lambda: stranger.kernel.dispute(tx_id),
    ):
        with pytest.raises(Reverted) as caught:
            call()
        seen: list[BaseException] = []
        error: BaseException | None = caught.value
        while error is not None:
            assert not any(error is earlier for earlier in seen)
            seen.append(error)
            error = error.__cause__


@pytest.mark.parametrize(
    "verb", ["settle", "cancel", "start", "announce_cancellation", "create", "withdraw", "approve"]
)
def test_no_verb_succeeds_where_the_contracts_are_gone(verb: str) -> None:
    chain = EmbeddedChain()
    empty = chain.snapshot()
    endpoint = connect_local(chain=chain)
    client = ACTPClient(endpoint, LocalSigner("0x" + "33" * 32))
    assert client.kernel.limits.min_amount
    chain.revert(empty)
    chain.request("anvil_setBalance", [client.address, hex(10**20)])
    others: dict[str, Callable[[], object]] = {
        "create": lambda: open_transaction(client, client, provider="0x" + "11" * 20),
        "withdraw": lambda: client.kernel.withdraw_credit(),
        "approve": lambda: client.token.approve(client.escrow.address, PRICE),
    }
    call = others.get(verb) or (lambda: getattr(client.kernel, verb)(NOBODY))
    with pytest.raises(ActpError, match=r"did nothing|no contract at") as caught:
        call()
    # A verb that reads the clauses first finds it out before anything is sent.
    assert caught.value.code == ("no_code" if verb == "start" else "no_effect")
