"""The fees on top of gas, and the caps, through a sender; and the predeploy's answers in all their shapes."""

import gc
import hashlib
import weakref

import pytest

from actp.engine import Sender, fees
from actp.engine.fees import Cost, FeePolicy, Fees
from actp.engine.intents import Intent
from actp.engine.opstack import ORACLE, Oracle, oracle_for
from actp.engine.store.schema import IntentStatus
from actp.errors import FeeTooHigh, InsufficientFunds, RpcError, RpcUnavailable
from actp.rpc import HttpTransport
from actp.signers import LocalSigner
from actp.testing import FakeClock, FaultyTransport
from actp.types import EthTransaction
from actp.units import keccak
from tests.engine.helpers import SEND, answers, mint, raises
from tests.engine.worker_support import Bench, paid

OFFER = Fees(max_fee=1_000, tip=10, base_fee=495)
MULTIPLIES = "0x6004355f54025f5260205ff3"
"""Code that returns, for whatever function, its argument times what slot 0 holds."""
REFUSED = RpcError(3, "execution reverted", "0x")


def selector(signature):
    return keccak(signature.encode())[:4].hex()


BOUND, EXACT, OPERATOR = map(
    selector, ("getL1FeeUpperBound(uint256)", "getL1Fee(bytes)", "getOperatorFee(uint256)")
)  # fmt: skip


class OpNode:
    """A node of an OP-stack chain as far as its fee oracle goes: a function per selector, else it reverts."""

    label = "node"

    def __init__(self, **functions):
        self.functions = functions
        self.code = "0x60"
        self.client = "Geth/v1"
        self.calls = []

    def request(self, method, params):
        self.calls.append(method)
        if method == "eth_getCode":
            return self.code
        if method == "web3_clientVersion":
            return self.client
        assert method == "eth_call"
        assert params[0]["to"] == ORACLE
        data = bytes.fromhex(params[0]["data"][2:])
        names = {BOUND: "bound", EXACT: "exact", OPERATOR: "operator"}
        function = self.functions.get(names[data[:4].hex()])
        if function is None:
            raise REFUSED
        answer = function(data[4:])
        return answer if isinstance(answer, str) else "0x" + answer.to_bytes(32, "big").hex()


def number(arguments):
    return int.from_bytes(arguments, "big")


