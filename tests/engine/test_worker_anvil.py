"""A worker on anvil: reorganisations, and blocks that come by themselves."""

import time
from contextlib import suppress

import pytest

from actp.chain import AnvilProcess
from actp.engine.intents import Intent
from actp.engine.store.schema import AttemptState, IntentStatus
from actp.errors import ActpError
from actp.rpc import HttpTransport
from actp.signers import LocalSigner
from actp.testing import FaultyTransport
from actp.types import EthTransaction
from tests.engine.helpers import SEND
from tests.engine.worker_support import Bench, nonces, paid

pytestmark = pytest.mark.anvil


@pytest.fixture
def node(session_anvil, accounts):
    """An anvil that mines when it is told to, and whose blocks become final soon."""
    del session_anvil  # which skips these tests where there is no anvil
    with AnvilProcess(extra_args=["--no-mining", "--slots-in-an-epoch", "1"]) as anvil:
        yield HttpTransport(anvil.url)


def mine(node, blocks=1):
    node.request("anvil_mine", [hex(blocks)])


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_what_a_reorganisation_takes_is_sent_again_with_the_same_bytes(node, file_store, accounts, depth):
    bench = Bench(node, file_store, accounts[0].private_key)
    jobs = bench.enqueue(depth)
    bench.work(lambda: bench.box.count() == {IntentStatus.OPEN: depth})
    mine(node)
    bench.work(lambda: bench.box.count() == {IntentStatus.MINED: depth})
    if depth > 1:
        mine(node, depth - 1)
    hashes = [bench.box.attempts_of(job)[0].tx_hash for job in jobs]
    node.request("anvil_reorg", [depth, []])
    assert paid(node) == []
    bench.work(lambda: bench.box.count().get(IntentStatus.OPEN, 0) == depth)

    def mined_again():
        mine(node)
        return bench.box.count() == {IntentStatus.MINED: depth}

    bench.work(mined_again)
    assert paid(node) == list(range(depth))
    assert nonces(node, bench.signer.address) == depth
    assert [bench.box.attempts_of(job)[0].tx_hash for job in jobs] == hashes
    assert all(len(bench.box.attempts_of(job)) == 1 for job in jobs)


def test_blocks_become_safe_and_final(node, file_store, accounts):
    bench = Bench(node, file_store, accounts[0].private_key)
    (job,) = bench.enqueue(1)
    bench.work(lambda: bench.job(0).status is IntentStatus.OPEN)
    mine(node)
    bench.work(lambda: bench.job(0).status is IntentStatus.MINED)
    mine(node, 5)
    bench.work(lambda: bench.box.attempts_of(job)[0].state is AttemptState.FINALIZED)


@pytest.mark.slow
def test_a_long_queue_is_drained_over_many_blocks(session_anvil, file_store, accounts):
    del session_anvil
    with AnvilProcess(block_time=1) as anvil:
        bench = Bench(HttpTransport(anvil.url), file_store, accounts[0].private_key, most_open=500, resend_after=30.0)
        start = time.monotonic()
        bench.box.submit_all([(f"n{index}", Intent("0x" + "06" * 20, b"", 1, 21_000)) for index in range(1_000)])
        bench.finish(seconds=60)
        assert bench.box.count() == {IntentStatus.MINED: 1_000}
        assert nonces(bench.transport, bench.signer.address) == 1_000
        assert time.monotonic() - start < 60


def rounds(bench, node, until, seconds=8.0):
    """Works while blocks come, until something is so."""
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, bench.statuses()
        with suppress(ActpError):
            bench.worker.step()
        mine(node)
        time.sleep(0.02)


def test_one_answer_of_a_node_that_is_behind_does_not_hide_a_reorganisation(node, file_store, accounts):
    """One address, two nodes: the tip is the new one's, the block that was asked for is the old one's."""
    gateway = FaultyTransport(node)
    bench = Bench(gateway, file_store, accounts[0].private_key)
    (job,) = bench.enqueue(1)
    bench.work(lambda: bench.job(0).status is IntentStatus.OPEN)
    mine(node)
    bench.work(lambda: bench.job(0).status is IntentStatus.MINED)
    number = hex(bench.box.attempts_of(job)[0].block_number)
    old = node.request("eth_getBlockByNumber", [number, False])
    mine(node)
    bench.worker.step()
    time.sleep(0.06)
    bench.worker.step()
    node.request("anvil_reorg", [2, []])
    assert paid(node) == []
    behind = []

    def stale(go_on, params):
        if params[0] == number and not behind:
            behind.append(True)
            return old
        return go_on()

    gateway.always("eth_getBlockByNumber", stale)
    rounds(bench, node, lambda: paid(node) == [0])
    bench.enqueue(1, start=1)
    rounds(bench, node, lambda: bench.box.count() == {IntentStatus.MINED: 2})
    assert paid(node) == [0, 1]


def test_a_nonce_of_another_program_that_a_reorganisation_gave_back_holds_up_nothing(node, file_store, accounts):
    bench = Bench(node, file_store, accounts[0].private_key)
    bench.enqueue(1)
    rounds(bench, node, lambda: bench.job(0).status is IntentStatus.MINED)
    other = EthTransaction(31337, 1, accounts[5].address, 1, b"", 21_000, 10**11, 10**9)
    node.request(SEND, ["0x" + LocalSigner(accounts[0].private_key).sign_transaction(other).hex()])
    bench.enqueue(1, start=1)
    mine(node)
    bench.work(lambda: bench.job(1).nonce == 2)
    node.request("anvil_reorg", [1, []])
    node.request("anvil_dropAllTransactions", [])
    rounds(bench, node, lambda: bench.job(1).status is IntentStatus.MINED)
    assert paid(node) == [0, 1]


def test_a_durable_store_goes_on_where_a_chain_was_set_back(session_anvil, file_store, accounts):
    with AnvilProcess() as anvil:
        node = HttpTransport(anvil.url)
        bench = Bench(node, file_store, accounts[0].private_key)
        bench.enqueue(1)
        bench.finish()
        before = node.request("evm_snapshot", [])
        bench.enqueue(2, start=1)
        bench.finish()
        node.request("evm_revert", [before])
        assert paid(node) == [0]
        bench.enqueue(1, start=3)
        bench.finish(seconds=8)
        assert paid(node) == [0, 1, 2, 3]
