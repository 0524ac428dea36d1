"""Which endpoint of a pool answers: over HTTP, with endpoints that are stale, dead, busy, foreign, or lie."""

from __future__ import annotations

import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from actp.errors import RpcError, RpcUnavailable, WrongChain
from actp.pool import Capability, EndpointDropped, Pool, WrongGenesis, members, supports
from actp.pool.endpoint import Courier
from actp.rpc import chain_id, genesis_hash
from tests.unit.pool_nodes import CHAIN, LIMIT, Clock, Node, block_hash, nodes

BUSY = LIMIT
REVERT = {"code": 3, "message": "execution reverted", "data": "0x12345678"}
DEAD = 502


@pytest.fixture(autouse=True)
def short_patience(monkeypatch):
    monkeypatch.setattr(members, "PATIENCE", 0.3)


def pool_of(*found, **options):
    return Pool([node.transport for node in found], **{"chain_id": CHAIN, **options})


def scores(pool):
    return [one.score for one in pool.endpoints()]


def head(pool):
    return int(pool.request("eth_blockNumber", []), 16)


def test_a_single_endpoint_is_used_as_it_is():
    with nodes(Node(7)) as (node,):
        pool = pool_of(node)
        assert pool.label == node.label
        assert (chain_id(pool), head(pool)) == (CHAIN, 7)
        assert genesis_hash(pool, CHAIN) == node.genesis


def test_reads_go_to_the_healthiest_and_of_equals_to_the_first():
    with nodes(Node(), Node()) as (one, two):
        pool = pool_of(one, two)
        pool.probe()
        one.forget_calls()
        two.forget_calls()
        head(pool)
        assert (one.count("eth_blockNumber"), two.calls) == (1, [])
        one.answers["eth_call"] = BUSY
        assert pool.request("eth_call", [{}, "latest"]) == hex(100)
        assert scores(pool) == [80, 100]
        head(pool)
        assert two.count("eth_blockNumber") == 1


def test_a_stale_endpoint_is_not_asked_although_it_is_healthier():
    with nodes(Node(90), Node(105)) as (stale, fresh):
        pool = pool_of(stale, fresh)
        assert head(pool) == 105
        assert int(pool.request("eth_getBalance", ["0x", "latest"]), 16) == 105
        assert "eth_getBalance" not in stale.calls


def test_nothing_goes_backwards_when_only_a_stale_endpoint_is_left():
    with nodes(Node(105), Node(90)) as (fresh, stale):
        pool = pool_of(fresh, stale)
        assert head(pool) == 105
        fresh.status = DEAD
        with pytest.raises(RpcUnavailable):
            pool.request("eth_getBalance", ["0x", "latest"])
        assert "eth_getBalance" not in stale.calls
        assert pool.request("eth_getBalance", ["0x", hex(80)]) == hex(90), "what it has it may tell"
        stale.head = 105
        assert int(pool.request("eth_getBalance", ["0x", "latest"]), 16) == 105


def test_an_endpoint_that_is_a_little_behind_is_waited_for(monkeypatch):
    monkeypatch.setattr(members, "PATIENCE", 5)
    with nodes(Node(101), Node(100)) as (fresh, late):
        pool = pool_of(fresh, late)
        head(pool)
        fresh.status = DEAD
        timer = threading.Timer(0.2, lambda: setattr(late, "head", 101))
        timer.start()
        assert head(pool) == 101
        timer.join()


def test_an_endpoint_with_an_older_node_behind_it_is_asked_again():
    with nodes(Node(100)) as (node,):
        pool = pool_of(node)
        head(pool)
        older = iter([99])
        node.answers["eth_blockNumber"] = lambda params: hex(next(older, 100))
        assert head(pool) == 100


def test_a_read_at_a_block_is_asked_of_an_endpoint_that_has_it():
    with nodes(Node(100), Node(100)) as (one, two):
        pool = pool_of(one, two)
        pool.probe()
        two.head = 120
        members_seen = pool.request("eth_getLogs", [{"fromBlock": "0x1", "toBlock": hex(115)}])
        assert members_seen == []
        assert ("eth_getLogs" in one.calls, "eth_getLogs" in two.calls) == (False, True)


