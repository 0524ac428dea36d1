"""Reorganisations that come after the blocks were found on the chain once: what was found then proves nothing now."""

import time

import pytest

from actp.chain import AnvilProcess
from actp.engine.store.schema import IntentStatus
from actp.rpc import HttpTransport
from tests.engine.worker_support import Bench, nonces, paid

pytestmark = pytest.mark.anvil


@pytest.fixture
def node(session_anvil):
    """An anvil that mines when it is told to, and whose blocks are not final for long."""
    del session_anvil  # which skips these tests where there is no anvil
    with AnvilProcess(extra_args=["--no-mining"]) as anvil:
        yield HttpTransport(anvil.url)


def mine(node, blocks=1):
    node.request("anvil_mine", [hex(blocks)])


def look(bench):
    """As many rounds as it takes to ask again for the newest block."""
    for _ in range(3):
        bench.worker.step()
        time.sleep(0.06)


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_blocks_that_were_found_on_the_chain_are_looked_for_again_when_their_successor_changes(
    node, file_store, accounts, depth
):
    bench = Bench(node, file_store, accounts[0].private_key)
    jobs = bench.enqueue(2)
    bench.work(lambda: bench.box.count() == {IntentStatus.OPEN: 2})
    mine(node)
    bench.work(lambda: bench.box.count() == {IntentStatus.MINED: 2})
    if depth > 1:
        mine(node, depth - 1)
    look(bench)
    node.request("anvil_reorg", [depth, []])
    assert paid(node) == []
    bench.work(lambda: bench.box.count() == {IntentStatus.OPEN: 2})

    def mined_again():
        mine(node)
        return bench.box.count() == {IntentStatus.MINED: 2}

    bench.work(mined_again)
    assert paid(node) == [0, 1]
    assert nonces(node, bench.signer.address) == 2
    assert all(len(bench.box.attempts_of(job)) == 1 for job in jobs)
