"""Signed eth transactions over a pool: to all healthy endpoints, and what several answers prove together."""

from __future__ import annotations

import itertools
import socket
import threading
import time

import pytest

from actp.engine.replies import Reply, classify
from actp.errors import RpcError, RpcUnavailable
from actp.pool import Pool, merging
from actp.rpc import HttpTransport
from tests.unit.pool_nodes import CHAIN, LIMIT, Node, nodes, tx_hash_of

SEND = "eth_sendRawTransaction"
DEAD = 502

REFUSALS = {
    Reply.NONCE_USED: "nonce too low",
    Reply.NONCE_WAITING: "replacement transaction underpriced",
    Reply.UNDERPRICED: "transaction underpriced",
    Reply.NONCE_AHEAD: "nonce too high",
    Reply.NO_FUNDS: "insufficient funds for gas * price + value",
    Reply.REJECTED: "intrinsic gas too low",
    Reply.UNKNOWN: "something that no rule knows",
}
BY_WEIGHT = [
    Reply.NONCE_USED,
    Reply.NONCE_WAITING,
    Reply.UNDERPRICED,
    Reply.NONCE_AHEAD,
    Reply.RATE_LIMITED,
    Reply.NO_FUNDS,
    Reply.REJECTED,
]


def says(reply):
    return {"code": -32000, "message": REFUSALS[reply]} if reply in REFUSALS else LIMIT


def pool_of(*found):
    pool = Pool([node.transport for node in found], chain_id=CHAIN)
    pool.probe()
    return pool


def scores(pool):
    return [one.score for one in pool.endpoints()]


def refused(pool, raw="0x5"):
    with pytest.raises((RpcError, RpcUnavailable)) as caught:
        pool.request(SEND, [raw])
    return classify(caught.value)


def fates(pool, *raws):
    """What a batch of sends says of each, none of which was accepted."""
    try:
        return [classify(answer) for answer in pool.batch([(SEND, [raw]) for raw in raws])]
    except RpcUnavailable as error:
        return [classify(error)] * len(raws)


def wait_for(condition):
    until = time.monotonic() + 5
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    assert condition()


def test_the_bytes_go_to_every_healthy_endpoint():
    with nodes(Node(), Node(), Node()) as found:
        pool = pool_of(*found)
        assert pool.request(SEND, ["0x5"]) == tx_hash_of("0x5")
        wait_for(lambda: [node.taken for node in found] == [["0x5"]] * 3)


@pytest.mark.slow
def test_one_that_accepts_is_enough_and_is_not_kept_waiting_by_one_that_hangs():
    with nodes(Node(), Node()) as (slow, quick):
        pool = pool_of(slow, quick)
        slow.hold = threading.Event()
        begun = time.monotonic()
        assert pool.request(SEND, ["0x5"]) == tx_hash_of("0x5")
        assert time.monotonic() - begun < 2
        slow.hold.set()
        wait_for(lambda: slow.taken == ["0x5"])


@pytest.mark.parametrize("refusal", [*REFUSALS, Reply.RATE_LIMITED], ids=lambda reply: reply.name)
def test_accepted_by_any_is_accepted(refusal):
    with nodes(Node(), Node()) as (one, two):
        pool = pool_of(one, two)
        one.answers[SEND] = says(refusal)
        assert pool.request(SEND, ["0x5"]) == tx_hash_of("0x5")


def test_already_known_by_one_is_accepted_whatever_the_others_say():
    with nodes(Node(), Node()) as (one, two):
        pool = pool_of(one, two)
        one.answers[SEND] = says(Reply.NONCE_USED)
        two.answers[SEND] = {"code": -32000, "message": "already known"}
        assert refused(pool) is Reply.ACCEPTED


@pytest.mark.parametrize("refusal", [*REFUSALS, Reply.RATE_LIMITED], ids=lambda reply: reply.name)
@pytest.mark.parametrize("lost", ["no json", "unknown words"])
@pytest.mark.slow
def test_a_refusal_proves_nothing_if_another_endpoint_may_have_taken_the_bytes(refusal, lost):
    with nodes(Node(), Node()) as (one, two):
        pool = pool_of(one, two)
        pool.batch([(SEND, ["0x1"]), (SEND, ["0x2"])])
        one.answers[SEND] = says(refusal)
        if lost == "no json":
            two.status = DEAD
        else:
            two.answers[SEND] = says(Reply.UNKNOWN)
        assert refused(pool) is Reply.UNKNOWN
        assert fates(pool, "0x5", "0x6") == [Reply.UNKNOWN] * 2


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(BY_WEIGHT, 2)))
def test_of_two_refusals_the_one_that_says_more_counts(one, other):
    answers = [RpcError(says(reply)["code"], says(reply)["message"]) for reply in (one, other)]
    gone = RpcUnavailable("no connection", outcome="not_sent")
    assert classify(merging.merged([*answers, gone])) is one
    assert classify(merging.merged([gone, *reversed(answers)])) is one


def test_an_endpoint_that_cannot_be_reached_proves_nothing_against_a_refusal():
    with nodes(Node(), Node()) as (one, two):
        pool = pool_of(one, two)
        one.answers[SEND] = says(Reply.NO_FUNDS)
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        pool._members._all[1].transport = HttpTransport(url)
        assert refused(pool) is Reply.NO_FUNDS
        assert fates(pool, "0x5", "0x6") == [Reply.NO_FUNDS] * 2


def test_program_errors_of_sends_lower_no_score_and_failures_do():
    with nodes(Node(), Node(), Node()) as (refuses, limited, dead):
        pool = pool_of(refuses, limited, dead)
        refuses.answers[SEND] = says(Reply.NONCE_USED)
        limited.answers[SEND] = LIMIT
        dead.answers[SEND] = None
        dead.status = DEAD
        refused(pool)
        assert scores(pool) == [100, 80, 80]


