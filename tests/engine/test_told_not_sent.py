"""Who is told "not sent" does not find it sent: a store that fails leaves no call behind, or says that it may."""

from contextlib import contextmanager

import pytest

from actp.engine import Decision, Refusal, Sender
from actp.engine.gates import Paused
from actp.engine.store import StoreError, database, open_store, outbox
from actp.engine.store.schema import IntentStatus
from actp.errors import ActpError, RpcError, SendError
from actp.signers import LocalSigner
from tests.engine.helpers import SEND, lose_next_commit
from tests.engine.worker_support import PAYEE, Bench, paid

NO_FUNDS = RpcError(-32000, "insufficient funds for gas * price + value: balance 1, tx cost 2, overshot 1")


@pytest.fixture
def another(file_store):
    """The same file, as another process opens it."""
    return open_store(file_store.engine.url.render_as_string())


@pytest.fixture
def sender_over(faulty, file_store, accounts):
    def make(**options):
        signer = LocalSigner(accounts[0].private_key)
        return Sender(faulty, signer, chain_id=31337, store=file_store, handover_timeout=0.1, **options)

    return make


@pytest.fixture
def locked(another, monkeypatch):
    """Locks the database until it is closed."""
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0.05)
    held = []

    def lock():
        transaction = another.write()
        transaction.__enter__()
        held.append(transaction)

    yield lock
    for transaction in held:
        transaction.__exit__(None, None, None)


class Asked:
    """A gate or a hold that lets everything go, and does something meanwhile."""

    def __init__(self, act):
        self._act = act

    def decide(self, job):
        self._act(job)
        return Refusal(Decision.ALLOW)

    def reason(self, connection, job):
        self._act(job)


def status_of(store, index=0):
    with store.read() as connection:
        return [job.status for job in outbox.listed(connection)][index]


@pytest.mark.slow
def test_a_call_that_cannot_be_taken_back_is_not_called_not_sent(locked, sender_over, file_store, faulty):
    sender = sender_over(gate=Asked(lambda job: locked()), timeout=0.5)
    with pytest.raises(StoreError) as caught:
        sender.send(PAYEE, value=1)
    assert (caught.value.outcome, caught.value.retryable) == ("unknown", False)
    assert "see `actp outbox` for intent 1" in caught.value.hint
    assert (status_of(file_store), faulty.count(SEND)) == (IntentStatus.QUEUED, 0)


@pytest.mark.slow
def test_a_refusal_that_cannot_be_written_down_is_not_called_not_sent(locked, sender_over, file_store, faulty):
    def refuse(go_on, params):
        locked()
        raise NO_FUNDS

    faulty.once(SEND, refuse)
    with pytest.raises(StoreError) as caught:
        sender_over(timeout=0.5).send(PAYEE, value=1)
    assert caught.value.outcome == "unknown"
    assert status_of(file_store) is IntentStatus.OPEN


def test_a_commit_of_bytes_whose_answer_is_lost_is_found_and_seen_through(chain, sender_over, file_store):
    armed = [False]
    sender = sender_over(hold=Asked(lambda job: armed[0] and lose_next_commit(file_store)), timeout=5)
    sender.send(PAYEE, value=1)
    armed[0] = True
    submission = sender.submit(PAYEE, value=2)
    armed[0] = False
    assert sender.wait(submission).succeeded
    sender.send(PAYEE, value=4)
    assert paid(chain) == [0, 1, 2]


def test_a_commit_of_a_row_whose_answer_is_lost_leaves_nothing_to_be_sent_later(
    chain, sender_over, file_store, another, accounts
):
    sender = sender_over(timeout=0.1)
    sender.send(PAYEE, value=1)
    lose_next_commit(file_store)
    with pytest.raises(StoreError) as caught:
        sender.send(PAYEE, value=2)
    assert caught.value.outcome == "not_sent"
    assert status_of(another) is IntentStatus.CANCELLED
    Bench(chain, another, accounts[0].private_key).finish()
    assert paid(chain) == [0]


def test_what_a_worker_signs_while_its_sender_gives_up_is_returned(chain, sender_over, another, faulty, accounts):
    bench = Bench(faulty, another, accounts[0].private_key)

    def act(job):
        with another.write() as connection:
            outbox.hasten(connection, job.id, another.clock.time())
        bench.finish()
        bench.worker.release()
        raise SendError("not now")

    receipt = sender_over(gate=Asked(act), timeout=5).send(PAYEE, value=1)
    assert receipt.succeeded
    assert paid(chain) == [0]


def test_a_call_that_another_process_ended_without_knowing_how_is_not_called_not_sent(sender_over, another):
    def act(job):
        with another.write() as connection:
            outbox.move(connection, [job.id], [IntentStatus.QUEUED], IntentStatus.UNKNOWN, 0)
        raise SendError("not now")

    with pytest.raises(ActpError) as caught:
        sender_over(gate=Asked(act), timeout=0.5).send(PAYEE, value=1)
    assert caught.value.outcome == "unknown"


def test_a_call_that_is_taken_back_in_time_is_still_called_not_sent(sender_over, file_store, faulty):
    def act(job):
        raise Paused("not now")

    with pytest.raises(Paused) as caught:
        sender_over(gate=Asked(act), timeout=0.5).send(PAYEE, value=1)
    assert caught.value.outcome == "not_sent"
    assert (status_of(file_store), faulty.count(SEND)) == (IntentStatus.CANCELLED, 0)


def test_a_store_that_cannot_be_read_does_not_end_the_wait_for_what_was_sent(
    chain, sender_over, file_store, monkeypatch
):
    @contextmanager
    def gone():
        raise StoreError("The store cannot be used: server closed the connection unexpectedly.", retryable=True)
        yield

    sender = sender_over(timeout=5)
    submission = sender.submit(PAYEE, value=1)
    monkeypatch.setattr(file_store, "read", gone)
    assert sender.wait(submission).succeeded
    assert paid(chain) == [0]
