"""Blocks, transactions, logs and time: what the embedded chain and anvil must answer alike."""

from __future__ import annotations

import itertools

import pytest
from eth_account import Account

from actp.chain import DevAccount
from actp.errors import RpcError
from actp.rpc import Transport
from tests.chain.support import (
    EMITTER,
    GWEI,
    deploy,
    environment,
    latest,
    nonce,
    quantity,
    send,
    sign,
    word,
)

Accounts = tuple[DevAccount, ...]

BLOCK_FIELDS = {
    "number", "hash", "parentHash", "timestamp", "gasLimit", "gasUsed", "baseFeePerGas", "stateRoot", "logsBloom",
    "transactionsRoot", "receiptsRoot", "miner", "transactions", "extraData", "mixHash", "nonce", "size", "uncles",
}  # fmt: skip


def test_development_accounts_are_unlocked_and_funded(node: Transport, accounts: Accounts) -> None:
    unlocked = node.request("eth_accounts", [])
    assert [address.lower() for address in unlocked] == [account.address.lower() for account in accounts]
    assert quantity(node.request("eth_getBalance", [accounts[9].address, "latest"])) == 10_000 * 10**18


def test_a_block_is_the_same_by_number_by_hash_and_by_tag(node: Transport, accounts: Accounts) -> None:
    receipt = send(node, accounts[0])
    by_number = node.request("eth_getBlockByNumber", [receipt["blockNumber"], True])
    assert by_number == node.request("eth_getBlockByHash", [receipt["blockHash"], True])
    assert by_number == node.request("eth_getBlockByNumber", ["latest", True])
    assert set(by_number) >= BLOCK_FIELDS
    assert [item["hash"] for item in by_number["transactions"]] == latest(node)["transactions"]
    assert node.request("eth_getBlockByNumber", ["earliest", False])["number"] == "0x0"


def test_blocks_form_a_chain_in_which_time_never_goes_back(node: Transport) -> None:
    for _ in range(3):
        node.request("evm_mine", [])
    number = quantity(node.request("eth_blockNumber", []))
    blocks = [node.request("eth_getBlockByNumber", [hex(n), False]) for n in range(number - 3, number + 1)]
    for parent, child in itertools.pairwise(blocks):
        assert child["parentHash"] == parent["hash"]
        assert quantity(child["timestamp"]) >= quantity(parent["timestamp"])


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("eth_getBlockByNumber", ["0xffffff", False]),
        ("eth_getBlockByHash", ["0x" + "11" * 32, False]),
        ("eth_getTransactionByHash", ["0x" + "11" * 32]),
        ("eth_getTransactionReceipt", ["0x" + "11" * 32]),
    ],
)
def test_what_does_not_exist_is_null_and_no_error(node: Transport, method: str, params: list[object]) -> None:
    assert node.request(method, params) is None


