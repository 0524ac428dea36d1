"""JSON-RPC batches: one exchange, answers in order, errors as values."""

import json

import pytest

from actp.chain import EmbeddedChain
from actp.chain.server import ChainServer
from actp.engine.replies import Reply, classify
from actp.errors import RpcError, RpcUnavailable
from actp.rpc import HttpTransport, is_rate_limit
from tests.unit.test_rpc import SECRET, ScriptedNode

CALLS = [("eth_chainId", []), ("eth_blockNumber", []), ("eth_call", [])]
SENDS = [("eth_sendRawTransaction", ["0x01"]), ("eth_sendRawTransaction", ["0x02"])]


def answered(answer, calls=CALLS, **options):
    with ScriptedNode(answer) as node:
        return HttpTransport(node.url, **options).batch(calls)


def part(call, result):
    return {"jsonrpc": "2.0", "id": call["id"], "result": result}


def refused(call, code, message):
    return {"jsonrpc": "2.0", "id": call["id"], "error": {"code": code, "message": message}}


def test_answers_come_in_the_order_of_the_calls_whatever_order_the_node_chooses():
    def backwards(body):
        return 200, json.dumps([part(call, call["method"]) for call in reversed(body)])

    assert answered(backwards) == [method for method, _ in CALLS]


def test_a_batch_is_one_exchange_and_none_without_calls():
    seen = []

    def count(body):
        seen.append(body)
        return 200, json.dumps([part(call, "0x1") for call in body])

    with ScriptedNode(count) as node:
        transport = HttpTransport(node.url)
        assert transport.batch([]) == []
        transport.batch(CALLS * 40)
    assert [len(body) for body in seen] == [120]


def test_an_error_of_one_call_is_its_value_and_spoils_no_other():
    def mixed(body):
        return 200, json.dumps([part(body[0], "0x1"), refused(body[1], -32000, f"no {SECRET}"), part(body[2], None)])

    first, second, third = answered(mixed)
    assert (first, third) == ("0x1", None)
    assert isinstance(second, RpcError)
    assert (second.rpc_code, second.message) == (-32000, "no ***")


def test_the_first_of_two_answers_for_one_call_counts():
    def twice(body):
        return 200, json.dumps([part(call, text) for text in ("first", "second") for call in body])

    assert answered(twice) == ["first"] * 3


def test_a_send_that_is_left_out_of_the_answer_may_have_been_taken():
    first, second = answered(lambda body: (200, json.dumps([part(body[1], "0x2")])), SENDS)
    assert second == "0x2"
    assert isinstance(first, RpcError)
    assert classify(first) is Reply.UNKNOWN


def test_a_rate_limit_for_the_whole_batch_is_the_answer_to_each_call():
    def limited(body):
        return 200, json.dumps({"jsonrpc": "2.0", "id": None, "error": {"code": -32016, "message": "over rate limit"}})

    answers = answered(limited, SENDS)
    assert [is_rate_limit(answer) for answer in answers] == [True, True]
    assert [classify(answer) for answer in answers] == [Reply.RATE_LIMITED] * 2


@pytest.mark.parametrize("text", ["[]", "5", "{}", '"x"', '[{"id": 10000, "result": "0x1"}]', "[7, null]"])
def test_an_answer_to_nothing_that_was_asked_is_no_answer(text):
    for calls, outcome in ((CALLS, "none"), (SENDS, "unknown")):
        with pytest.raises(RpcUnavailable) as caught:
            answered(lambda body: (200, text), calls)
        assert caught.value.outcome == outcome


def test_a_gateway_that_fails_leaves_the_whole_batch_of_sends_open():
    def fails(body):
        return 503, json.dumps([refused(call, -32000, "nonce too low") for call in body])

    with pytest.raises(RpcUnavailable) as caught:
        answered(fails, SENDS)
    assert caught.value.outcome == "unknown"
    assert all(isinstance(answer, RpcError) for answer in answered(fails, CALLS))


def test_the_chain_in_this_process_answers_as_the_served_one():
    chain = EmbeddedChain()
    calls = [("eth_chainId", []), ("eth_nonsense", []), ("eth_getBlockByNumber", ["0x0", False])]
    with ChainServer(chain) as server:
        served = HttpTransport(server.url).batch(calls)
    inside = chain.batch(calls)
    assert inside[0] == served[0] == "0x7a69"
    assert isinstance(inside[1], RpcError)
    assert inside[1].rpc_code == served[1].rpc_code == -32601
    assert inside[2]["hash"] == served[2]["hash"]


@pytest.mark.anvil
def test_anvil_answers_a_batch(anvil):
    number, nonsense = anvil.batch([("eth_blockNumber", []), ("eth_nonsense", [])])
    assert int(number, 16) >= 0
    assert isinstance(nonsense, RpcError)
