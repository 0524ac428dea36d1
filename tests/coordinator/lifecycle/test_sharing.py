"""Engine and guard read each block's receipts once between them, and whoever reads twice asks the node twice."""

from __future__ import annotations

import pytest

from actp.chain import EmbeddedChain
from actp.rpc import Transport
from actp.testing import FaultyTransport
from coordinator.lifecycle import Request
from coordinator.lifecycle.sharing import SharedBlocks
from coordinator.types import Stage
from tests.coordinator.lifecycle.support import PAYEE

RECEIPTS = "eth_getBlockReceipts"
MANY = 25
"""From so many on the engine reads whole blocks."""


@pytest.fixture
def block(chain: EmbeddedChain) -> dict[str, str]:
    """A block with an eth transaction in it."""
    chain.request("eth_sendTransaction", [{"from": chain.request("eth_accounts", [])[0], "to": PAYEE, "value": "0x1"}])
    found = chain.request("eth_getBlockByNumber", ["latest", False])
    assert isinstance(found, dict)
    return found


def test_what_one_end_has_read_the_other_one_gets_once(faulty: FaultyTransport, block: dict[str, str]) -> None:
    ends: tuple[Transport, Transport] = SharedBlocks.pair(faulty)
    for reader, follower in (ends, reversed(ends)):
        before = faulty.count(RECEIPTS)
        first = reader.request(RECEIPTS, [block["number"]])
        assert follower.request(RECEIPTS, [block["hash"]]) == first
        assert faulty.count(RECEIPTS) == before + 1
        follower.request(RECEIPTS, [block["hash"]])
        assert faulty.count(RECEIPTS) == before + 2, "who reads again is told by the node"
        reader.request(RECEIPTS, [block["hash"]])  # takes what the follower has just left


def test_a_batch_asks_for_what_is_missing_and_keeps_its_order(faulty: FaultyTransport, block: dict[str, str]) -> None:
    one, other = SharedBlocks.pair(faulty)
    calls = [("eth_blockNumber", []), (RECEIPTS, [block["hash"]]), ("eth_chainId", [])]
    plain = faulty.batch(calls)
    before = len(faulty.calls)
    assert one.batch(calls) == plain
    assert other.batch(calls) == plain
    assert faulty.calls[before:].count(RECEIPTS) == 1
    assert len(faulty.calls) == before + 5


def test_many_payments_in_a_block_cost_one_answer_with_its_receipts_and_none_with_its_bodies(house) -> None:
    lifecycle = house.lifecycle()
    lifecycle.step()
    requests = [Request("transfer_eth", {"to": PAYEE, "amount": "3"}, "ann", f"key-{index}") for index in range(MANY)]
    made = lifecycle.submit_all(requests)
    house.chain.request("evm_setAutomine", [False])
    for _ in range(4):
        lifecycle.step()
    house.chain.request("evm_mine", [])
    house.chain.request("evm_setAutomine", [True])
    before = {method: house.node.count(method) for method in (RECEIPTS, "eth_getBlockByHash")}
    for _ in range(4):
        lifecycle.step()
    assert {lifecycle.find(one.id).stage for one in made} == {Stage.CONFIRMED}
    assert [house.node.count(method) - count for method, count in before.items()] == [1, 0]
    assert {one.verdict for one in house.verdicts(lifecycle)} == {"ok"}
    assert house.findings(lifecycle) == []