def test_a_transfer_moves_value_and_charges_the_effective_price(node: Transport, accounts: Accounts) -> None:
    payee = Account.create().address
    before = quantity(node.request("eth_getBalance", [accounts[1].address, "latest"]))
    receipt = send(node, accounts[1], to=payee, value=12_345)
    transaction = node.request("eth_getTransactionByHash", [receipt["transactionHash"]])

    base_fee = quantity(latest(node)["baseFeePerGas"])
    assert quantity(receipt["effectiveGasPrice"]) == base_fee + GWEI == quantity(transaction["gasPrice"])
    assert quantity(receipt["gasUsed"]) == 21_000
    assert receipt["contractAddress"] is None
    assert receipt["from"] == accounts[1].address.lower()
    assert transaction["blockHash"] == receipt["blockHash"]
    after = quantity(node.request("eth_getBalance", [accounts[1].address, "latest"]))
    assert before - after == 12_345 + 21_000 * (base_fee + GWEI)
    assert quantity(node.request("eth_getBalance", [payee, "latest"])) == 12_345
    # Reads at the block before still see the state of then.
    parent = hex(quantity(receipt["blockNumber"]) - 1)
    assert quantity(node.request("eth_getBalance", [payee, parent])) == 0


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("0x0", {"gasPrice": 5 * GWEI}),
        ("0x1", {"gasPrice": 5 * GWEI, "accessList": [{"address": "0x" + "22" * 20, "storageKeys": [word(7)]}]}),
        ("0x2", {"accessList": [{"address": "0x" + "22" * 20, "storageKeys": [word(7)]}]}),
    ],
)
def test_every_type_of_transaction_is_mined_and_read_back(
    node: Transport, accounts: Accounts, kind: str, fields: dict[str, object]
) -> None:
    receipt = send(node, accounts[2], gas=30_000, **fields)
    transaction = node.request("eth_getTransactionByHash", [receipt["transactionHash"]])
    assert receipt["status"] == "0x1"
    assert transaction["type"] == receipt["type"] == kind
    assert transaction.get("accessList", []) == fields.get("accessList", [])
    assert quantity(transaction["chainId"]) == quantity(node.request("eth_chainId", []))


def test_code_and_storage_of_a_contract_are_readable_at_once(node: Transport, accounts: Accounts) -> None:
    # Init code that stores 5 in slot 1 and returns one STOP.
    contract = deploy(node, accounts[0], "0x600560015560015ff3")
    assert node.request("eth_getCode", [contract, "latest"]) == "0x00"
    assert node.request("eth_getStorageAt", [contract, "0x1", "latest"]) == word(5)
    assert node.request("eth_getCode", [accounts[0].address, "latest"]) == "0x"


class TestLogs:
    @pytest.fixture
    def emitted(self, node: Transport, accounts: Accounts) -> tuple[str, str]:
        """Two emitters; the first emits three logs for account 3, then both emit one for account 4."""
        first, second = (deploy(node, accounts[0], EMITTER) for _ in range(2))
        for emitter, sender, count in ((first, 3, 3), (first, 4, 1), (second, 4, 1)):
            send(node, accounts[sender], to=emitter, value=0, data=word(count), gas=200_000)
        return first, second

    def found(self, node: Transport, **fields: object) -> list[tuple[str, int, int]]:
        logs = node.request("eth_getLogs", [{"fromBlock": "0x0", "toBlock": "latest", **fields}])
        return [(log["address"], quantity(log["topics"][0]), quantity(log["topics"][1])) for log in logs]

    def test_filters_select_by_address_topics_and_alternatives(
        self, node: Transport, accounts: Accounts, emitted: tuple[str, str]
    ) -> None:
        one, two = (address.lower() for address in emitted)
        three, four = (quantity(accounts[index].address) for index in (3, 4))
        from_one = [(one, three, 0), (one, three, 1), (one, three, 2), (one, four, 0)]
        both = [one, two]
        assert self.found(node, address=one) == from_one
        assert self.found(node, address=both) == [*from_one, (two, four, 0)]
        assert self.found(node, address=both, topics=[]) == [*from_one, (two, four, 0)]
        assert self.found(node, address=both, topics=[word(four)]) == [(one, four, 0), (two, four, 0)]
        assert self.found(node, address=both, topics=[None, word(1)]) == [(one, three, 1)]
        assert self.found(node, address=both, topics=[None, [word(1), word(2)]]) == [(one, three, 1), (one, three, 2)]
        assert self.found(node, address=both, topics=[[word(three), word(four)], word(0)]) == [
            (one, three, 0), (one, four, 0), (two, four, 0),
        ]  # fmt: skip
        assert self.found(node, address=both, topics=[None, None, word(0)]) == []
        assert self.found(node, address="0x" + "33" * 20) == []

    def test_ranges_and_block_hashes_bound_what_is_found(self, node: Transport, emitted: tuple[str, str]) -> None:
        head = latest(node)
        number = quantity(head["number"])
        assert len(self.found(node, fromBlock=hex(number), address=list(emitted))) == 1
        assert len(self.found(node, fromBlock=hex(number - 1), toBlock=hex(number - 1), address=list(emitted))) == 1
        by_hash = node.request("eth_getLogs", [{"blockHash": head["parentHash"], "address": list(emitted)}])
        assert [quantity(log["blockNumber"]) for log in by_hash] == [number - 1]
        assert len(node.request("eth_getLogs", [{"address": list(emitted)}])) == 1
        with pytest.raises(RpcError):
            node.request("eth_getLogs", [{"blockHash": "0x" + "11" * 32}])

    def test_a_log_says_where_it_is_and_equals_the_one_in_its_receipt(
        self, node: Transport, accounts: Accounts, emitted: tuple[str, str]
    ) -> None:
        receipt = send(node, accounts[3], to=emitted[0], value=0, data=word(2), gas=200_000)
        logs = node.request("eth_getLogs", [{"blockHash": receipt["blockHash"]}])
        assert logs == receipt["logs"]
        assert [quantity(log["logIndex"]) for log in logs] == [0, 1]
        assert {log["transactionHash"] for log in logs} == {receipt["transactionHash"]}
        assert {(log["removed"], log["transactionIndex"], log["data"]) for log in logs} == {(False, "0x0", "0x")}


