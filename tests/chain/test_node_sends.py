"""Sending, simulating and reverting: what the embedded chain and anvil must answer alike."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from eth_account import Account
from eth_utils import to_checksum_address

from actp import artifacts
from actp.chain import AnvilProcess, DevAccount, EmbeddedChain
from actp.errors import RpcError
from actp.rpc import Transport
from tests.chain.support import (
    EMITTER,
    GWEI,
    deploy,
    forwarder,
    latest,
    nonce,
    quantity,
    receipt_of,
    reverting,
    send,
    sign,
    word,
)

Accounts = tuple[DevAccount, ...]

HELLO = "08c379a0" + f"{32:064x}{5:064x}" + b"hello".hex().ljust(64, "0")


def refusal(node: Transport, method: str, *params: object) -> RpcError:
    with pytest.raises(RpcError) as caught:
        node.request(method, list(params))
    return caught.value


class TestReverts:
    @pytest.mark.parametrize("method", ["eth_call", "eth_estimateGas"])
    @pytest.mark.parametrize(
        ("data", "words"),
        [
            ("deadbeef" + "00" * 31 + "07", "execution reverted"),
            (HELLO, "execution reverted: hello"),
            ("", "execution"),
        ],
        ids=["custom error", "text", "nothing"],
    )
    def test_a_simulated_revert_is_error_3_with_the_raw_data(
        self, node: Transport, accounts: Accounts, method: str, data: str, words: str
    ) -> None:
        error = refusal(node, method, {"from": accounts[0].address, "data": reverting(data)})
        assert (error.rpc_code, error.data) == (3, f"0x{data}")
        assert error.message.startswith(words)

    def test_an_evm_error_is_no_revert(self, node: Transport, accounts: Accounts) -> None:
        error = refusal(node, "eth_call", {"from": accounts[0].address, "data": "0xfe"}, "latest")
        assert error.rpc_code != 3
        assert error.data is None

    def test_a_reverting_transaction_is_mined_with_status_0_and_costs_its_gas_and_nonce(
        self, node: Transport, accounts: Accounts
    ) -> None:
        before = nonce(node, accounts[6].address)
        receipt = send(node, accounts[6], to=None, value=0, data=reverting("deadbeef"), gas=200_000)
        assert receipt["status"] == "0x0"
        assert receipt["logs"] == []
        assert 53_000 < quantity(receipt["gasUsed"]) < 60_000
        assert nonce(node, accounts[6].address) == before + 1

    def test_running_out_of_gas_is_mined_with_all_gas_used(self, node: Transport, accounts: Accounts) -> None:
        emitter = deploy(node, accounts[0], EMITTER)
        receipt = send(node, accounts[0], to=emitter, value=0, data=word(1_000), gas=100_000)
        assert (receipt["status"], quantity(receipt["gasUsed"])) == ("0x0", 100_000)


class TestRefusals:
    """Words that a client looks for. Both nodes say more around them."""

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"chainId": 1}, "invalid chain id for signer"),
            ({"gas": 20_999}, "intrinsic gas too low"),
            ({"value": 10**25}, "insufficient funds for gas * price + value"),
            ({"maxFeePerGas": 1, "maxPriorityFeePerGas": 1}, "max fee per gas less than block base fee"),
            ({"gas": 10**9}, "gas"),
        ],
    )
    def test_an_invalid_transaction_is_refused_and_takes_no_nonce(
        self, node: Transport, accounts: Accounts, fields: dict[str, object], words: str
    ) -> None:
        before = nonce(node, accounts[7].address)
        error = refusal(node, "eth_sendRawTransaction", sign(node, accounts[7], **fields))
        assert words in error.message.lower()
        assert error.rpc_code in (-32000, -32003)
        assert nonce(node, accounts[7].address, "pending") == before

    def test_a_used_nonce_is_too_low_and_the_same_transaction_is_not_mined_twice(
        self, node: Transport, accounts: Accounts
    ) -> None:
        raw = sign(node, accounts[7])
        receipt_of(node, node.request("eth_sendRawTransaction", [raw]))
        used = nonce(node, accounts[7].address) - 1
        for repeated in (raw, sign(node, accounts[7], nonce=used, value=2)):
            assert "nonce too low" in refusal(node, "eth_sendRawTransaction", repeated).message

    def test_an_unfunded_account_cannot_send(self, node: Transport) -> None:
        fresh = Account.create()
        raw = sign(node, DevAccount(fresh.address, fresh.key.to_0x_hex()))
        assert "insufficient funds" in refusal(node, "eth_sendRawTransaction", raw).message.lower()

    @pytest.mark.parametrize("raw", ["0x", "0x1234", "0x02f8", "0xc0", "0x02c0", "0x7f00", "0xff"])
    def test_bytes_that_are_no_transaction_are_refused(self, node: Transport, raw: str) -> None:
        assert refusal(node, "eth_sendRawTransaction", raw).rpc_code in (-32000, -32602)

    def test_a_simulated_transfer_without_the_money_is_refused(self, node: Transport, accounts: Accounts) -> None:
        call = {"from": Account.create().address, "to": accounts[0].address, "value": "0x5"}
        assert "insufficient funds" in refusal(node, "eth_call", call, "latest").message.lower()


class TestNonceGaps:
    def test_a_transaction_ahead_of_its_turn_waits_for_the_gap_to_be_filled(
        self, node: Transport, accounts: Accounts
    ) -> None:
        first = nonce(node, accounts[8].address)
        held = [
            node.request("eth_sendRawTransaction", [sign(node, accounts[8], nonce=first + ahead)]) for ahead in (2, 1)
        ]
        for tx_hash in held:
            assert node.request("eth_getTransactionReceipt", [tx_hash]) is None
            assert node.request("eth_getTransactionByHash", [tx_hash])["blockHash"] is None
        assert nonce(node, accounts[8].address, "pending") == first

        filling = node.request("eth_sendRawTransaction", [sign(node, accounts[8], nonce=first)])
        for tx_hash in (filling, *held):
            assert receipt_of(node, tx_hash)["status"] == "0x1"
        assert nonce(node, accounts[8].address, "pending") == first + 3

    def test_a_waiting_transaction_is_replaced_by_one_that_pays_more_only(
        self, node: Transport, accounts: Accounts
    ) -> None:
        first = nonce(node, accounts[8].address)
        raw = sign(node, accounts[8], nonce=first + 1, value=1)
        replaced = node.request("eth_sendRawTransaction", [raw])
        assert refusal(node, "eth_sendRawTransaction", raw).message in ("already known", "transaction already imported")
        cheap = sign(node, accounts[8], nonce=first + 1, value=2)
        assert "replacement transaction underpriced" in refusal(node, "eth_sendRawTransaction", cheap).message
        dear = sign(node, accounts[8], nonce=first + 1, value=3, maxFeePerGas=6 * GWEI, maxPriorityFeePerGas=2 * GWEI)
        replacing = node.request("eth_sendRawTransaction", [dear])
        node.request("eth_sendRawTransaction", [sign(node, accounts[8], nonce=first)])
        assert receipt_of(node, replacing)["status"] == "0x1"
        assert node.request("eth_getTransactionByHash", [replaced]) is None


class TestGas:
    def test_an_estimate_is_enough_and_close(self, node: Transport, accounts: Accounts) -> None:
        sender = accounts[1].address
        assert quantity(node.request("eth_estimateGas", [{"from": sender, "to": "0x" + "44" * 20}])) == 21_000

        code = "0x" + artifacts.load("TestUSDC").creation_code().hex()
        estimate = quantity(node.request("eth_estimateGas", [{"from": sender, "data": code}]))
        receipt = send(node, accounts[1], to=None, value=0, data=code, gas=estimate)
        assert receipt["status"] == "0x1"
        assert quantity(receipt["gasUsed"]) <= estimate <= quantity(receipt["gasUsed"]) * 1.1

    def test_an_estimate_covers_what_a_nested_call_holds_back(self, node: Transport, accounts: Accounts) -> None:
        """The outer contract keeps 1/64 of the gas, so what the calls used together is not enough."""
        outer = deploy(node, accounts[0], forwarder(deploy(node, accounts[0], EMITTER)))
        call = {"from": accounts[0].address, "to": outer, "data": word(100)}
        estimate = quantity(node.request("eth_estimateGas", [call]))
        receipt = send(node, accounts[0], to=outer, value=0, data=word(100), gas=estimate)
        assert receipt["status"] == "0x1"
        assert estimate < quantity(receipt["gasUsed"]) * 1.1

    def test_the_emulated_account_signs_and_fills_in_what_is_missing(self, node: Transport, accounts: Accounts) -> None:
        payee = Account.create().address
        tx_hash = node.request("eth_sendTransaction", [{"from": accounts[9].address, "to": payee, "value": "0x7"}])
        assert receipt_of(node, tx_hash)["from"] == accounts[9].address.lower()
        assert quantity(node.request("eth_getBalance", [payee, "latest"])) == 7
        refusal(node, "eth_sendTransaction", {"from": payee, "to": payee})


@pytest.mark.anvil
def test_the_embedded_chain_uses_as_much_gas_as_anvil(
    chain: EmbeddedChain, anvil: AnvilProcess, accounts: Accounts
) -> None:
    assert _gas_of_token_life(chain, accounts) == _gas_of_token_life(anvil, accounts)


def _gas_of_token_life(node: Transport, accounts: Accounts) -> list[int]:
    token = artifacts.load("TestUSDC")
    deployed = send(node, accounts[0], to=None, value=0, data=token.creation_code(), gas=5_000_000)
    owner, payee = accounts[0].address, accounts[1].address
    used = [quantity(deployed["gasUsed"])]
    for function, arguments in (
        ("mint", (owner, 10**6)),
        ("transfer", (payee, 10**5)),
        ("transfer", (payee, 9 * 10**5)),
        ("approve", (payee, 5)),
        ("approve", (payee, 0)),
        ("transfer", (payee, 1)),
    ):
        data = token.call_data(function, arguments)
        receipt = send(
            node, accounts[0], to=to_checksum_address(deployed["contractAddress"]), value=0, data=data, gas=200_000
        )
        used.append(quantity(receipt["gasUsed"]))
    # Call data that does nothing is charged at its floor.
    used.append(quantity(send(node, accounts[0], data="0x" + "01" * 3_000, gas=200_000)["gasUsed"]))
    return used


def test_fifty_threads_that_send_at_once_lose_nothing(node: Transport, accounts: Accounts) -> None:
    """Each sender's transactions arrive in any order, and each is mined exactly once."""
    if isinstance(node, AnvilProcess):
        # anvil forgets transactions of concurrent senders while it mines one block for each.
        node.request("evm_setAutomine", [False])
    payee = Account.create().address
    raws = []
    for sender in accounts:
        first = nonce(node, sender.address)
        raws += [sign(node, sender, to=payee, nonce=first + index) for index in reversed(range(5))]
    with ThreadPoolExecutor(50) as pool:
        hashes = list(pool.map(lambda raw: node.request("eth_sendRawTransaction", [raw]), raws))
    if isinstance(node, AnvilProcess):
        node.request("evm_mine", [])
        node.request("evm_setAutomine", [True])
    receipts = [receipt_of(node, tx_hash) for tx_hash in hashes]
    assert {receipt["status"] for receipt in receipts} == {"0x1"}
    assert len({(receipt["blockHash"], receipt["transactionIndex"]) for receipt in receipts}) == 50
    assert quantity(node.request("eth_getBalance", [payee, "latest"])) == 50
    assert quantity(latest(node)["gasUsed"]) % 21_000 == 0
