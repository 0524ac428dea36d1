"""Another program with the same key has an eth transaction waiting under the nonce that ours would use."""

import pytest

from actp.engine import Sender
from actp.engine.store.schema import AttemptState, IntentStatus
from actp.signers import LocalSigner
from actp.testing import FaultyTransport, JammedPool, pass_on
from actp.types import EthTransaction
from tests.engine.helpers import SEND
from tests.engine.worker_support import PAYEE, Bench, nonces, paid


@pytest.fixture
def pool(chain, accounts):
    """Holds what the other program sent with nonce 0, and lets everything later through."""
    jammed = JammedPool(chain)
    signer = LocalSigner(accounts[0].private_key)
    theirs = EthTransaction(31337, 0, accounts[5].address, 1, b"", 21_000, 10**11, 10**9)
    jammed.request(SEND, ["0x" + signer.sign_transaction(theirs).hex()])
    return jammed


@pytest.fixture
def node(pool):
    """The other program's is mined when ours knocks for the third time."""
    faulty = FaultyTransport(pool)

    def third(forward, params):
        pool.jammed = False
        pool.release()
        return forward()

    faulty.once(SEND, pass_on, pass_on, third)
    return faulty


def test_a_sender_waits_for_it_and_then_takes_the_next_nonce(chain, node, accounts):
    sender = Sender(node, LocalSigner(accounts[0].private_key), chain_id=31337, timeout=10, handover_timeout=10)
    submission = sender.submit(PAYEE, value=1)
    assert submission.nonce == 1
    assert sender.wait(submission).succeeded
    assert paid(chain) == [0]
    assert nonces(chain, sender.address) == 2


def test_a_worker_keeps_its_bytes_and_then_signs_with_the_next_nonce(chain, node, file_store, accounts):
    bench = Bench(node, file_store, accounts[0].private_key, tries=1)
    (job,) = bench.enqueue(1)
    bench.finish()
    assert bench.job(0).status is IntentStatus.MINED
    assert [(one.nonce, one.state is AttemptState.REPLACED) for one in bench.box.attempts_of(job)] == [
        (0, True),
        (1, False),
    ]
    assert paid(chain) == [0]
    assert nonces(chain, bench.signer.address) == 2