class TestTime:
    def test_time_travel_moves_the_next_block_by_as_much(self, node: Transport) -> None:
        node.request("evm_mine", [])
        before = quantity(latest(node)["timestamp"])
        node.request("evm_increaseTime", [7 * 86_400])
        node.request("evm_mine", [])
        moved = quantity(latest(node)["timestamp"]) - before
        assert 7 * 86_400 <= moved <= 7 * 86_400 + 30

    def test_the_next_timestamp_can_be_set_and_time_goes_on_from_it(self, node: Transport) -> None:
        wanted = quantity(latest(node)["timestamp"]) + 100_000
        node.request("evm_setNextBlockTimestamp", [wanted])
        node.request("evm_mine", [])
        assert quantity(latest(node)["timestamp"]) == wanted
        node.request("evm_mine", [])
        assert 0 <= quantity(latest(node)["timestamp"]) - wanted <= 30
        with pytest.raises(RpcError):
            node.request("evm_setNextBlockTimestamp", [wanted - 1])

    def test_a_pending_call_sees_the_time_of_the_next_block(self, node: Transport) -> None:
        node.request("evm_increaseTime", [3_600])
        seen, _ = environment(node, "pending")
        node.request("evm_mine", [])
        assert 0 <= quantity(latest(node)["timestamp"]) - seen <= 5


class TestSnapshots:
    def test_reverting_undoes_state_blocks_and_nonces(self, node: Transport, accounts: Accounts) -> None:
        payee = Account.create().address
        height = node.request("eth_blockNumber", [])
        used = nonce(node, accounts[5].address)
        snapshot = node.request("evm_snapshot", [])
        receipt = send(node, accounts[5], to=payee)
        assert node.request("evm_revert", [snapshot]) is True
        assert node.request("eth_blockNumber", []) == height
        assert nonce(node, accounts[5].address) == used
        assert node.request("eth_getBalance", [payee, "latest"]) == "0x0"
        assert node.request("eth_getTransactionReceipt", [receipt["transactionHash"]]) is None
        assert node.request("eth_getBlockByHash", [receipt["blockHash"], False]) is None
        # The chain goes on from there.
        assert send(node, accounts[5], to=payee)["status"] == "0x1"

    def test_a_snapshot_is_used_up_with_all_later_ones(self, node: Transport) -> None:
        first = node.request("evm_snapshot", [])
        second = node.request("evm_snapshot", [])
        assert node.request("evm_revert", [first]) is True
        assert node.request("evm_revert", [first]) is False
        assert node.request("evm_revert", [second]) is False