def test_what_one_endpoint_has_seen_mined_the_next_answer_does_not_deny():
    with nodes(Node(100), Node(100)) as (one, two):
        pool = pool_of(one, two)
        pool.probe()
        one.head = 102
        one.answers["eth_getTransactionReceipt"] = lambda params: {"blockNumber": hex(102)}
        pool.request("eth_getTransactionReceipt", ["0x1"])
        one.answers["eth_getBalance"] = BUSY
        with pytest.raises(RpcError, match="rate limit"):
            pool.request("eth_getBalance", ["0x", "latest"])
        assert "eth_getBalance" not in two.calls


def test_waiting_for_a_block_that_is_not_there_yet_costs_no_time():
    with nodes(Node(100), Node(100)) as (one, two):
        pool = pool_of(one, two)
        pool.probe()
        one.forget_calls()
        assert pool.request("eth_getBlockByNumber", [hex(101), False]) is None
        two.head = 101
        assert pool.request("eth_getBlockByNumber", [hex(101), False])["number"] == hex(101)
        assert one.count("eth_getBlockByNumber") == 2, "no question besides the two"


def test_what_one_endpoint_does_not_have_another_is_asked_for():
    with nodes(Node(), Node()) as (one, two):
        pool = pool_of(one, two)
        two.answers["eth_getTransactionByHash"] = lambda params: {"hash": params[0]}
        two.answers["debug_traceCall"] = lambda params: {}
        one.answers["eth_call"] = {"code": -32000, "message": "missing trie node 1234"}
        assert pool.request("eth_getTransactionByHash", ["0x5"]) == {"hash": "0x5"}
        assert pool.request("debug_traceCall", []) == {}
        assert pool.request("eth_call", [{}, "0x1"]) == hex(100)
        assert scores(pool) == [100, 100]
        two.answers["eth_call"] = one.answers["eth_call"]
        with pytest.raises(RpcError, match="missing trie node"):
            pool.request("eth_call", [{}, "0x1"])


@pytest.mark.parametrize("error", [REVERT, {"code": -32602, "message": "invalid argument 0"},
                                   {"code": -32000, "message": "execution reverted"}])  # fmt: skip
def test_a_program_error_lowers_no_score_and_is_final(error):
    with nodes(Node(), Node()) as (one, two):
        pool = pool_of(one, two)
        one.answers["eth_call"] = error
        for _ in range(8):
            with pytest.raises(RpcError) as caught:
                pool.request("eth_call", [{}, "latest"])
        assert caught.value.rpc_code == error["code"]
        assert scores(pool) == [100, 100]
        assert "eth_call" not in two.calls


def test_too_many_logs_are_the_calls_fault_and_too_many_requests_are_not():
    with nodes(Node(), Node()) as (one, two):
        pool = pool_of(one, two)
        one.answers["eth_getLogs"] = {"code": -32005, "message": "query returned more than 10000 results"}
        with pytest.raises(RpcError, match="10000"):
            pool.request("eth_getLogs", [{}])
        assert scores(pool) == [100, 100]
        one.answers["eth_getLogs"] = {"code": -32005, "message": "daily request count exceeded"}
        assert pool.request("eth_getLogs", [{}]) == []
        assert scores(pool) == [80, 100]


def test_a_rate_limit_lowers_the_score_and_the_next_endpoint_answers():
    with nodes(Node(), Node()) as (one, two):
        pool = pool_of(one, two)
        head(pool)
        one.answers["eth_getBalance"] = BUSY
        assert pool.request("eth_getBalance", ["0x", "latest"]) == hex(100)
        assert scores(pool) == [80, 100]
        two.answers["eth_getBalance"] = BUSY
        with pytest.raises(RpcError) as caught:
            pool.request("eth_getBalance", ["0x", "latest"])
        assert caught.value.rpc_code == -32016
        assert scores(pool) == [60, 80]


@pytest.mark.slow
def test_a_dead_endpoint_is_left_out_and_comes_back_by_probes():
    clock = Clock()
    with nodes(Node(), Node()) as (one, two):
        pool = pool_of(one, two, clock=clock)
        head(pool)
        one.status = DEAD
        assert head(pool) == 100
        assert scores(pool) == [80, 100]
        pool.probe()
        assert scores(pool) == [70, 100]
        one.status = 200
        for _ in range(4):
            pool.probe()
        assert scores(pool) == [100, 100]


