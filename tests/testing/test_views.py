"""What a node seems to be, seen with the eyes of the engine."""

from __future__ import annotations

import pytest

from actp.chain import AnvilProcess
from actp.engine import Sender, fees, receipts
from actp.engine.fees import Cost, Fees
from actp.errors import RpcError, WrongChain
from actp.rpc import Transport, chain_id, genesis_hash, require_chain
from actp.signers import LocalSigner
from actp.testing import FaultyTransport, OpStackFees, OtherChain, Preconfirmed, StaleHead, View
from tests.engine.helpers import TOKEN, mint
from tests.testing.support import PAYEE, SEND, PunctualAnvil, hash_of, paid, transfer


def seen_through(node: Transport, *views: View) -> FaultyTransport:
    faulty = FaultyTransport(node)
    faulty.show(*views)
    return faulty


def number(node: Transport) -> int:
    return int(node.request("eth_blockNumber", []), 16)


def send(node: Transport, signer: LocalSigner) -> str:
    return str(node.request(SEND, [transfer(node, signer)]))


class TestAStaleNode:
    def test_knows_neither_new_blocks_nor_their_state_nor_their_receipts(
        self, node: Transport, signer: LocalSigner
    ) -> None:
        send(node, signer)
        before = number(node)
        nonce = node.request("eth_getTransactionCount", [signer.address, "latest"])
        tx_hash = send(node, signer)
        stale = seen_through(node, StaleHead(1))
        assert number(stale) == before
        assert stale.request("eth_getBlockByNumber", ["latest", False])["number"] == hex(before)
        assert stale.request("eth_getBlockByNumber", [hex(before + 1), False]) is None
        for block in ("latest", "pending"):
            assert stale.request("eth_getTransactionCount", [signer.address, block]) == nonce
        assert int(stale.request("eth_getBalance", [PAYEE]), 16) == 1
        assert stale.request("eth_getTransactionReceipt", [tx_hash]) is None
        assert stale.request("eth_getTransactionByHash", [tx_hash])["blockNumber"] is None
        newest = node.request("eth_getBlockByNumber", ["latest", False])["hash"]
        assert stale.request("eth_getBlockByHash", [newest, False]) is None
        with pytest.raises(RpcError, match="header not found"):
            stale.request("eth_call", [{"to": PAYEE}, hex(before + 1)])
        assert fees.suggest(stale).max_fee > 0
        assert int(stale.request("eth_estimateGas", [{"to": PAYEE}]), 16) >= 21_000

    def test_shows_no_logs_of_new_blocks(self, node: Transport, signer: LocalSigner) -> None:
        sender = Sender(node, signer, chain_id=chain_id(node))
        token = sender.send(None, TOKEN.creation_code()).contract_address
        for _ in range(2):
            sender.send(token, mint(signer.address))
        stale, old = seen_through(node, StaleHead(1)), number(node) - 1
        seen = node.request("eth_getLogs", [{"address": token, "fromBlock": hex(old)}])
        assert {log["blockNumber"] for log in seen} == {hex(old), hex(old + 1)}
        for newest in ({}, {"toBlock": "latest"}, {"toBlock": hex(old + 1)}):
            found = stale.request("eth_getLogs", [{"address": token, "fromBlock": hex(old), **newest}])
            assert {log["blockNumber"] for log in found} == {hex(old)}
        assert stale.request("eth_getLogs", [{"address": token, "fromBlock": hex(old + 1)}]) == []

    def test_does_not_claim_more_finality_than_it_has_blocks(self, node: Transport, signer: LocalSigner) -> None:
        send(node, signer)
        stale = seen_through(node, StaleHead(at=0))
        for tag in ("finalized", "safe"):
            assert stale.request("eth_getBlockByNumber", [tag, False])["number"] == "0x0"

    def test_may_stand_still_and_still_pass_bytes_on(self, node: Transport, signer: LocalSigner) -> None:
        at = number(node)
        stale = seen_through(node, StaleHead(at=at))
        for _ in range(2):
            send(node, signer)
            assert number(stale) == at
        raw = transfer(node, signer)
        assert stale.request(SEND, [raw]) == hash_of(raw)
        assert paid(node) == 3


