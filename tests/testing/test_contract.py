"""What stands in for a node behaves as one: every part of the kit against the same expectations as the real thing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from actp.engine.replies import Reply, classify
from actp.errors import RpcError, RpcUnavailable
from actp.rpc import HttpTransport, Transport
from actp.signers import LocalSigner
from actp.testing import (
    Fault,
    FaultProxy,
    FaultyTransport,
    JammedPool,
    answer,
    delay,
    drop_before,
    duplicate,
    fail,
    http_error,
    lose_reply,
    pass_on,
    rate_limited,
)
from actp.testing.script import Script
from tests.testing.support import GWEI, SEND, hash_of, paid, transfer


@contextmanager
def bare(node: Transport) -> Iterator[Transport]:
    yield node


@contextmanager
def within(node: Transport) -> Iterator[Transport]:
    yield FaultyTransport(node)


@contextmanager
def over_http(node: Transport) -> Iterator[Transport]:
    with FaultProxy(node) as proxy:
        yield HttpTransport(proxy.url)


@contextmanager
def through_an_open_pool(node: Transport) -> Iterator[Transport]:
    pool = JammedPool(node)
    pool.jammed = False
    yield pool


WAYS = [bare, within, over_http, through_an_open_pool]


@pytest.fixture(params=WAYS, ids=lambda way: way.__name__)
def way(request: pytest.FixtureRequest, node: Transport) -> Iterator[Transport]:
    with request.param(node) as transport:
        yield transport


class TestEveryWayToANode:
    def test_gives_the_nodes_own_results(self, node: Transport, way: Transport) -> None:
        for method, params in (("eth_chainId", []), ("eth_getBlockByNumber", ["0x0", False]), ("net_version", [])):
            assert way.request(method, params) == node.request(method, params)
        assert way.label

    def test_gives_the_nodes_own_errors(self, node: Transport, way: Transport) -> None:
        for method, params in (("eth_nothing", []), ("eth_getBalance", ["0x12", "latest"])):
            with pytest.raises(RpcError) as direct:
                node.request(method, params)
            with pytest.raises(RpcError) as found:
                way.request(method, params)
            assert (found.value.rpc_code, found.value.message) == (direct.value.rpc_code, direct.value.message)

    def test_answers_a_batch_in_order_with_errors_as_values(self, node: Transport, way: Transport) -> None:
        first, wrong, last = way.batch([("eth_chainId", []), ("eth_nothing", []), ("eth_blockNumber", [])])
        assert (first, last) == (node.request("eth_chainId", []), node.request("eth_blockNumber", []))
        assert isinstance(wrong, RpcError)
        assert way.batch([]) == []

    def test_sends(self, node: Transport, way: Transport, signer: LocalSigner) -> None:
        raw = transfer(node, signer)
        assert way.request(SEND, [raw]) == hash_of(raw)
        assert way.request("eth_getTransactionReceipt", [hash_of(raw)])["status"] == "0x1"
        assert paid(node) == 1

    def test_serves_many_threads(self, node: Transport, way: Transport) -> None:
        with ThreadPoolExecutor(8) as pool:
            answers = set(pool.map(lambda _: way.request("eth_chainId", []), range(40)))
        assert answers == {node.request("eth_chainId", [])}


class TestAPoolInWhichTransactionsWait:
    """The same for a node that does not mine, and for a jammed pool in front of one that would."""

    def refusal(self, pool: Transport, raw: str) -> Reply:
        with pytest.raises(RpcError) as caught:
            pool.request(SEND, [raw])
        return classify(caught.value)

    def test_shows_what_waits_and_counts_it_as_pending(self, pool: Transport, signer: LocalSigner) -> None:
        raws = [transfer(pool, signer, ahead=ahead) for ahead in range(3)]
        mined = pool.request("eth_getTransactionCount", [signer.address, "latest"])
        assert [pool.request(SEND, [raw]) for raw in raws] == [hash_of(raw) for raw in raws]
        assert pool.request("eth_getTransactionCount", [signer.address, "latest"]) == mined
        assert int(pool.request("eth_getTransactionCount", [signer.address, "pending"]), 16) == int(mined, 16) + 3
        found = pool.request("eth_getTransactionByHash", [hash_of(raws[0])])
        assert (found["hash"], found["nonce"], found["blockHash"]) == (hash_of(raws[0]), mined, None)
        assert found["from"].lower() == signer.address.lower()
        assert pool.request("eth_getTransactionReceipt", [hash_of(raws[0])]) is None

    def test_knows_the_same_bytes_again(self, pool: Transport, signer: LocalSigner) -> None:
        raw = transfer(pool, signer)
        pool.request(SEND, [raw])
        assert self.refusal(pool, raw) is Reply.ACCEPTED

    def test_keeps_what_waits_against_a_cheap_replacement(self, pool: Transport, signer: LocalSigner) -> None:
        first = transfer(pool, signer)
        pool.request(SEND, [first])
        # For as much or less, that is: anvil takes whatever pays a wei more, and geth wants a tenth.
        assert self.refusal(pool, transfer(pool, signer, value=2)) is Reply.NONCE_WAITING
        assert pool.request("eth_getTransactionByHash", [hash_of(first)]) is not None

    def test_takes_a_replacement_for_an_eighth_more(self, pool: Transport, signer: LocalSigner) -> None:
        first, second = transfer(pool, signer), transfer(pool, signer, fee=10 * GWEI * 9 // 8)
        pool.request(SEND, [first])
        assert pool.request(SEND, [second]) == hash_of(second)
        assert pool.request("eth_getTransactionByHash", [hash_of(first)]) is None
        assert pool.request("eth_getTransactionByHash", [hash_of(second)]) is not None

    def test_refuses_a_used_nonce(self, pool: Transport, signer: LocalSigner) -> None:
        used = transfer(pool, signer)
        pool.request(SEND, [used])
        if isinstance(pool, JammedPool):
            pool.release()
        else:
            pool.request("evm_mine", [])
        assert self.refusal(pool, used) in (Reply.NONCE_USED, Reply.ACCEPTED)
        assert self.refusal(pool, transfer(pool, signer, ahead=-1, value=2)) is Reply.NONCE_USED

    def test_refuses_what_the_account_cannot_pay(self, pool: Transport) -> None:
        assert self.refusal(pool, transfer(pool, LocalSigner("0x" + "77" * 32))) is Reply.NO_FUNDS


# -------------------------------------------------------------------- faults: in process as over HTTP

SENDS = [
    (lose_reply, "connection broke", "unknown", 1),
    (drop_before, "connection broke", "unknown", 0),
    (lambda: http_error(502), "HTTP 502", "unknown", 1),
    (lambda: http_error(503, accepted=False), "HTTP 503", "unknown", 0),
    (lambda: http_error(429, accepted=False), "HTTP 429", "not_sent", 0),
    (lambda: http_error(504), "HTTP 504", "unknown", 1),
    (lambda: http_error(413, accepted=False), "HTTP 413", "unknown", 0),
    (lambda: http_error(403, accepted=False), "HTTP 403", "unknown", 0),
]


@contextmanager
def faulty_within(node: Transport) -> Iterator[tuple[Script, Transport]]:
    transport = FaultyTransport(node)
    yield transport, transport


@contextmanager
def faulty_over_http(node: Transport) -> Iterator[tuple[Script, Transport]]:
    with FaultProxy(node) as proxy:
        yield proxy, HttpTransport(proxy.url)


@pytest.fixture(params=[faulty_within, faulty_over_http], ids=lambda way: way.__name__)
def bench(request: pytest.FixtureRequest, node: Transport) -> Iterator[tuple[Script, Transport]]:
    with request.param(node) as pair:
        yield pair


@pytest.mark.parametrize(("make", "words", "outcome", "reached"), SENDS)
def test_a_send_without_an_answer(
    node: Transport,
    bench: tuple[Script, Transport],
    signer: LocalSigner,
    make: Callable[[], Fault],
    words: str,
    outcome: str,
    reached: int,
) -> None:
    script, client = bench
    script.once(SEND, make())
    with pytest.raises(RpcUnavailable) as caught:
        client.request(SEND, [transfer(node, signer)])
    assert caught.value.outcome == outcome
    assert words in caught.value.message
    assert paid(node) == reached


@pytest.mark.parametrize("status", [None, 403, 413, 429, 502, 504])
def test_the_same_fault_is_the_same_error_in_process_and_over_http(node: Transport, status: int | None) -> None:
    seen = []
    for way in (faulty_within, faulty_over_http):
        for method in (SEND, "eth_chainId"):
            with way(node) as (script, client):
                script.once(method, drop_before() if status is None else http_error(status, accepted=False))
                with pytest.raises(RpcUnavailable) as caught:
                    client.request(method, [])
                seen.append((caught.value.code, caught.value.outcome, caught.value.retryable))
    assert seen[:2] == seen[2:]


def test_a_rate_limited_node_did_nothing(node: Transport, bench: tuple[Script, Transport], signer: LocalSigner) -> None:
    script, client = bench
    script.once(SEND, rate_limited(), rate_limited())
    raw = transfer(node, signer)
    for _ in range(2):
        with pytest.raises(RpcError) as caught:
            client.request(SEND, [raw])
        assert classify(caught.value) is Reply.RATE_LIMITED
        assert caught.value.retryable
    assert paid(node) == 0
    assert client.request(SEND, [raw]) == hash_of(raw)


def test_a_duplicate_reaches_the_node_twice(
    node: Transport, bench: tuple[Script, Transport], signer: LocalSigner
) -> None:
    script, client = bench
    script.once(SEND, duplicate())
    with pytest.raises(RpcError) as caught:
        client.request(SEND, [transfer(node, signer)])
    assert classify(caught.value) in (Reply.NONCE_USED, Reply.ACCEPTED)
    assert paid(node) == 1


@pytest.mark.parametrize("after", [False, True])
def test_a_slow_node_is_a_time_out_and_does_it_all_the_same(node: Transport, signer: LocalSigner, after: bool) -> None:
    with FaultProxy(node) as proxy:
        proxy.once(SEND, delay(0.4, after=after))
        with pytest.raises(RpcUnavailable) as caught:
            HttpTransport(proxy.url, timeout=0.1).request(SEND, [transfer(node, signer)])
        assert (caught.value.code, caught.value.outcome) == ("timeout", "unknown")
        assert HttpTransport(proxy.url).request("eth_chainId", []) == node.request("eth_chainId", [])
        proxy.once("eth_chainId", delay(0.5))
        HttpTransport(proxy.url).request("eth_chainId", [])
    assert paid(node) == 1


def test_an_answer_of_ones_own_and_errors_with_data(node: Transport, bench: tuple[Script, Transport]) -> None:
    script, client = bench
    script.once("eth_call", fail(RpcError(3, "execution reverted", "0xabcd")), answer("0x01"))
    with pytest.raises(RpcError) as caught:
        client.request("eth_call", [{}, "latest"])
    assert (caught.value.rpc_code, caught.value.data) == (3, "0xabcd")
    assert client.request("eth_call", [{}, "latest"]) == "0x01"


def test_a_send_in_the_middle_of_a_batch_is_refused_alone(
    node: Transport, bench: tuple[Script, Transport], signer: LocalSigner
) -> None:
    script, client = bench
    script.once(SEND, pass_on, rate_limited())
    raws = [transfer(node, signer, ahead=ahead) for ahead in range(3)]
    first, second, _ = client.batch([(SEND, [raw]) for raw in raws])
    assert first == hash_of(raws[0])
    assert isinstance(second, RpcError)
    assert second.rpc_code == -32016
    assert (script.count(SEND), script.exchanges) == (3, 1)


@pytest.mark.parametrize(("fault", "reached"), [(lose_reply, 3), (http_error, 3), (drop_before, 0)])
def test_one_lost_answer_loses_those_of_the_whole_batch(
    node: Transport, bench: tuple[Script, Transport], signer: LocalSigner, fault: Callable[[], Fault], reached: int
) -> None:
    script, client = bench
    script.once(SEND, pass_on, fault())
    raws = [transfer(node, signer, ahead=ahead) for ahead in range(3)]
    with pytest.raises(RpcUnavailable) as caught:
        client.batch([(SEND, [raw]) for raw in raws])
    assert caught.value.outcome == "unknown"
    assert paid(node) == reached
