"""The chain over HTTP: batches, bad requests, several processes, a clean stop, and loopback only."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from eth_account import Account
from web3 import Web3
from web3.exceptions import ContractCustomError

from actp import artifacts
from actp.chain import ChainServer, DevAccount, EmbeddedChain
from actp.chain.server import MAX_BATCH, MAX_BODY_BYTES
from actp.errors import ConfigError, RpcError, RpcUnavailable
from actp.rpc import HttpTransport
from tests.chain.support import nonce, quantity, receipt_of, reverting, sign

Accounts = tuple[DevAccount, ...]


@pytest.fixture
def server(chain: EmbeddedChain) -> Iterator[ChainServer]:
    with ChainServer(chain) as running:
        yield running


@pytest.fixture
def transport(server: ChainServer) -> HttpTransport:
    return HttpTransport(server.url)


def post(server: ChainServer, body: bytes, **headers: str) -> tuple[int, Any]:
    """Status and decoded body of one POST; the body is None where there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request("POST", "/", body, headers)
        response = connection.getresponse()
        content = response.read()
        is_json = response.getheader("Content-Type") == "application/json"
        return response.status, json.loads(content) if content and is_json else None
    finally:
        connection.close()


def test_answers_are_those_of_the_chain(transport: HttpTransport, chain: EmbeddedChain, accounts: Accounts) -> None:
    assert transport.request("eth_chainId", []) == chain.request("eth_chainId", [])
    block = transport.request("eth_getBlockByNumber", ["latest", True])
    assert block == chain.request("eth_getBlockByNumber", ["latest", True])
    with pytest.raises(RpcError) as caught:
        transport.request("eth_call", [{"from": accounts[0].address, "data": reverting("deadbeef")}, "latest"])
    assert (caught.value.rpc_code, caught.value.data) == (3, "0xdeadbeef")


def test_a_batch_is_answered_call_by_call(server: ChainServer) -> None:
    calls = [
        {"id": number, "method": method} for number, method in enumerate(("eth_chainId", "eth_nope", "net_version"))
    ]
    status, answers = post(server, json.dumps(calls).encode())
    assert status == 200
    assert [answer["id"] for answer in answers] == [0, 1, 2]
    assert (answers[0]["result"], answers[2]["result"]) == ("0x7a69", "31337")
    assert answers[1]["error"]["code"] == -32601


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{not json", -32700),
        (b"\xff\xfe", -32700),
        (b"[" * 100_000, -32700),
        (b"[]", -32600),
        (b"5", -32600),
        (b'{"id": 1}', -32600),
        (b'{"id": 1, "method": 7}', -32600),
        (b'{"id": 1, "method": "eth_chainId", "params": {"a": 1}}', -32602),
        (json.dumps([{"id": 1, "method": "eth_chainId"}] * (MAX_BATCH + 1)).encode(), -32600),
    ],
    ids=["no json", "no text", "deep", "empty batch", "number", "no method", "odd method", "named params", "too many"],
)
def test_bad_requests_get_the_number_of_their_reason(server: ChainServer, body: bytes, code: int) -> None:
    status, answer = post(server, body)
    assert status == 200
    assert answer["error"]["code"] == code


def test_a_bad_call_in_a_batch_does_not_spoil_the_others(server: ChainServer) -> None:
    _, answers = post(server, json.dumps([5, {"id": "a", "method": "eth_chainId"}]).encode())
    assert [answer["id"] for answer in answers] == [None, "a"]
    assert answers[1]["result"] == "0x7a69"


def test_a_notification_is_carried_out_and_not_answered(server: ChainServer, chain: EmbeddedChain) -> None:
    before = quantity(chain.request("eth_blockNumber", []))
    assert post(server, b'{"method": "evm_mine", "params": []}') == (200, None)
    assert quantity(chain.request("eth_blockNumber", [])) == before + 1


def test_bodies_are_bounded_and_their_length_must_be_told(server: ChainServer) -> None:
    assert post(server, b"", **{"Content-Length": str(MAX_BODY_BYTES + 1)})[0] == 413
    assert post(server, b"", **{"Content-Length": "many"})[0] == 411


def test_a_page_that_reaches_loopback_under_another_name_is_refused(server: ChainServer) -> None:
    call = b'{"id": 1, "method": "eth_chainId"}'
    assert post(server, call, Host=f"rebound.example:{server.port}")[0] == 403
    for name in ("127.attacker.example", "127.0.0.1.attacker.example", "attacker.example/127.0.0.1", ""):
        assert post(server, call, Host=f"{name}:{server.port}")[0] == 403
    for name in ("localhost", "127.0.0.1", "127.0.0.2", "[::1]"):
        assert post(server, call, Host=f"{name}:{server.port}")[0] == 200


def test_one_connection_serves_many_calls(server: ChainServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.connect()
    used = connection.sock
    for _ in range(3):
        connection.request("POST", "/", b'{"id": 1, "method": "eth_chainId"}')
        connection.getresponse().read()
        assert connection.sock is used
    connection.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "", "example.com", "::"])