def test_probes_run_every_15_seconds_of_use_and_not_without_it():
    clock = Clock()
    with nodes(Node(), Node()) as (one, two):
        pool = pool_of(one, two, clock=clock)
        head(pool)
        two.forget_calls()
        clock.now += 14
        head(pool)
        assert two.calls == []
        clock.now += 2
        head(pool)
        pool._members._round.done.wait(5)
        assert two.count("eth_chainId") == 1
        head(pool)
        assert two.count("eth_chainId") == 1


def test_after_a_long_rest_heads_are_asked_for_before_anybody_is_believed():
    clock = Clock()
    with nodes(Node(100), Node(100)) as (one, two):
        pool = pool_of(one, two, clock=clock)
        head(pool)
        two.head = 500
        clock.now += 3_600
        assert pool.request("eth_getBalance", ["0x", "latest"]) == hex(500)


def test_with_all_scores_at_zero_the_best_is_tried_anyway():
    with nodes(Node(), Node()) as (one, two):
        pool = pool_of(one, two)
        head(pool)
        one.status = two.status = DEAD
        for _ in range(6):
            with pytest.raises(RpcUnavailable):
                head(pool)
        assert scores(pool) == [0, 0]
        one.status = two.status = 200
        assert head(pool) == 100
        assert pool.request("eth_sendRawTransaction", ["0x1"])
        assert one.taken == ["0x1"]


def test_an_endpoint_that_is_dead_at_first_joins_later():
    clock = Clock()
    with nodes(Node(), Node()) as (one, two):
        one.status = DEAD
        pool = pool_of(one, two, clock=clock)
        assert head(pool) == 100
        assert [status.connected for status in pool.endpoints()] == [False, True]
        one.status = 200
        pool.probe()
        assert [status.connected for status in pool.endpoints()] == [True, True]


def test_no_endpoint_at_all_is_unavailability_and_the_next_call_tries_again():
    with nodes(Node(), Node()) as (one, two):
        one.status = two.status = DEAD
        pool = pool_of(one, two)
        with pytest.raises(RpcUnavailable, match="None of the 2 endpoints") as caught:
            head(pool)
        assert caught.value.outcome == "not_sent"
        two.status = 200
        assert head(pool) == 100


def test_an_endpoint_of_another_chain_is_dropped_by_name_and_never_used():
    with nodes(Node(), Node(9_999, chain=1)) as (ours, foreign):
        pool = pool_of(ours, foreign)
        with pytest.warns(EndpointDropped, match=f"{foreign.label} serves chain 1, not chain {CHAIN}"):
            assert head(pool) == 100
        foreign.forget_calls()
        pool.probe()
        ours.status = DEAD
        for method in ("eth_blockNumber", "eth_sendRawTransaction"):
            with pytest.raises(RpcUnavailable):
                pool.request(method, ["0x1"])
        assert foreign.calls == []
        assert isinstance(pool.endpoints()[1].dropped, WrongChain)


def test_an_endpoint_of_another_chain_with_the_same_id_is_dropped():
    with nodes(Node(), Node(9_999, genesis="0x0b")) as (ours, foreign):
        pool = pool_of(ours, foreign)
        with pytest.warns(EndpointDropped, match=f"{foreign.label} serves a chain with the first block 0x0b"):
            assert head(pool) == 100
        assert isinstance(pool.endpoints()[1].dropped, WrongGenesis)
        pinned = pool_of(ours, foreign, genesis="0x0b")
        with pytest.warns(EndpointDropped, match=ours.label):
            assert head(pinned) == 9_999


@pytest.mark.parametrize(("options", "error"), [({"chain": 1}, WrongChain), ({"genesis": "0x0b"}, WrongGenesis)])
def test_a_pool_without_an_endpoint_of_its_chain_is_an_error(options, error):
    with nodes(Node(**options), Node(**options)) as found:
        pool = pool_of(*found, genesis="0x0a")
        for _ in range(2):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                with pytest.raises(error, match=found[0].label):
                    head(pool)


