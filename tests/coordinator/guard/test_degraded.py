"""What the guard says when the node cannot tell everything, or not of one chain."""

from __future__ import annotations

from typing import Any

import pytest

from actp.errors import InvalidInput, RpcError, RpcUnavailable
from actp.testing import FaultyTransport, OpStackFees, Preconfirmed, StaleHead, fail, rate_limited
from coordinator.guard import Scope, Sent, Verdict
from coordinator.guard import locating as locating_module
from coordinator.types import ETH
from tests.coordinator.guard.support import World, kinds, verdicts


@pytest.fixture
def faulty(world: World) -> FaultyTransport:
    """The world's node, seen through faults."""
    world.transport = FaultyTransport(world.node)
    world.look()
    return world.transport


def forget_states_before(world: World, faulty: FaultyTransport) -> None:
    """The node has dropped every state but the newest one."""
    newest = world.node.request("eth_getBlockByNumber", ["latest", False])

    def fault(forward: Any, params: list[Any]) -> Any:
        if params[-1] in ({"blockHash": newest["hash"]}, newest["number"], "latest"):
            return forward()
        raise RpcError(-32000, "missing trie node 1234 (path ) state 0x1234 is not available")

    for method in ("eth_getBalance", "eth_call", "eth_getTransactionCount", "eth_getCode"):
        faulty.always(method, fault)


def after_a_downtime(world: World) -> None:
    world.mine(world.pay(10), world.pay_ether(5))
    world.empty(3)
    world.mine(world.approve(world.vault.address, 100))
    world.empty(20)
    world.mine(world.call(world.friend, "transfer", world.us.address, 2))
    world.mine(world.pay(20))
    world.empty()


def test_after_a_downtime_the_span_is_reconciled(world: World, faulty: FaultyTransport) -> None:
    after_a_downtime(world)
    forget_states_before(world, faulty)
    seen = world.look()
    assert verdicts(seen) == ["ok"] * 4
    assert {one.scope for one in seen.verdicts} == {Scope.SPAN}
    assert kinds(seen) == ["received"]


def test_after_a_downtime_nobody_tells_whom_the_first_block_paid(world: World, faulty: FaultyTransport) -> None:
    """The point has our own balances before that block, and nobody has those of others any more."""
    world.mine(world.pay(10))
    forget_states_before(world, faulty)
    seen = world.look()
    assert (verdicts(seen), kinds(seen)) == (["ok"], [])
    assert seen.verdicts[0].scope is Scope.SPAN


def test_a_theft_during_a_downtime_is_a_breach(world: World, faulty: FaultyTransport) -> None:
    after_a_downtime(world)
    world.mine(world.call(world.vault, "transferFrom", world.us.address, world.vault.address, 30))
    world.empty()
    forget_states_before(world, faulty)
    seen = world.look()
    assert verdicts(seen) == ["ok"] * 4
    assert kinds(seen) == ["allowance_changed", "outflow", "received"]


def test_a_key_used_during_a_downtime_is_a_breach(world: World, faulty: FaultyTransport) -> None:
    world.mine(world.sign(world.us, world.thief.address, value=1000))
    after_a_downtime(world)
    forget_states_before(world, faulty)
    seen = world.look()
    assert {one.kind.value for one in seen.breached} >= {"key_used", "unexplained_loss"}


def test_a_hidden_cost_during_a_downtime_is_a_breach(world: World, faulty: FaultyTransport) -> None:
    after_a_downtime(world)
    forget_states_before(world, faulty)
    cheaper_by(faulty, 1)
    seen = world.look()
    assert set(verdicts(seen)) == {"breach"}
    assert kinds(seen) == ["received", "unexplained_loss"]


def cheaper_by(faulty: FaultyTransport, wei: int) -> None:
    """Receipts show less than what an eth transaction cost: so does a chain with a hidden fee."""

    def one(receipt: Any) -> Any:
        return {**receipt, "gasUsed": hex(1), "effectiveGasPrice": hex(fee(receipt) - wei)}

    def fee(receipt: Any) -> int:
        return int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)

    faulty.always("eth_getTransactionReceipt", lambda forward, params: one(forward()))
    faulty.always("eth_getBlockReceipts", lambda forward, params: [one(receipt) for receipt in forward()])


