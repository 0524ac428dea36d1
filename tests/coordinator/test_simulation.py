"""Simulations over the embedded chain, which runs each call by itself, and over anvil, which runs them as a block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from actp.chain import AnvilProcess, DevAccount, EmbeddedChain
from actp.client import ACTPClient
from actp.deploy import deploy_contracts
from actp.deployments import AddressBook, Deployment
from actp.engine import Sender
from actp.errors import RpcError, RpcUnavailable
from actp.networks import Endpoint
from actp.pool.capabilities import Capability, supports
from actp.rpc import Transport, genesis_hash
from actp.signers import LocalSigner
from actp.testing import Disconnect, FaultyTransport, fail
from actp.units import keccak, usdc
from coordinator.intents import World, build, parse
from coordinator.simulation import simulate_all
from coordinator.types import Call, Simulation
from tests.client.support import DAY, PRICE

ETHER = "0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"
TRANSFER = "0x" + keccak(b"Transfer(address,address,uint256)").hex()


def wallet_at(transport: Transport, chain_id: int, deployment: Deployment, account: DevAccount) -> ACTPClient:
    genesis = genesis_hash(transport, chain_id)
    return ACTPClient(Endpoint(transport, chain_id, genesis, deployment), LocalSigner(account.private_key))


@pytest.fixture
def embedded(chain: EmbeddedChain, deployed: Deployment, accounts: tuple[DevAccount, ...]) -> ACTPClient:
    client = wallet_at(chain, chain.chain_id, deployed, accounts[1])
    client.token.mint(usdc(1_000))
    return client


@pytest.fixture
def beside(anvil: AnvilProcess, accounts: tuple[DevAccount, ...]) -> ACTPClient:
    book = AddressBook(anvil.chain_id, genesis_hash(anvil, anvil.chain_id), in_memory=True, development=True)
    deployer = Sender(anvil, LocalSigner(accounts[0].private_key), chain_id=anvil.chain_id)
    client = wallet_at(anvil, anvil.chain_id, deploy_contracts(deployer, book), accounts[1])
    client.token.mint(usdc(1_000))
    return client


def create(client: ACTPClient, number: int, provider: str, amount: int = PRICE) -> Call:
    fields = {"escrow_numeric_id": number, "provider": provider, "amount": amount, "deadline": client.now() + DAY}
    return build(parse("create_escrow", fields), World(client)).call


def approve(client: ACTPClient, amount: int) -> Call:
    return build(parse("approve_erc20", {"amount": amount}), World(client)).call


def ether(client: ACTPClient, to: str, amount: int) -> Call:
    return build(parse("transfer_eth", {"to": to, "amount": amount}), World(client)).call


def latest(client: ACTPClient) -> dict[str, Any]:
    block: dict[str, Any] = client.transport.request("eth_getBlockByNumber", ["latest", False])
    return block


def simulate(client: ACTPClient, *calls: Call) -> list[Simulation]:
    return simulate_all(client.transport, client.address, calls)


# -------------------------------------------------------------------- each by itself


def test_refusals_are_decoded_and_bound_to_the_block(embedded: ACTPClient, accounts: tuple[DevAccount, ...]) -> None:
    provider = accounts[2].address
    good, refused = simulate(embedded, ether(embedded, provider, 1), create(embedded, 1, provider))
    assert good.ok
    assert (refused.ok, refused.code) == (False, "ERC20InsufficientAllowance")
    assert f"needed={PRICE}" in str(refused.reason)
    for answer in (good, refused):
        assert (answer.block.hash, answer.block.number) == (
            latest(embedded)["hash"],
            int(latest(embedded)["number"], 16),
        )
        assert (answer.has_logs, answer.logs, answer.gas) == (False, (), None)
    embedded.token.approve(embedded.escrow.address, PRICE)
    assert simulate(embedded, create(embedded, 1, provider))[0].ok
    assert latest(embedded)["hash"] != refused.block.hash


def test_what_a_wallet_does_not_have_is_a_refusal(embedded: ACTPClient, accounts: tuple[DevAccount, ...]) -> None:
    poor, fine = simulate(
        embedded, ether(embedded, accounts[2].address, 2**95), ether(embedded, accounts[2].address, 1)
    )
    assert (poor.ok, poor.code, fine.ok) == (False, "insufficient_funds", True)


def test_nothing_is_asked_for_nothing() -> None:
    assert simulate_all(_Silent(), "0x" + "11" * 20, []) == []


class _Silent:
    label = "silent"

    def request(self, method: str, params: list[Any]) -> Any:
        raise AssertionError(method)

    def batch(self, calls: Any) -> list[Any]:
        raise AssertionError(calls)


def gone(forward: Callable[[], Any], params: list[Any]) -> Any:
    raise Disconnect


@pytest.mark.parametrize("method", ["eth_getBlockByNumber", "eth_call"])
def test_a_node_that_is_gone_is_no_refusal(method: str, embedded: ACTPClient, accounts: tuple[DevAccount, ...]) -> None:
    faulty = FaultyTransport(embedded.transport)
    call = ether(embedded, accounts[2].address, 1)
    assert simulate_all(faulty, embedded.address, [call])[0].ok
    faulty.once(method, gone)
    with pytest.raises(RpcUnavailable):
        simulate_all(faulty, embedded.address, [call])


@pytest.mark.parametrize("error", [RpcError(-32005, "limit exceeded"), RpcError(-32000, "header not found")])
def test_a_node_that_cannot_answer_now_is_no_refusal(
    error: RpcError, embedded: ACTPClient, accounts: tuple[DevAccount, ...]
) -> None:
    faulty = FaultyTransport(embedded.transport)
    faulty.always("eth_call", fail(error))
    with pytest.raises(RpcUnavailable):
        simulate_all(faulty, embedded.address, [ether(embedded, accounts[2].address, 1)])


def test_a_call_that_breaks_does_not_hold_up_the_others(embedded: ACTPClient, accounts: tuple[DevAccount, ...]) -> None:
    faulty = FaultyTransport(embedded.transport)
    faulty.once("eth_call", fail(RpcError(-32000, "out of gas")))
    call = ether(embedded, accounts[2].address, 1)
    broken, fine = simulate_all(faulty, embedded.address, [call, call])
    assert (broken.ok, broken.code, broken.reason, fine.ok) == (False, "execution_failed", "out of gas", True)


def test_a_block_that_changes_meanwhile_is_noticed(embedded: ACTPClient, accounts: tuple[DevAccount, ...]) -> None:
    """Where a block cannot be named by its hash, the newest one has to be the same before and after."""
    faulty = FaultyTransport(embedded.transport)
    faulty.once("eth_getBalance", fail(RpcError(-32602, "no blocks by hash")))
    assert not supports(faulty, Capability.READS_BY_HASH)
    call = ether(embedded, accounts[2].address, 1)
    assert simulate_all(faulty, embedded.address, [call])[0].ok

    def mined_meanwhile(forward: Callable[[], Any], params: list[Any]) -> Any:
        embedded.transport.request("evm_mine", [])
        return forward()

    faulty.once("eth_call", mined_meanwhile)
    with pytest.raises(RpcUnavailable) as caught:
        simulate_all(faulty, embedded.address, [call])
    assert (caught.value.code, caught.value.retryable) == ("block_changed", True)


# -------------------------------------------------------------------- as one block


@pytest.mark.anvil
def test_a_block_of_calls_tells_logs_and_transfers_of_ether(
    beside: ACTPClient, accounts: tuple[DevAccount, ...]
) -> None:
    provider = accounts[2].address
    allowed, created, paid = simulate(
        beside, approve(beside, PRICE), create(beside, 1, provider), ether(beside, provider, 5)
    )
    assert allowed.ok
    assert created.ok, "each call sees what those before it did"
    assert paid.ok
    moved = [log for log in created.logs if log[1][0] == TRANSFER]
    assert [(log[0], int(log[2], 16)) for log in moved] == [(beside.token.address.lower(), PRICE)]
    assert len(created.logs) == 5
    (sent,) = paid.logs
    assert (sent[0], int(sent[2], 16)) == (ETHER, 5)
    assert paid.gas == 21_000
    assert (created.block.hash, created.has_logs) == (latest(beside)["hash"], True)


@pytest.mark.anvil
def test_a_block_of_calls_decodes_refusals(beside: ACTPClient, accounts: tuple[DevAccount, ...]) -> None:
    refused, fine = simulate(beside, create(beside, 1, accounts[2].address), ether(beside, accounts[2].address, 5))
    assert (refused.ok, refused.code, refused.logs) == (False, "ERC20InsufficientAllowance", ())
    assert fine.ok
    assert fine.has_logs


@pytest.mark.anvil
def test_no_call_fails_on_account_of_another(beside: ACTPClient, accounts: tuple[DevAccount, ...]) -> None:
    """The first of them may be denied, and then the second is fine."""
    beside.token.approve(beside.escrow.address, PRICE)
    first, second = simulate(beside, create(beside, 1, accounts[2].address), create(beside, 2, accounts[2].address))
    assert (first.ok, first.code) == (True, None)
    assert (second.ok, second.code) == (True, "after_others")
    assert "ERC20InsufficientAllowance" in str(second.reason)


@pytest.mark.anvil
def test_a_call_that_cannot_begin_spoils_nothing(beside: ACTPClient, accounts: tuple[DevAccount, ...]) -> None:
    """The node refuses the whole block for it."""
    poor, fine = simulate(beside, ether(beside, accounts[2].address, 2**95), ether(beside, accounts[2].address, 5))
    assert (poor.ok, poor.code) == (False, "insufficient_funds")
    assert (fine.ok, fine.has_logs, len(fine.logs)) == (True, True, 1)


@pytest.mark.anvil
def test_a_whole_batch_fits_into_one_block(beside: ACTPClient, accounts: tuple[DevAccount, ...]) -> None:
    """256 creations take more gas than a block of the node has."""
    amount = usdc(1)
    beside.token.approve(beside.escrow.address, 256 * amount)
    answers = simulate(beside, *(create(beside, number, accounts[2].address, amount) for number in range(256)))
    assert all(answer.ok and answer.has_logs and answer.code is None for answer in answers)


@pytest.mark.anvil
def test_time_is_that_of_the_next_block(beside: ACTPClient, accounts: tuple[DevAccount, ...]) -> None:
    beside.token.approve(beside.escrow.address, PRICE)
    call = create(beside, 1, accounts[2].address)
    assert simulate(beside, call)[0].code is None
    beside.transport.request("evm_increaseTime", [2 * DAY])
    beside.transport.request("evm_mine", [])
    assert simulate(beside, call)[0].code == "DeadlineOutOfBounds"


@pytest.mark.anvil
@pytest.mark.parametrize("answer", [None, [], [{"calls": []}], [{"calls": [{"status": "0x1"}]}], {"calls": 7}])
def test_an_answer_to_another_question_is_no_simulation(
    answer: Any, beside: ACTPClient, accounts: tuple[DevAccount, ...]
) -> None:
    faulty = FaultyTransport(beside.transport)
    call = ether(beside, accounts[2].address, 5)
    assert simulate_all(faulty, beside.address, [call])[0].has_logs
    faulty.once("eth_simulateV1", lambda forward, params: answer)
    with pytest.raises(RpcUnavailable):
        simulate_all(faulty, beside.address, [call])


@pytest.mark.anvil
def test_a_node_that_is_gone_or_busy_is_no_refusal_of_the_block(
    beside: ACTPClient, accounts: tuple[DevAccount, ...]
) -> None:
    faulty = FaultyTransport(beside.transport)
    call = ether(beside, accounts[2].address, 5)
    assert simulate_all(faulty, beside.address, [call])[0].has_logs
    for fault in (gone, fail(RpcError(-32016, "over rate limit"))):
        faulty.once("eth_simulateV1", fault)
        with pytest.raises(RpcUnavailable):
            simulate_all(faulty, beside.address, [call])