def test_a_balance_that_was_set_can_be_spent(node: Transport) -> None:
    fresh = Account.create()
    node.request("anvil_setBalance", [fresh.address, hex(10**18)])
    assert quantity(node.request("eth_getBalance", [fresh.address, "latest"])) == 10**18
    number = node.request("eth_blockNumber", [])
    assert quantity(node.request("eth_getBalance", [fresh.address, number])) == 10**18
    payer = DevAccount(fresh.address, fresh.key.to_0x_hex())
    assert send(node, payer)["status"] == "0x1"


def test_fee_history_covers_the_blocks_asked_for_and_the_next(node: Transport, accounts: Accounts) -> None:
    send(node, accounts[0])
    send(node, accounts[0], maxPriorityFeePerGas=2 * GWEI)
    history = node.request("eth_feeHistory", ["0x2", "latest", [0, 100]])
    head = latest(node)
    assert quantity(history["oldestBlock"]) == quantity(head["number"]) - 1
    assert len(history["baseFeePerGas"]) == 3
    assert history["baseFeePerGas"][1] == head["baseFeePerGas"]
    assert history["gasUsedRatio"][1] == pytest.approx(21_000 / 30_000_000)
    assert [[quantity(tip) for tip in tips] for tips in history["reward"]] == [[GWEI] * 2, [2 * GWEI] * 2]
    node.request("evm_mine", [])
    assert history["baseFeePerGas"][2] == latest(node)["baseFeePerGas"]


def test_suggested_fees_are_enough_for_the_next_block(node: Transport, accounts: Accounts) -> None:
    price = quantity(node.request("eth_gasPrice", []))
    tip = quantity(node.request("eth_maxPriorityFeePerGas", []))
    assert send(node, accounts[0], maxFeePerGas=max(price, tip), maxPriorityFeePerGas=tip)["status"] == "0x1"
    assert send(node, accounts[0], gasPrice=price)["status"] == "0x1"


def test_reads_can_name_a_block_by_hash(node: Transport, accounts: Accounts) -> None:
    payee = Account.create().address
    receipt = send(node, accounts[0], to=payee, value=9)
    parent = latest(node)["parentHash"]
    assert quantity(node.request("eth_getBalance", [payee, {"blockHash": receipt["blockHash"]}])) == 9
    assert quantity(node.request("eth_getBalance", [payee, {"blockHash": parent}])) == 0
    assert quantity(node.request("eth_getBalance", [payee, {"blockNumber": receipt["blockNumber"]}])) == 9


def test_receipts_of_a_block_are_those_of_its_transactions(node: Transport, accounts: Accounts) -> None:
    receipt = send(node, accounts[0])
    assert node.request("eth_getBlockReceipts", [receipt["blockNumber"]]) == [receipt]


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("eth_unheardOf", [], -32601),
        ("eth_getBalance", [], -32602),
        ("eth_getBalance", ["0x12", "latest"], -32602),
        ("eth_getBalance", ["nonsense", "latest"], -32602),
        ("eth_getTransactionReceipt", ["0x12"], -32602),
        ("eth_getBlockByNumber", ["soon", False], -32602),
        ("eth_sendRawTransaction", ["no hex"], -32602),
    ],
)
def test_malformed_calls_are_refused_with_the_number_of_the_reason(
    node: Transport, method: str, params: list[object], code: int
) -> None:
    with pytest.raises(RpcError) as caught:
        node.request(method, params)
    assert caught.value.rpc_code == code


def test_a_signed_transaction_keeps_its_hash(node: Transport, accounts: Accounts) -> None:
    raw = sign(node, accounts[0])
    recovered = Account.recover_transaction(raw)
    tx_hash = node.request("eth_sendRawTransaction", [raw])
    transaction = node.request("eth_getTransactionByHash", [tx_hash])
    assert (transaction["hash"], transaction["from"]) == (tx_hash, recovered.lower())