def test_a_development_chain_that_was_started_again_is_not_taken_for_the_old_one():
    with nodes(Node(), Node()) as (one, two):
        pool = pool_of(one, two)
        assert genesis_hash(pool, CHAIN) == "0x0a"
        one.genesis = "0x0c"
        with pytest.warns(EndpointDropped, match=one.label):
            assert genesis_hash(pool, CHAIN) == "0x0a"
        two.genesis = "0x0c"
        pool.probe()
        with pytest.raises(WrongGenesis):
            head(pool)


@pytest.mark.parametrize("method", ["eth_blockNumber", "eth_getBlockByNumber"])
def test_an_endpoint_that_claims_blocks_it_does_not_have_hides_nobody_else(method):
    with nodes(Node(100), Node(100)) as (liar, honest):
        pool = pool_of(liar, honest)
        head(pool)
        real = liar._block
        liar._block = lambda tag: {**real(tag), "number": hex(5_000)} if tag == "latest" else real(tag)
        liar.answers["eth_blockNumber"] = lambda params: hex(5_000)
        answer = pool.request(method, ["latest", False][: 2 * (method != "eth_blockNumber")])
        assert answer == hex(100) or answer["number"] == hex(100)
        assert scores(pool) == [80, 100]
        pool.probe()
        assert scores(pool) == [70, 100]
        assert int(pool.request("eth_getBalance", ["0x", "latest"]), 16) == 100
        honest.head = 130
        assert head(pool) == 130


def test_a_leap_that_is_shown_is_believed():
    with nodes(Node(100), Node(100)) as (one, two):
        pool = pool_of(one, two)
        head(pool)
        one.head = 5_000
        assert head(pool) == 5_000
        assert two.head == 100
        assert block_hash("0x0a", 4_999) != block_hash("0x0a", 5_000)


@pytest.mark.slow
def test_a_chain_that_was_set_back_is_followed_once_all_endpoints_agree_twice():
    with nodes(Node(100), Node(100)) as (one, two):
        pool = pool_of(one, two)
        head(pool)
        one.head = two.head = 50
        pool.probe()
        with pytest.raises(RpcUnavailable) as caught:
            head(pool)
        assert caught.value.code == "behind"
        pool.probe()
        assert head(pool) == 50


@pytest.mark.slow
def test_one_endpoint_of_two_sets_nothing_back():
    with nodes(Node(100), Node(100)) as (one, two):
        pool = pool_of(one, two)
        head(pool)
        two.status = DEAD
        one.head = 50
        for _ in range(4):
            pool.probe()
        with pytest.raises(RpcUnavailable):
            head(pool)


def test_a_set_back_through_the_pool_is_followed_at_once():
    with nodes(Node(100), Node(100)) as (one, two):
        pool = pool_of(one, two)
        head(pool)

        def revert(params):
            one.head = two.head = 50
            return True

        one.answers["evm_revert"] = revert
        assert pool.request("evm_revert", ["0x1"]) is True
        assert head(pool) == 50
        assert "evm_revert" not in two.calls


def test_a_probe_that_finds_an_endpoint_far_behind_lowers_its_score():
    with nodes(Node(100), Node(90)) as (one, two):
        pool = pool_of(one, two)
        head(pool)
        first = scores(pool)[1]
        pool.probe()
        assert scores(pool) == [100, first - 10]
        assert pool.endpoints()[1].behind == 10


def test_a_batch_goes_to_one_endpoint_in_one_exchange():
    with nodes(Node(), Node()) as (one, two):
        pool = pool_of(one, two)
        pool.batch([("eth_blockNumber", []), ("eth_chainId", [])])
        one.forget_calls()
        two.forget_calls()
        answers = pool.batch([("eth_blockNumber", []), ("eth_chainId", []), ("eth_nonsense", [])])
        assert answers[:2] == [hex(100), hex(CHAIN)]
        assert answers[2].rpc_code == -32601
        assert one.exchanges == 1
        assert two.calls == ["eth_nonsense"], "which another endpoint might have had"
        assert pool.batch([]) == []