@pytest.mark.parametrize("count", [1, 6])
def test_a_hidden_fee_is_a_breach_to_the_last_wei(world: World, faulty: FaultyTransport, count: int) -> None:
    cheaper_by(faulty, 1)
    world.mine(*(world.pay(1) for _ in range(count)))
    seen = world.look()
    assert (verdicts(seen), kinds(seen)) == (["breach"] * count, ["unexplained_loss"])
    assert (seen.findings[0].asset, seen.findings[0].amount) == (ETH, count)


@pytest.mark.parametrize("count", [1, 6])
def test_a_gift_in_the_same_block_does_not_hide_a_fee(world: World, faulty: FaultyTransport, count: int) -> None:
    cheaper_by(faulty, 10)
    gift = world.sign(world.friend, world.us.address, value=10**6)
    world.mine(*(world.pay(1) for _ in range(count)), gift)
    seen = world.look()
    assert (verdicts(seen), kinds(seen)) == (["breach"] * count, ["received", "unexplained_loss"])


@pytest.mark.parametrize("count", [1, 6])
def test_without_the_l1_fee_nothing_is_ok(world: World, faulty: FaultyTransport, count: int) -> None:
    faulty.show(OpStackFees(1_000, reported=False))
    world.mine(*(world.pay(1) for _ in range(count)))
    seen = world.look()
    assert verdicts(seen) == ["incomplete"] * count
    assert (set(kinds(seen)), seen.breached) == ({"incomplete"}, ())
    assert seen.verdicts[0].receipt["fee"] is None


@pytest.mark.parametrize("as_numbers", [True, False])
def test_the_l1_fee_and_the_operators_are_part_of_the_cost(
    world: World, faulty: FaultyTransport, as_numbers: bool
) -> None:
    faulty.show(OpStackFees(1_000, operator_constant=7, operator_scalar=2, as_numbers=as_numbers))
    world.mine(world.pay(1))
    seen = world.look()
    receipt = seen.verdicts[0].receipt
    assert (receipt["l1_fee"], seen.verdicts[0].verdict) == ("1000", Verdict.OK)
    # This node tells of fees that it does not take: all of them are left over.
    assert kinds(seen) == ["gift"]
    assert seen.findings[0].amount == 1_000 + int(receipt["operator_fee"])


@pytest.mark.parametrize("name", ["gasUsed", "effectiveGasPrice"])
def test_a_receipt_without_its_cost_is_incomplete(world: World, faulty: FaultyTransport, name: str) -> None:
    faulty.always("eth_getTransactionReceipt", lambda forward, params: {**forward(), name: None})
    world.mine(world.pay(1))
    assert verdicts(world.look()) == ["incomplete"]


def test_a_balance_that_a_token_does_not_tell_is_incomplete(world: World, faulty: FaultyTransport) -> None:
    world.mine(world.pay(1))
    faulty.always("eth_call", fail(RpcError(3, "execution reverted", "0x")))
    assert verdicts(world.look()) == ["incomplete"]


def test_a_loss_while_a_token_is_silent_is_found_when_it_speaks_again(world: World, faulty: FaultyTransport) -> None:
    world.mine(world.approve(world.vault.address, 90))
    world.look()
    world.mine(world.pay(1))
    faulty.always("eth_call", fail(RpcError(3, "execution reverted", "0x")))
    assert kinds(world.look()) == ["incomplete"] * 3
    faulty.clear()
    world.mine(world.pay(1))
    assert (verdicts(again := world.look()), kinds(again)) == (["ok"], [])

    faulty.always("eth_call", fail(RpcError(3, "execution reverted", "0x")))
    faulty.always("eth_getLogs", lambda forward, params: [])
    world.mine(world.call(world.vault, "transferFrom", world.us.address, world.vault.address, 30))
    assert kinds(world.look()) == ["incomplete"] * 2
    faulty.clear()
    world.empty()
    assert kinds(world.look()) == ["allowance_changed", "unexplained_loss"]


