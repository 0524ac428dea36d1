"""A worker on anvil: reorganisations, and blocks that come by themselves."""

import time

import pytest

from actp.chain import AnvilProcess
from actp.engine.intents import Intent
from actp.engine.store.schema import AttemptState, IntentStatus
from actp.rpc import HttpTransport
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
