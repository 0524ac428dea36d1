"""What nodes, stores and signers do wrong delays a worker and neither ends it nor costs a job."""

import threading
import time

import pytest

from actp.engine import Policy, Sender
from actp.engine.store import open_store
from actp.engine.store.schema import AttemptState, IntentStatus
from actp.errors import ActpError, OutcomeUnknown
from actp.signers import LocalSigner
from actp.testing import JammedPool, rate_limited
from tests.engine.helpers import SEND, answers, lose_next_commit
from tests.engine.worker_support import PAYEE, Bench, paid, without_automine

COUNT, RECEIPT = "eth_getTransactionCount", "eth_getTransactionReceipt"


class Pause:
    """A hold that stops everything while it is on; `then` is called whenever it lets something go."""

    def __init__(self, then=lambda: None):
        self.on = False
        self.then = then

    def reason(self, connection, job):
        if self.on:
            return "a breach"
        self.then()
        return None


@pytest.fixture
def bench(faulty, file_store, accounts):
    return Bench(faulty, file_store, accounts[0].private_key)


@pytest.mark.parametrize("method", [COUNT, "eth_getBalance", "eth_feeHistory", "eth_blockNumber", "eth_estimateGas"])
@pytest.mark.parametrize("nonsense", [None, {}, "0x", [], "many"], ids=str)
@pytest.mark.slow
def test_an_answer_that_is_none_is_a_typed_error_and_costs_no_job(chain, bench, faulty, method, nonsense):
    faulty.once(method, answers(nonsense))
    bench.enqueue(2)
    bench.finish(seconds=6)
    assert paid(chain) == [0, 1]


@pytest.mark.parametrize("nonsense", [{}, "0x", {"blockNumber": "0x1"}, {"blockNumber": 7, "status": None}], ids=str)
def test_a_receipt_that_is_none_does_not_end_the_wait_for_it(chain, faulty, accounts, nonsense):
    sender = Sender(faulty, LocalSigner(accounts[0].private_key), chain_id=31337, timeout=5)
    faulty.once(RECEIPT, answers(nonsense))
    assert sender.send(PAYEE, value=1).succeeded


def test_a_rate_limit_on_simulations_costs_no_try(bench, faulty):
    faulty.always("eth_estimateGas", rate_limited())
    bench.enqueue(1)
    for _ in range(8):
        bench.work(lambda: bench.job(0).code == "rate_limited")
        time.sleep(0.06)
        bench.worker.step()
    job = bench.job(0)
    assert (job.status, job.tries) == (IntentStatus.QUEUED, 0)
    faulty.clear()
    bench.finish()
    assert bench.job(0).status is IntentStatus.MINED


def test_a_signer_that_fails_ends_no_worker_and_costs_no_try(chain, bench):
    class Away:
        address = bench.signer.address

        def sign_transaction(self, fields):
            raise ConnectionError("the module at 10.0.0.1 is away")

    bench.worker._signer = Away()
    bench.enqueue(2)
    stop = threading.Event()
    thread = threading.Thread(target=bench.worker.run, args=[stop])
    thread.start()
    end = time.monotonic() + 10
    while bench.job(1).code is None and time.monotonic() < end:
        time.sleep(0.01)
    assert thread.is_alive()
    stop.set()
    thread.join()
    job = bench.job(1)
    assert (job.status, job.code, job.tries) == (IntentStatus.QUEUED, "signer_failed", 0)
    assert job.reason == f"The signer of {bench.signer.address} failed with ConnectionError."
    bench.worker._signer = bench.signer
    bench.finish()
    assert paid(chain) == [0, 1]


def test_a_commit_of_bytes_whose_answer_is_lost_is_read_again_and_paid_once(chain, faulty, file_store, accounts):
    pause = Pause()
    bench = Bench(faulty, file_store, accounts[0].private_key, hold=pause)
    bench.enqueue(1)
    bench.finish()

    def lose():
        pause.then = lambda: None
        lose_next_commit(file_store)

    pause.then = lose
    bench.enqueue(2, start=1)
    bench.finish(seconds=5)
    assert paid(chain) == [0, 1, 2]