def test_calls_without_a_state_are_no_answers_of_a_token(world: World, faulty: FaultyTransport) -> None:
    world.mine(world.pay(1))
    faulty.always("eth_call", fail(RpcError(-32000, "header not found")))
    with pytest.raises(RpcUnavailable, match="state"):
        world.look()


def test_without_a_state_for_calls_the_span_is_reconciled(world: World, faulty: FaultyTransport) -> None:
    world.mine(world.pay(1))
    world.empty()
    newest = world.node.request("eth_getBlockByNumber", ["latest", False])["hash"]

    def fault(forward: Any, params: list[Any]) -> Any:
        if params[-1] == {"blockHash": newest}:
            return forward()
        raise RpcError(-32000, "header not found")

    faulty.always("eth_call", fault)
    seen = world.look()
    assert [(one.verdict, one.scope) for one in seen.verdicts] == [(Verdict.OK, Scope.SPAN)]


@pytest.mark.parametrize("method", ["eth_getTransactionReceipt", "eth_getBlockByHash", "eth_getLogs"])
@pytest.mark.parametrize("nonsense", [None, {}, "x", [{}]])
def test_nonsense_is_no_evidence(world: World, faulty: FaultyTransport, method: str, nonsense: Any) -> None:
    world.mine(world.pay(1))
    faulty.always(method, lambda forward, params: nonsense)
    before = world.point
    try:
        assert world.look().point == before
    except RpcUnavailable:
        assert world.point == before
    faulty.clear()
    assert verdicts(world.look()) == ["ok"]


def test_a_rate_limit_in_the_middle_leaves_everything_for_later(world: World, faulty: FaultyTransport) -> None:
    world.mine(world.pay(1))
    faulty.once("eth_getBalance", rate_limited())
    with pytest.raises(RpcUnavailable, match="limits"):
        world.look()
    assert verdicts(world.look()) == ["ok"]


def test_a_node_that_lags_changes_nothing(world: World, faulty: FaultyTransport) -> None:
    world.mine(world.pay(1))
    before = world.look().point
    faulty.show(StaleHead(2))
    seen = world.look()
    assert (seen.point, seen.reorged, seen.verdicts) == (before, False, ())


def test_a_head_older_than_the_point_is_another_node_that_lags(world: World, faulty: FaultyTransport) -> None:
    older = world.node.request("eth_getBlockByNumber", ["latest", False])
    world.mine(world.pay(1))
    before = world.look().point
    faulty.always("eth_getBlockByNumber", lambda forward, params: older if params[0] == "latest" else forward())
    assert world.look().point == before


def test_a_chain_that_changes_while_it_is_read_is_read_again(world: World) -> None:
    faulty = by_number_only(world)
    world.empty()
    world.look()
    snapshot = world.node.request("evm_snapshot", [])
    payment = world.pay(1)
    world.mine(payment)
    before = world.point

    def changing(forward: Any, params: list[Any]) -> Any:
        world.node.request("evm_revert", [snapshot])
        world.mine(world.call(world.friend, "transfer", world.us.address, 5), payment)
        return forward()

    faulty.once("eth_getBalance", changing)
    seen = world.look()
    assert (seen.point, seen.verdicts, seen.findings, seen.reorged) == (before, (), (), False)
    seen = world.look()
    assert (verdicts(seen), kinds(seen)) == (["ok"], ["received"])


def test_headers_of_two_chains_are_no_evidence(world: World, faulty: FaultyTransport) -> None:
    world.empty()
    world.mine(world.pay(1))
    world.empty()
    odd = hex(world.point.block.number + 1)

    def other_chain(forward: Any, params: list[Any]) -> Any:
        return {**forward(), "hash": "0x" + "ab" * 32} if params[0] == odd else forward()

    faulty.always("eth_getBlockByNumber", other_chain)
    before = world.point
    assert world.look().point == before
    faulty.clear()
    assert verdicts(world.look()) == ["ok"]


def test_a_preconfirmed_receipt_waits_for_its_block(world: World, faulty: FaultyTransport) -> None:
    view = Preconfirmed()
    faulty.show(view)
    faulty.request("eth_blockNumber", [])
    world.mine(world.pay(1))
    assert verdicts(world.look()) == []
    view.seal()
    assert verdicts(world.look()) == ["ok"]