def test_the_server_refuses_to_listen_where_others_could_reach_it(chain: EmbeddedChain, host: str) -> None:
    with pytest.raises(ConfigError, match="keys are public"):
        ChainServer(chain, host=host)


def test_the_server_listens_on_loopback_only(server: ChainServer) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # No packet is sent: this only asks which address would be used to reach others.
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no other interface than loopback")
        address = probe.getsockname()[0]
    if address.startswith("127."):
        pytest.skip("this machine has no other interface than loopback")
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((address, server.port), timeout=5)


def test_a_port_in_use_is_an_error_that_says_what_to_do(server: ChainServer, chain: EmbeddedChain) -> None:
    with pytest.raises(ConfigError, match="Choose another port"):
        ChainServer(chain, server.port)
    with pytest.raises(ConfigError):
        ChainServer(chain, 70_000)


def test_stopping_ends_kept_connections_and_frees_the_port(chain: EmbeddedChain) -> None:
    server = ChainServer(chain)
    server.start()
    transport = HttpTransport(server.url)
    transport.request("eth_chainId", [])
    server.stop()
    with pytest.raises(RpcUnavailable):
        transport.request("eth_chainId", [])
    with ChainServer(chain, server.port) as again:
        assert HttpTransport(again.url).request("eth_chainId", []) == "0x7a69"


def _send_from_another_process(url: str, sender: DevAccount, payee: str, first: int, count: int) -> list[str]:
    transport = HttpTransport(url)
    hashes = []
    for index in range(count):
        raw = sign(transport, sender, to=payee, nonce=first + index)
        hashes.append(transport.request("eth_sendRawTransaction", [raw]))
    return hashes


@pytest.mark.slow
def test_two_processes_share_one_chain(server: ChainServer, chain: EmbeddedChain, accounts: Accounts) -> None:
    """Both use one account as well as their own, with nonces that only fit together."""
    payee = Account.create().address
    shared_first = nonce(chain, accounts[2].address)
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        jobs = [
            (server.url, accounts[0], payee, nonce(chain, accounts[0].address), 10),
            (server.url, accounts[1], payee, nonce(chain, accounts[1].address), 10),
            (server.url, accounts[2], payee, shared_first + 5, 5),
            (server.url, accounts[2], payee, shared_first, 5),
        ]
        hashes = [tx_hash for done in pool.starmap(_send_from_another_process, jobs, chunksize=1) for tx_hash in done]
    receipts = [receipt_of(chain, tx_hash) for tx_hash in hashes]
    assert len({(receipt["blockHash"], receipt["transactionIndex"]) for receipt in receipts}) == 30
    assert {receipt["status"] for receipt in receipts} == {"0x1"}
    assert quantity(chain.request("eth_getBalance", [payee, "latest"])) == 30


def test_fifty_clients_at_once_are_all_served(server: ChainServer) -> None:
    def ask(_: int) -> list[str]:
        client = HttpTransport(server.url)
        return [client.request("eth_chainId", []) for _ in range(5)]

    with ThreadPoolExecutor(50) as pool:
        assert {answer for answers in pool.map(ask, range(50)) for answer in answers} == {"0x7a69"}


def test_web3_reads_sends_and_decodes_over_the_served_chain(server: ChainServer, accounts: Accounts) -> None:
    """Its formatters are strict about what a node answers, as those of other clients are."""
    token = artifacts.load("TestUSDC")
    web3 = Web3(Web3.HTTPProvider(server.url))
    factory = web3.eth.contract(abi=token.abi, bytecode=token.bytecode)
    owner, payee = (account.address for account in accounts[:2])
    deployed = web3.eth.wait_for_transaction_receipt(factory.constructor().transact({"from": owner}))
    contract = web3.eth.contract(address=deployed["contractAddress"], abi=token.abi)
    minted = web3.eth.wait_for_transaction_receipt(contract.functions.mint(payee, 7).transact({"from": owner}))
    assert contract.functions.balanceOf(payee).call() == 7
    (event,) = contract.events.Transfer().get_logs(from_block=deployed["blockNumber"])
    assert (event["args"]["to"], event["args"]["value"], event["blockHash"]) == (payee, 7, minted["blockHash"])

    block = web3.eth.get_block("latest", full_transactions=True)
    assert [item["hash"] for item in block["transactions"]] == [minted["transactionHash"]]
    assert web3.eth.get_block("pending")["number"] == block["number"] + 1
    assert web3.eth.get_transaction(minted["transactionHash"])["type"] == 2
    assert len(web3.eth.fee_history(2, "latest", [50.0])["reward"]) == 2
    with pytest.raises(ContractCustomError) as caught:
        contract.functions.transfer(payee, 10**12).transact({"from": owner})
    assert caught.value.data.startswith("0x")