def test_calls_of_a_batch_that_hit_a_limit_are_asked_of_the_next_endpoint_alone():
    with nodes(Node(), Node(110)) as (one, two):
        two.head = 100
        pool = pool_of(one, two)
        one.answers["eth_call"] = BUSY
        two.answers["eth_call"] = lambda params: "0x77"
        assert pool.batch([("eth_chainId", []), ("eth_call", [{}, "latest"])]) == [hex(CHAIN), "0x77"]
        assert scores(pool) == [80, 100]
        two.answers["eth_call"] = BUSY
        first, second = pool.batch([("eth_chainId", []), ("eth_call", [{}, "latest"])])
        assert first == hex(CHAIN)
        assert second.rpc_code == -32016


def test_an_endpoint_without_batches_gets_the_calls_one_by_one():
    with nodes(Node()) as (node,):
        node.batches = False
        pool = pool_of(node)
        assert pool.batch([("eth_chainId", []), ("eth_blockNumber", [])]) == [hex(CHAIN), hex(100)]
        node.forget_calls()
        pool.batch([("eth_chainId", []), ("eth_blockNumber", [])])
        assert node.exchanges == 2, "whether it can is asked once"


def test_a_batch_fails_as_a_whole_only_if_nobody_answers():
    with nodes(Node(), Node()) as (one, two):
        pool = pool_of(one, two)
        pool.batch([("eth_chainId", []), ("eth_blockNumber", [])])
        one.status = DEAD
        assert pool.batch([("eth_chainId", []), ("eth_blockNumber", [])]) == [hex(CHAIN), hex(100)]
        two.status = DEAD
        with pytest.raises(RpcUnavailable):
            pool.batch([("eth_chainId", []), ("eth_blockNumber", [])])


def test_a_call_goes_to_an_endpoint_that_can_do_it_and_each_is_asked_once():
    with nodes(Node(), Node()) as (one, two):
        pool = pool_of(one, two)
        simulate = [{"blockStateCalls": [{"calls": []}]}, "latest"]
        two.answers["eth_simulateV1"] = lambda params: [{}]
        for _ in range(3):
            assert pool.request("eth_simulateV1", simulate) == [{}]
        assert (one.count("eth_simulateV1"), two.count("eth_simulateV1")) == (1, 1 + 3)
        with pytest.raises(RpcError, match="does not exist"):
            pool.request("eth_getBlockReceipts", ["latest"])


def test_capabilities_of_the_chain_in_this_process(chain):
    found = {one for one in Capability if supports(chain, one)}
    assert Capability.BATCH in found
    assert Capability.SIMULATE not in found


def test_a_capability_that_could_not_be_asked_for_is_not_remembered():
    with nodes(Node()) as (node,):
        node.answers["eth_feeHistory"] = BUSY
        with pytest.raises(RpcUnavailable):
            supports(node.transport, Capability.FEE_REWARDS)
        node.answers["eth_feeHistory"] = lambda params: {"reward": [["0x1"]]}
        assert supports(node.transport, Capability.FEE_REWARDS)


@pytest.mark.slow
def test_many_threads_share_a_pool_of_which_one_endpoint_dies():
    with nodes(Node(), Node(), Node()) as found:
        pool = pool_of(*found)

        def ask(number):
            if number == 30:
                found[0].status = DEAD
            return head(pool)

        with ThreadPoolExecutor(16) as threads:
            assert set(threads.map(ask, range(120))) == {100}


def test_threads_of_a_pool_end_when_it_is_closed():
    with nodes(Node(), Node()) as found:
        others = set(threading.enumerate())
        pool = pool_of(*found)
        head(pool)
        mine = [thread for thread in set(threading.enumerate()) - others if thread.name.startswith("actp-pool")]
        pool.close()
        for thread in mine:
            thread.join(5)
        assert mine
        assert not any(thread.is_alive() for thread in mine)


def test_an_endpoint_that_hangs_collects_no_work():
    courier = Courier("actp-test", most_threads=1, most_waiting=2, idle_seconds=0.05)
    begun, release, done = threading.Event(), threading.Event(), []

    def hang():
        begun.set()
        release.wait(5)

    assert courier.submit(hang)
    begun.wait(5)
    assert [courier.submit(lambda: done.append(1)) for _ in range(4)] == [True, True, False, False]
    release.set()
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "actp-test"]
    thread.join(5)
    assert not thread.is_alive(), "a thread without work ends"
    assert done == [1, 1]
    again = threading.Event()
    assert courier.submit(again.set)
    assert again.wait(5)
