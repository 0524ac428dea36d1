"""Counters, durations and gauges reach whoever listens, and nobody else; listening keeps nothing alive."""

from __future__ import annotations

import gc
import timeit

import pytest

from actp import measures, observing
from actp.errors import RpcError, RpcUnavailable
from actp.observing import Counter, Gauge, Histogram, Reading
from actp.pool import Pool
from actp.rpc import HttpTransport
from tests.heard import Heard, hearing
from tests.unit.pool_nodes import CHAIN, LIMIT, Node, nodes
from tests.unit.test_rpc import ScriptedNode

CALLS = Counter("calls", "calls", ("who",))
WORK = Histogram("work_seconds", "work")
DEPTH = Gauge("depth", "depth", ("well",))


class Well:
    def __init__(self, depth: int) -> None:
        self.depth = depth


def depth_of(well: Well) -> list[Reading]:
    return [Reading(DEPTH, well.depth, ("one",))]


def depths() -> list[float]:
    return [one.value for one in observing.readings() if one.gauge is DEPTH]


def test_a_listener_hears_what_happens_until_it_stops_listening():
    with hearing() as first, hearing() as second:
        CALLS.add(2, "ann")
        WORK.observe(0.5)
        observing.unlisten(second)
        CALLS.add(1, "ann")
    CALLS.add(9, "ann")
    assert first.counts == {("calls", "ann"): 3}
    assert second.counts == {("calls", "ann"): 2}
    assert first.seconds == second.seconds == {("work_seconds",): [0.5]}


@pytest.mark.slow
def test_a_gauge_is_read_when_somebody_asks_and_dies_with_what_it_is_about():
    well = Well(3)
    observing.watch(well, depth_of)
    assert depths() == [3]
    well.depth = 4
    assert depths() == [4]
    del well
    gc.collect()
    assert depths() == []


def test_a_line_that_nobody_hears_costs_less_than_a_microsecond():
    """A hundredth of the engine's fastest millisecond per call of a contract is ten of them."""
    seconds = min(timeit.repeat(lambda: CALLS.add(1, "ann"), number=10_000, repeat=5)) / 10_000
    assert seconds < 1e-6


def test_every_measure_has_a_name_of_its_own_in_base_units():
    names = [one.name for one in measures.ALL]
    assert len(set(names)) == len(names)
    exported = {name for name in measures.__all__ if name.isupper() and name != "ALL"}
    assert {id(getattr(measures, name)) for name in exported} == {id(one) for one in measures.ALL}
    for one in measures.ALL:
        assert one.name.startswith("actp_")
        assert not one.name.endswith("_total")
        assert isinstance(one, Histogram) is one.name.endswith("_seconds")


class TestTransports:
    @pytest.fixture
    def heard(self):
        with hearing() as found:
            yield found

    def test_calls_and_errors_are_counted_by_endpoint_without_its_key(self, heard: Heard):
        def answer(body):
            if body["method"] == "eth_call":
                return 200, f'{{"id": {body["id"]}, "error": {{"code": 3, "message": "execution reverted"}}}}'
            if body["method"] == "eth_blockNumber":
                return 429, "later"
            return 200, f'{{"id": {body["id"]}, "result": "0x1"}}'

        with ScriptedNode(answer) as node:
            transport = HttpTransport(node.url, origin="ETH_RPC_URL")
            transport.request("eth_chainId", [])
            transport.request("eth_chainId", [])
            with pytest.raises(RpcError):
                transport.request("eth_call", [])
            with pytest.raises(RpcUnavailable):
                transport.request("eth_blockNumber", [])
            endpoint = node.url.partition("/v2")[0]
        assert heard.counts == {
            ("actp_rpc_requests", endpoint, "eth_chainId"): 2,
            ("actp_rpc_requests", endpoint, "eth_call"): 1,
            ("actp_rpc_requests", endpoint, "eth_blockNumber"): 1,
            ("actp_rpc_errors", endpoint, "rpc_error"): 1,
            ("actp_rpc_errors", endpoint, "rate_limited"): 1,
        }
        assert len(heard.seconds["actp_rpc_request_seconds", endpoint]) == 4

    def test_each_call_of_a_batch_counts_and_the_exchange_is_timed_once(self, heard: Heard):
        with nodes(Node()) as (node,):
            node.answers["eth_call"] = LIMIT
            node.transport.batch([("eth_call", []), ("eth_call", []), ("eth_chainId", [])])
            endpoint = measures.endpoint_of(node.label)
        assert heard.counts == {
            ("actp_rpc_requests", endpoint, "eth_call"): 2,
            ("actp_rpc_requests", endpoint, "eth_chainId"): 1,
            ("actp_rpc_errors", endpoint, "rate_limited"): 2,
        }
        assert len(heard.seconds["actp_rpc_request_seconds", endpoint]) == 1

    def test_a_node_that_is_not_there_is_an_error_without_an_answer(self, heard: Heard):
        with pytest.raises(RpcUnavailable):
            HttpTransport("http://127.0.0.1:9", timeout=2).request("eth_chainId", [])
        assert heard.counts["actp_rpc_errors", "http://127.0.0.1:9", "unavailable"] == 1

    def test_a_pool_shows_the_health_of_its_endpoints_and_whom_it_has_chosen(self, heard: Heard):
        with nodes(Node(head=100), Node(head=90)) as (good, behind):
            behind.answers["eth_getBalance"] = LIMIT
            pool = Pool([good.transport, behind.transport], chain_id=CHAIN)
            pool.request("eth_getBalance", ["0x" + "05" * 20, "latest"])
            well, ill = (measures.endpoint_of(one.label) for one in (good, behind))
            assert heard.counts["actp_rpc_endpoint_chosen", well] >= 1
            pool.probe()
            shown = {(one.gauge.name, *one.labels): one.value for one in observing.readings()}
            pool.close()
        assert shown["actp_rpc_endpoint_score", well] == 100
        assert shown["actp_rpc_endpoint_score", ill] < 100
        assert shown["actp_rpc_endpoint_behind_blocks", well] == 0
        assert shown["actp_rpc_endpoint_behind_blocks", ill] == 10


def test_the_setting_that_a_transport_came_from_is_no_part_of_its_name():
    assert measures.endpoint_of("https://host:8545 (from ETH_RPC_URL)") == "https://host:8545"
    assert measures.endpoint_of("the embedded chain") == "the embedded chain"