def test_an_endpoint_with_score_zero_gets_no_more_sends_and_delays_none():
    with nodes(Node(), Node()) as (good, bad):
        pool = pool_of(good, bad)
        good.answers[SEND] = says(Reply.NONCE_AHEAD)
        bad.status = DEAD
        for _ in range(5):
            assert refused(pool) is Reply.UNKNOWN
        assert scores(pool) == [100, 0]
        bad.forget_calls()
        assert refused(pool) is Reply.NONCE_AHEAD
        assert bad.calls == []


def test_a_batch_of_sends_is_one_exchange_per_endpoint_and_merged_call_by_call():
    with nodes(Node(), Node()) as (one, two):
        pool = pool_of(one, two)
        pool.batch([("eth_chainId", []), ("eth_blockNumber", [])])
        pool.batch([(SEND, ["0x1"]), (SEND, ["0x2"])])
        wait_for(lambda: one.taken == two.taken == ["0x1", "0x2"])
        one.forget_calls()
        two.forget_calls()
        raws = [f"0x{number:x}" for number in range(10, 40)]
        assert pool.batch([(SEND, [raw]) for raw in raws]) == [tx_hash_of(raw) for raw in raws]
        wait_for(lambda: two.taken[2:] == one.taken[2:] == raws)
        assert (one.exchanges, two.exchanges) == (1, 1)


def test_a_send_in_a_batch_that_every_endpoint_refuses_is_refused_and_spoils_no_other():
    with nodes(Node(), Node()) as found:
        pool = pool_of(*found)
        for node in found:
            real = node._answer
            node._answer = lambda method, params, real=real: (
                {"error": says(Reply.NONCE_USED)} if params == ["0x66"] else real(method, params)
            )
        first, second, number = pool.batch([(SEND, ["0x5"]), (SEND, ["0x66"]), ("eth_blockNumber", [])])
        assert first == tx_hash_of("0x5")
        assert classify(second) is Reply.NONCE_USED
        assert number == hex(100)


def test_sends_one_by_one_keep_what_was_taken_before_the_connection_was_lost():
    """Without batches, a later call's failure must not be the answer to an earlier one that was taken."""
    with nodes(Node()) as (node,):
        node.batches = False
        pool = pool_of(node)
        real = node._answer

        def dies(method, params):
            if params == ["0x6"]:
                node.status = DEAD
            return real(method, params)

        node._answer = dies
        answers = pool.batch([(SEND, ["0x5"]), (SEND, ["0x6"]), (SEND, ["0x7"])])
        assert answers[:2] == [tx_hash_of("0x5"), tx_hash_of("0x6")]
        assert classify(answers[2]) is Reply.UNKNOWN


def test_a_batch_of_sends_that_nobody_answers_is_open_and_one_that_nobody_got_is_not_sent():
    with nodes(Node(), Node()) as (one, two):
        pool = pool_of(one, two)
        pool.batch([(SEND, ["0x1"]), (SEND, ["0x2"])])
        one.status = two.status = DEAD
        with pytest.raises(RpcUnavailable) as caught:
            pool.batch([(SEND, ["0x3"]), (SEND, ["0x4"])])
        assert caught.value.outcome == "unknown"
        one.status = two.status = 429
        with pytest.raises(RpcUnavailable) as caught:
            pool.batch([(SEND, ["0x3"]), (SEND, ["0x4"])])
        assert (caught.value.outcome, caught.value.code) == ("not_sent", "rate_limited")


def test_reads_that_fail_beside_sends_do_not_hide_what_became_of_the_sends():
    with nodes(Node()) as (node,):
        pool = pool_of(node)
        pool.batch([(SEND, ["0x1"]), ("eth_chainId", [])])
        node.answers["eth_getBalance"] = LIMIT
        sent, balance = pool.batch([(SEND, ["0x2"]), ("eth_getBalance", ["0x", "latest"])])
        assert sent == tx_hash_of("0x2")
        assert balance.rpc_code == -32016


def test_an_endpoint_that_dies_after_the_sends_of_a_batch_takes_no_answer_with_it():
    with nodes(Node()) as (node,):
        pool = pool_of(node)
        real = node._answer

        def dies(method, params):
            node.status = DEAD if method == SEND else node.status
            return real(method, params)

        node._answer = dies
        sent, balance = pool.batch([(SEND, ["0x2"]), ("eth_getBalance", ["0x", "latest"])])
        assert sent == tx_hash_of("0x2")
        assert isinstance(balance, RpcError)
        assert balance.retryable


def test_a_busy_gateway_leaves_a_refused_send_of_a_batch_to_be_tried_again():
    with nodes(Node(), Node()) as (one, busy):
        pool = pool_of(one, busy)
        pool.batch([(SEND, ["0x1"]), (SEND, ["0x2"])])
        wait_for(lambda: busy.taken == ["0x1", "0x2"])
        real = one._answer
        one._answer = lambda method, params: (
            {"error": says(Reply.REJECTED)} if params == ["0x66"] else real(method, params)
        )
        busy.status = 429
        first, second = pool.batch([(SEND, ["0x5"]), (SEND, ["0x66"])])
        assert first == tx_hash_of("0x5")
        assert classify(second) is Reply.RATE_LIMITED


def test_what_a_nodes_own_account_sends_goes_to_one_endpoint_once():
    with nodes(Node(), Node()) as (one, two):
        pool = pool_of(one, two)
        one.status = DEAD
        with pytest.raises(RpcUnavailable) as caught:
            pool.request("eth_sendTransaction", [{}])
        assert caught.value.outcome == "unknown"
        assert "eth_sendTransaction" not in two.calls
        assert scores(pool) == [80, 100]