def by_number_only(world: World) -> FaultyTransport:
    """The world's node from now on, as one that knows neither states by hash nor receipts by block."""
    faulty = world.transport = FaultyTransport(world.node)

    def refuse(forward: Any, params: list[Any]) -> Any:
        if isinstance(params[-1], dict) and "blockHash" in params[-1]:
            raise RpcError(-32602, "invalid argument: hex string without 0x prefix")
        return forward()

    for method in ("eth_getBalance", "eth_call", "eth_getTransactionCount", "eth_getCode", "eth_getLogs"):
        faulty.always(method, refuse)
    faulty.always("eth_getBlockReceipts", fail(RpcError(-32601, "the method does not exist")))
    return faulty


def test_without_reads_by_hash_and_receipts_of_blocks_nothing_is_lost(world: World) -> None:
    by_number_only(world)
    world.mine(*(world.pay(amount) for amount in range(6)))
    world.mine(world.call(world.friend, "transfer", world.us.address, 2))
    world.mine(world.pay(1))
    seen = world.look()
    assert (verdicts(seen), kinds(seen)) == (["ok"] * 7, ["received"])
    world.mine(world.pay(10, effects=world.moving(9)))
    assert verdicts(world.look()) == ["breach"]


def test_empty_blocks_cost_nothing(world: World, faulty: FaultyTransport) -> None:
    world.mine(world.pay(1))
    world.look()
    costs = []
    for blocks in (20, 120):
        world.mine(world.pay(1))
        world.empty(blocks)
        before = len(faulty.calls), faulty.exchanges
        assert verdicts(world.look()) == ["ok"]
        costs.append((len(faulty.calls) - before[0], faulty.exchanges - before[1]))
    assert costs[0] == costs[1]
    assert costs[0][1] <= 14


def test_much_is_examined_in_parts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locating_module, "MOST_BLOCKS", 2)
    monkeypatch.setattr("coordinator.guard.guard.MOST_BLOCKS", 2)
    for amount in range(5):
        world.mine(world.pay(amount))
        world.empty()
    counts = []
    while True:
        before = world.point
        seen = world.look()
        if seen.point == before:
            break
        assert seen.breached == ()
        counts.append(len(seen.verdicts))
    assert counts == [2, 2, 1]


def test_logs_of_a_long_time_are_read_in_ranges_that_the_node_allows(world: World, faulty: FaultyTransport) -> None:
    world.mine(world.call(world.friend, "transfer", world.us.address, 2))
    world.empty(30)
    world.mine(world.pay(3))
    world.mine(world.call(world.friend, "transfer", world.us.address, 3))
    world.empty(30)

    def short_ranges_only(forward: Any, params: list[Any]) -> Any:
        query = params[0]
        if "fromBlock" in query and int(query["toBlock"], 16) - int(query["fromBlock"], 16) > 6:
            raise RpcError(-32005, "query returned more than 10000 results")
        return forward()

    faulty.always("eth_getLogs", short_ranges_only)
    seen = world.look()
    assert verdicts(seen) == ["ok"]
    assert sum(finding.amount or 0 for finding in seen.findings) == 5
    assert set(kinds(seen)) == {"received"}


def test_a_sender_that_nobody_watches_is_refused(world: World) -> None:
    world.sent.append(Sent(1, world.thief.address, 0, ("0x" + "00" * 32,)))
    world.empty()
    with pytest.raises(InvalidInput, match="not watched"):
        world.look()


def test_a_node_that_answers_once_from_the_next_block_is_no_breach(world: World, faulty: FaultyTransport) -> None:
    world.mine(world.pay(10))
    after = world.node.request("eth_getBalance", [world.us.address, "latest"])
    wrong = iter([hex(int(after, 16) - 21_000)])

    def from_the_next_block(forward: Any, params: list[Any]) -> Any:
        answer = forward()
        return next(wrong, answer) if answer == after else answer

    faulty.always("eth_getBalance", from_the_next_block)
    seen = [world.look(), world.look()]
    assert [kind for one in seen for kind in kinds(one)] == []
    assert [verdict for one in seen for verdict in verdicts(one)] == ["ok"]
    assert next(wrong, None) is None
