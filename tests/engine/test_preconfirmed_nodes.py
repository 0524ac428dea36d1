"""Nodes that count and show what is only preconfirmed, as Base's public endpoints do: it is not mined before its block
is sealed, and it may never be.
"""

import pytest

from actp.engine import Policy, Sender
from actp.engine.store.schema import AttemptState, IntentStatus
from actp.errors import OutcomeUnknown
from actp.signers import LocalSigner
from actp.testing import FaultyTransport, Preconfirmed
from tests.engine.worker_support import PAYEE, Bench, nonces, paid


class CountsFlashblocks(Preconfirmed):
    """Also its nonce at "latest" is that of the block in progress."""

    def request(self, forward, method, params):
        if method == "eth_getTransactionCount":
            return forward(method, params)
        return super().request(forward, method, params)


@pytest.fixture
def flashes():
    return CountsFlashblocks()


@pytest.fixture
def node(chain, flashes):
    seen = FaultyTransport(chain)
    seen.show(flashes)
    return seen


@pytest.fixture
def careful(node, accounts):
    """A sender that treats the chain as a live one."""
    signer = LocalSigner(accounts[0].private_key)
    return Sender(node, signer, chain_id=31337, timeout=0.5, policy=Policy(check_seal=True))


def test_a_worker_does_not_settle_by_a_receipt_of_a_block_in_progress(chain, node, flashes, file_store, accounts):
    bench = Bench(node, file_store, accounts[0].private_key)
    (job,) = bench.enqueue(1)
    bench.work(lambda: paid(chain) == [0])
    for _ in range(20):
        bench.worker.step()
    assert bench.job(0).status is IntentStatus.OPEN
    assert {one.state for one in bench.box.attempts_of(job)} == {AttemptState.ACCEPTED}
    flashes.seal()
    bench.finish()
    (mined,) = bench.box.attempts_of(job)
    assert mined.block_hash == chain.request("eth_getBlockByNumber", [hex(mined.block_number), False])["hash"]


def test_a_sender_waits_until_the_block_is_sealed(chain, flashes, careful):
    submission = careful.submit(PAYEE, value=1)
    assert paid(chain) == [0]
    with pytest.raises(OutcomeUnknown):
        careful.wait(submission)
    flashes.seal()
    receipt = careful.wait(submission, timeout=10)
    assert receipt.block_hash == chain.request("eth_getBlockByNumber", [hex(receipt.block_number), False])["hash"]


def test_what_was_preconfirmed_in_a_block_that_never_seals_is_sent_again(chain, node, file_store, accounts):
    flashes = Preconfirmed()  # which counts sealed blocks only, as Base does
    node.show(flashes)
    bench = Bench(node, file_store, accounts[0].private_key)
    before = chain.snapshot()
    (job,) = bench.enqueue(1)
    bench.work(lambda: paid(chain) == [0])
    for _ in range(5):
        bench.worker.step()
    chain.revert(before)
    assert paid(chain) == []
    bench.work(lambda: paid(chain) == [0])
    flashes.seal()
    bench.finish()
    assert nonces(chain, bench.signer.address) == 1
    assert len(bench.box.attempts_of(job)) == 1


@pytest.mark.slow
def test_who_waits_for_a_block_that_never_seals_is_not_told_of_success(chain, flashes, careful):
    before = chain.snapshot()
    submission = careful.submit(PAYEE, value=1)
    with pytest.raises(OutcomeUnknown):
        careful.wait(submission)
    chain.revert(before)
    flashes.seal()
    # While it waits again its bytes are broadcast again, and mined in another block, which is sealed later.
    with pytest.raises(OutcomeUnknown):
        careful.wait(submission, timeout=2)
    assert paid(chain) == [0]
    flashes.seal()
    assert careful.wait(submission, timeout=10).succeeded
    assert nonces(chain, careful.address) == 1