def test_the_cost_has_three_parts_on_an_op_stack_chain():
    node = OpNode(bound=lambda a: 10 * number(a), operator=lambda a: 5 * number(a) + 1)
    cost = fees.total_cost(node, OFFER, 2**16, bytes(256))
    assert cost == Cost(execution=2**16 * 1_000, l1_data=10 * 256 * 3 // 2, operator=5 * 2**16 + 1)
    assert cost.total == cost.execution + cost.l1_data + cost.operator


def test_a_chain_without_the_predeploy_charges_gas_only():
    node = OpNode()
    node.code = "0x"
    assert fees.total_cost(node, OFFER, 21_000, bytes(100), chain_id=1) == Cost(21_000_000, 0, 0)


def test_what_is_rounded_is_rounded_up():
    node = OpNode(bound=lambda a: number(a), operator=lambda a: number(a))
    cost = fees.total_cost(node, OFFER, 2**16 + 1, bytes(257))
    assert (cost.l1_data, cost.operator) == (512 * 3 // 2, 2**17)


def test_a_chain_from_before_fjord_prices_the_very_bytes():
    raw = bytes(range(1, 101))
    seen = []

    def exact(arguments):
        size = number(arguments[32:64])
        seen.append(arguments[64 : 64 + size])
        assert (number(arguments[:32]), len(arguments) % 32) == (32, 0)
        return 77

    assert fees.total_cost(OpNode(exact=exact), OFFER, 1, raw) == Cost(1_000, 116, 0)
    assert seen == [raw]


def test_an_oracle_that_tells_no_l1_fee_stops_the_send_instead_of_counting_zero():
    with pytest.raises(RpcError, match="L1 data fee"):
        fees.total_cost(OpNode(operator=number), OFFER, 1, b"")


@pytest.mark.parametrize("answer", ["0x", "0x01", None, "0x" + "00" * 33])
def test_an_answer_that_is_no_number_stops_the_send(answer):
    node = OpNode()
    node.request = lambda method, params: "0x60" if method == "eth_getCode" else answer
    with pytest.raises(RpcError, match="not a number"):
        fees.total_cost(node, OFFER, 1, b"")


def test_trouble_with_the_node_is_not_taken_for_a_missing_function():
    def busy(arguments):
        raise RpcError(-32016, "over rate limit")

    with pytest.raises(RpcError, match="rate limit"):
        fees.total_cost(OpNode(bound=number, operator=busy), OFFER, 1, b"")


def test_a_node_of_base_that_hides_the_predeploy_is_noticed_but_a_development_node_is_believed():
    node = OpNode()
    node.code = "0x"
    with pytest.raises(RpcUnavailable, match="chain 8453"):
        fees.total_cost(node, OFFER, 1, b"", chain_id=8453)
    node.client = "anvil/v1.7.1"
    assert fees.total_cost(node, OFFER, 1, b"", chain_id=8453) == Cost(1_000, 0, 0)


def test_answers_are_kept_for_some_seconds_and_then_asked_for_again():
    clock = FakeClock()
    prices = [1]
    node = OpNode(bound=lambda a: prices[0] * number(a))
    oracle = Oracle(clock=clock.monotonic)
    assert oracle.present(node)
    assert oracle.l1_fee(node, bytes(10)) == 384
    prices[0] = 2
    assert oracle.l1_fee(node, bytes(200)) == 384
    assert node.calls == ["eth_getCode", "eth_call"]
    clock.advance(13)
    assert oracle.l1_fee(node, bytes(10)) == 768
    clock.advance(60)
    node.code = "0x"
    assert not oracle.present(node)


def test_one_transport_has_one_oracle_and_is_not_kept_alive_by_it():
    node = OpNode(bound=number, operator=number)
    assert oracle_for(node) is oracle_for(node)
    assert oracle_for(node) is not oracle_for(OpNode())
    fees.total_cost(node, OFFER, 1, b"")
    gone = weakref.ref(node)
    del node
    gc.collect()
    assert gone() is None


FEE_SCALED = 7_000_000_000_000
"""What a chain's parameters make of the prices of L1, in the oracle's unit."""


def fjord(compressed):
    """L1 data fee for a compressed length: the linear model of the Fjord specification, in wei."""
    return max(836_500 * compressed - 42_585_600, 100_000_000) * FEE_SCALED // 10**12


def upper_bound(arguments):
    """getL1FeeUpperBound as the predeploy answers it."""
    size = number(arguments) + 68
    return fjord(size + size // 255 + 16)


@pytest.mark.parametrize("length", [0, 4, 100, 1_000, 3_500, 10_000, 40_000, 100_000, 131_072])
def test_the_l1_fee_of_a_stand_in_covers_the_signed_bytes_whatever_they_are(accounts, length):
    """Of bytes without a pattern FastLZ makes a byte more for every 32, of all others less. Half as much again must
    stay for L1 prices that rise.
    """
    most = 2**96 - 1
    data = hashlib.shake_256(b"no pattern").digest(length)
    fields = EthTransaction(8453, 2**40, "0x" + "05" * 20, 2**96, data, 2**24, most, most)
    signed = LocalSigner(accounts[0].private_key).sign_transaction(fields)
    worst = len(signed) + -(-len(signed) // 32)
    node = OpNode(bound=upper_bound, operator=number)
    for raw in (fees.stand_in(data), signed):
        assert fees.total_cost(node, OFFER, 1, raw).l1_data >= fjord(worst) * 3 // 2


# -------------------------------------------------------------------- through a sender


def priced_by_size(chain):
    """A node of an OP-stack chain, which charges a gwei per byte of the whole."""
    node = FaultyTransport(chain)

    def charged(go_on, params):
        data = bytes.fromhex(params[0].get("data", "0x")[2:])
        if params[0].get("to") != ORACLE:
            return go_on()
        fee = 10**9 * number(data[4:]) if data[:4].hex() == BOUND else 0
        return "0x" + fee.to_bytes(32, "big").hex()

    node.always("eth_call", charged)
    node.always("eth_getCode", lambda go_on, params: "0x60" if params[0] == ORACLE else go_on())
    return node


def test_the_very_bytes_are_held_against_the_cap_before_they_are_stored(chain, accounts, file_store, monkeypatch):
    """Whatever was assumed before they were there."""
    node = priced_by_size(chain)
    monkeypatch.setattr(fees, "stand_in", lambda data: b"")
    data = bytes(range(1, 256)) * 4
    least = fees.total_cost(node, fees.suggest(node), 200_000, bytes(256)).total
    sender = Sender(
        node, LocalSigner(accounts[0].private_key), chain_id=31337, store=file_store,
        fee_policy=FeePolicy(max_total_wei=least),
    )  # fmt: skip
    with pytest.raises(FeeTooHigh) as caught:
        sender.send("0x" + "05" * 20, data, gas=200_000, idempotency_key="dear")
    assert caught.value.asked > least
    assert node.count(SEND) == 0
    with file_store.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM attempts").scalar() == 0
    assert sender.send("0x" + "05" * 20, gas=21_000).succeeded


def test_bytes_above_the_cap_wait_in_the_queue_and_stop_no_other(chain, accounts, file_store, monkeypatch):
    node = priced_by_size(chain)
    monkeypatch.setattr(fees, "stand_in", lambda data: b"")
    bench = Bench(node, file_store, accounts[0].private_key)
    least = fees.total_cost(node, fees.suggest(node), 200_000, bytes(256)).total
    bench.worker._pricing.policy = FeePolicy(max_total_wei=least)
    bench.box.submit(Intent("0x" + "05" * 20, bytes(range(1, 256)) * 4, 0, 200_000), "dear")
    bench.enqueue(2, gas=21_000)
    bench.worker.step()
    assert paid(chain) == [0, 1]
    dear = bench.box.find("dear")
    assert (dear.status, dear.code, dear.tries) == (IntentStatus.QUEUED, "fee_too_high", 0)


def test_off_op_stack_chains_the_cap_costs_no_question(chain, accounts, file_store):
    node = FaultyTransport(chain)
    sender = Sender(node, LocalSigner(accounts[0].private_key), chain_id=31337, store=file_store)
    sender.send("0x" + "05" * 20, value=1)
    asked = node.count("eth_getCode"), node.count("eth_call")
    sender.send("0x" + "05" * 20, value=1)
    assert (node.count("eth_getCode"), node.count("eth_call")) == asked == (1, 0)


def capped(transport, accounts, **caps):
    return Sender(transport, LocalSigner(accounts[0].private_key), chain_id=31337, fee_policy=FeePolicy(**caps))


def test_a_fee_above_the_cap_sends_nothing(faulty, accounts, token):
    sender = capped(faulty, accounts, max_fee_per_gas=1_000)
    with pytest.raises(FeeTooHigh, match="gwei per gas") as caught:
        sender.send(token, mint(sender.address))
    assert caught.value.outcome == "not_sent"
    assert faulty.count(SEND) == 0


def test_a_cost_above_the_cap_sends_nothing(faulty, accounts, token):
    sender = capped(faulty, accounts, max_total_wei=10**12)
    with pytest.raises(FeeTooHigh, match=r"cap is 0\.000001 ETH"):
        sender.send(token, mint(sender.address))
    assert faulty.count(SEND) == 0


def test_a_lying_fee_history_cannot_empty_the_account(faulty, accounts, token, sender):
    faulty.once("eth_feeHistory", answers({"baseFeePerGas": [hex(10**15)], "reward": []}))
    with pytest.raises(FeeTooHigh):
        sender.send(token, mint(sender.address))
    assert faulty.count(SEND) == 0


def test_the_environment_caps_a_sender(monkeypatch, faulty, accounts, token):
    monkeypatch.setenv(fees.MAX_COST_VARIABLE, "0.000001")
    sender = Sender(faulty, LocalSigner(accounts[0].private_key), chain_id=31337)
    with pytest.raises(FeeTooHigh, match=r"cap is 0\.000001 ETH"):
        sender.send(token, mint(sender.address))


@pytest.mark.slow
def test_further_signatures_stay_below_the_cap(faulty, accounts, token):
    offered = capped(faulty, accounts).fees()
    cap = offered.max_fee * 5 // 4
    sender = capped(faulty, accounts, max_fee_per_gas=cap)
    faulty.once(SEND, *[raises(RpcError(-32000, "transaction underpriced"))] * 2)
    signed = []
    assert sender.send(token, mint(sender.address), before_broadcast=signed.append).succeeded
    assert [one.fields.max_fee_per_gas for one in signed] == [offered.max_fee, cap]


@pytest.mark.anvil
def test_the_ether_for_the_l1_data_fee_is_demanded_before_anything_is_sent(anvil, accounts):
    """The predeploy is a contract of ours here: it returns what its first slot holds times the argument."""
    node = HttpTransport(anvil.url)
    node.request("anvil_setCode", [ORACLE, MULTIPLIES])
    node.request("anvil_setStorageAt", [ORACLE, "0x0", "0x" + (10**18).to_bytes(32, "big").hex()])
    policy = FeePolicy(max_total_wei=10**30)
    sender = Sender(node, LocalSigner(accounts[6].private_key), chain_id=84532, fee_policy=policy)
    before = node.request("eth_getTransactionCount", [sender.address, "latest"])
    with pytest.raises(InsufficientFunds) as caught:
        sender.send("0x" + "05" * 20, value=1)
    assert caught.value.needs > 256 * 10**18
    assert node.request("eth_getTransactionCount", [sender.address, "latest"]) == before