def test_a_lost_answer_about_the_lease_does_not_lock_its_holder_out(chain, bench, file_store):
    bench.worker.step()
    bench.worker.release()
    bench.enqueue(1)
    bench.worker._lane.lease.token -= 1  # somebody else had it since
    lose_next_commit(file_store)
    with pytest.raises(ActpError):
        bench.worker.step()
    bench.finish(seconds=5)
    assert paid(chain) == [0]


@pytest.mark.slow
def test_nothing_is_signed_again_with_higher_fees_while_sends_are_paused(chain, accounts, file_store):
    pause = Pause()
    sender = Sender(
        JammedPool(chain), LocalSigner(accounts[0].private_key), chain_id=31337, store=file_store, timeout=1,
        policy=Policy(stuck_after=0.1), hold=pause,
    )  # fmt: skip
    submission = sender.submit(PAYEE, value=1)
    pause.on = True
    with pytest.raises(OutcomeUnknown) as caught:
        sender.wait(submission)
    assert caught.value.tx_hashes == (submission.tx_hash,)


def test_receipts_of_another_block_of_the_same_height_settle_nothing(chain, bench, faulty):
    other = "0x" + "ee" * 32
    faulty.always("eth_getBlockReceipts", lambda go_on, params: [{**one, "blockHash": other} for one in go_on()])
    with without_automine(chain):
        bench.enqueue(25)
        bench.work(lambda: bench.box.count() == {IntentStatus.OPEN: 25})
        chain.mine()
    bench.finish()
    assert all(bench.box.attempts_of(bench.job(index))[0].block_hash != other for index in range(25))


def test_a_block_that_vanishes_between_its_count_and_its_receipt_is_noticed(chain, bench, faulty):
    """A gateway's node counts the nonce, another one has no receipt yet; then the block is gone."""
    faulty.always(RECEIPT, answers(None))
    before = chain.snapshot()
    (job,) = bench.enqueue(1)
    bench.work(lambda: paid(chain) == [0])
    for _ in range(5):
        bench.worker.step()
    chain.revert(before)
    faulty.clear()
    bench.finish()
    assert paid(chain) == [0]
    assert [one.nonce for one in bench.box.attempts_of(job)] == [0]


def test_a_used_nonce_is_not_left_at_once_by_bytes_that_a_node_may_have(chain, faulty, file_store, accounts):
    """ "nonce too low" comes when nothing lies on the other program's block: a reorganisation may bring ours back."""
    bench = Bench(faulty, file_store, accounts[0].private_key, buried=3)

    def overtake(go_on, params):
        chain.request(
            "eth_sendTransaction", [{"from": bench.signer.address, "to": accounts[5].address, "value": "0x1"}]
        )
        return go_on()

    faulty.once(SEND, answers("0x" + "11" * 32), overtake)
    (job,) = bench.enqueue(1)
    bench.work(lambda: faulty.count(SEND) >= 2)
    for _ in range(20):
        bench.worker.step()
        time.sleep(0.01)
    assert [one.state for one in bench.box.attempts_of(job)] == [AttemptState.ACCEPTED]
    assert bench.job(0).status is IntentStatus.OPEN
    chain.mine(3)
    bench.finish()
    assert [one.nonce for one in bench.box.attempts_of(job)] == [0, 1]
    assert paid(chain) == [0]


def test_a_worker_forgets_its_own_notes_when_a_sender_beside_it_has_found_that_others_wrote(bench, faulty, file_store):
    """Both share one lane: whoever reads it again first must not leave the other one with bytes that are given up."""
    faulty.always(SEND, rate_limited())
    bench.enqueue(1)
    bench.work(lambda: faulty.count(SEND) >= 1)
    bench.worker.release()
    heir = bench.another(open_store(file_store.engine.url.render_as_string()))
    heir.step()
    with heir._lane.turn(1):
        heir._lane.withdrawn(heir._lane.opened()[0], code="given_up", reason="by another process")
    heir.release()
    lane = bench.worker._lane
    with lane.turn(1):
        lane.fresh = False  # as a sender of this process leaves it
    before = faulty.count(SEND)
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        bench.worker.step()
    assert faulty.count(SEND) == before