class TestAPreconfirmingNode:
    def test_shows_a_receipt_under_a_hash_that_the_sealed_block_does_not_have(
        self, node: Transport, signer: LocalSigner
    ) -> None:
        view = Preconfirmed()
        client = seen_through(node, view)
        head = number(client)
        tx_hash = str(client.request(SEND, [transfer(node, signer)]))
        early = receipts.fetch(client, tx_hash)
        assert early is not None
        assert early.block_number == head + 1
        assert number(client) == head
        assert client.request("eth_getBlockByNumber", [hex(head + 1), False]) is None
        assert int(client.request("eth_getTransactionCount", [signer.address, "pending"]), 16) == 1 + int(
            client.request("eth_getTransactionCount", [signer.address, "latest"]), 16
        )
        assert receipts.fetch(client, tx_hash) == early
        view.seal()
        sealed = receipts.fetch(client, tx_hash)
        assert sealed is not None
        assert sealed.block_hash != early.block_hash
        block = client.request("eth_getBlockByNumber", [hex(head + 1), False])
        assert (number(client), block["hash"]) == (head + 1, sealed.block_hash)

    def test_seals_with_the_next_block(self, node: Transport, signer: LocalSigner) -> None:
        client = seen_through(node, Preconfirmed())
        head = number(client)
        first, _ = send(client, signer), node.request("evm_mine", [])
        found = receipts.fetch(client, first)
        assert found is not None
        assert found.block_hash == node.request("eth_getBlockByNumber", [hex(head + 1), False])["hash"]

    def test_seals_after_so_many_questions(self, node: Transport, signer: LocalSigner) -> None:
        client = seen_through(node, Preconfirmed(asks=2))
        number(client)
        tx_hash = str(client.request(SEND, [transfer(node, signer)]))
        hashes = [client.request("eth_getTransactionReceipt", [tx_hash])["blockHash"] for _ in range(4)]
        assert hashes[0] == hashes[1] != hashes[2] == hashes[3]
        assert hashes[2] == node.request("eth_getTransactionReceipt", [tx_hash])["blockHash"]

    def test_may_never_seal(self, node: Transport, signer: LocalSigner) -> None:
        client = seen_through(node, Preconfirmed())
        number(client)
        before = node.request("evm_snapshot", [])
        for _ in range(2):
            send(node, signer)
        number(client)
        tx_hash = str(client.request(SEND, [transfer(node, signer)]))
        assert receipts.fetch(client, tx_hash) is not None
        node.request("evm_revert", [before])
        assert receipts.fetch(client, tx_hash) is None
        assert number(client) == number(node)
        again = str(client.request(SEND, [transfer(node, signer)]))
        assert client.request("eth_getBlockByNumber", [hex(number(node)), False]) is None
        assert receipts.fetch(client, again) is not None


class TestAnOpStackChain:
    def test_its_predeploy_prices_a_send_and_its_receipts_tell_the_fees(
        self, node: Transport, signer: LocalSigner
    ) -> None:
        client = seen_through(node, OpStackFees(1_000, operator_scalar=2, operator_constant=5))
        cost = fees.total_cost(client, Fees(10, 1, 4), 2**16, b"")
        assert cost == Cost(execution=10 * 2**16, l1_data=1_500, operator=2**16 * 200 + 5)
        receipt = receipts.fetch(client, send(client, signer))
        assert receipt is not None
        assert (receipt.l1_fee, receipt.operator_fee) == (1_000, receipt.gas_used * 200 + 5)

    @pytest.mark.parametrize(("as_numbers", "kind"), [(False, str), (True, int)])
    def test_receipts_tell_it_in_both_spellings(
        self, node: Transport, signer: LocalSigner, as_numbers: bool, kind: type
    ) -> None:
        client = seen_through(node, OpStackFees(1_000, as_numbers=as_numbers))
        tx_hash = send(client, signer)
        raw = client.request("eth_getTransactionReceipt", [tx_hash])
        assert type(raw["l1Fee"]) is kind
        parsed = receipts.parse(raw)
        assert (parsed.l1_fee, parsed.operator_fee) == (1_000, 0)

    def test_receipts_may_leave_the_fees_out(self, node: Transport, signer: LocalSigner) -> None:
        receipt = receipts.fetch(client := seen_through(node, OpStackFees(9, reported=False)), send(client, signer))
        assert receipt is not None
        assert (receipt.l1_fee, receipt.operator_fee) == (None, None)

    @pytest.mark.anvil
    def test_block_receipts_tell_them_too(self, anvil: AnvilProcess, signer: LocalSigner) -> None:
        client = seen_through(PunctualAnvil(anvil), OpStackFees(7))
        send(client, signer)
        assert [one["l1Fee"] for one in client.request("eth_getBlockReceipts", ["latest"])] == ["0x7"]


class TestAnotherChain:
    def test_its_id_is_noticed(self, node: Transport) -> None:
        with pytest.raises(WrongChain):
            require_chain(seen_through(node, OtherChain(8453)), chain_id(node))

    def test_its_first_block_tells_a_restarted_chain_from_the_old_one(self, node: Transport) -> None:
        other = seen_through(node, OtherChain(genesis="0x" + "11" * 32))
        assert chain_id(other) == chain_id(node)
        assert genesis_hash(other, chain_id(node)) == "0x" + "11" * 32


def test_views_can_be_put_in_front_of_another(node: Transport, signer: LocalSigner) -> None:
    client = seen_through(node, StaleHead(1), OpStackFees(7))
    first = send(node, signer)
    assert client.request("eth_getTransactionReceipt", [first]) is None
    node.request("evm_mine", [])
    assert client.request("eth_getTransactionReceipt", [first])["l1Fee"] == "0x7"
