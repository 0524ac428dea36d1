"""A database that is full or locked, and clocks that are set: nothing is sent that is not stored, and nothing waits."""

import pytest

from actp.engine import Refusal, Sender
from actp.engine.gates import Decision
from actp.engine.intents import Intent
from actp.engine.store import StoreBusy, StoreError, StoreFull, database, open_store
from actp.engine.store.schema import IntentStatus
from actp.errors import RpcError
from actp.signers import LocalSigner
from tests.engine.helpers import SEND, raises
from tests.engine.worker_support import PAYEE, Bench, nonces, paid

TROUBLE = RpcError(-32000, "header not found")


def url_of(store):
    return store.engine.url.render_as_string()


def over(faulty, store, accounts, **options):
    return Sender(faulty, LocalSigner(accounts[0].private_key), chain_id=31337, store=store, timeout=10, **options)


def test_a_sender_on_a_full_disk_sends_nothing_and_goes_on_when_there_is_room(chain, faulty, accounts, file_store):
    sender = over(faulty, file_store, accounts)
    sender.send(PAYEE, value=1)
    with file_store.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    before = faulty.count(SEND)
    with pytest.raises(StoreFull) as caught:
        sender.send(PAYEE, b"\x01" * 30_000, value=2, gas=2_000_000)
    assert (caught.value.outcome, caught.value.retryable) == ("not_sent", True)
    assert faulty.count(SEND) == before
    with file_store.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 100000")
    assert sender.send(PAYEE, value=4).succeeded
    assert paid(chain) == [0, 2]
    assert nonces(chain, sender.address) == 2


def test_a_disk_that_fills_up_between_enqueueing_and_signing_leaves_nothing_to_be_sent_later(
    chain, faulty, accounts, file_store
):
    class FillsTheDisk:
        def decide(self, job):
            with file_store.engine.connect() as connection:
                pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
                connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
            return Refusal(Decision.ALLOW)

    sender = over(faulty, file_store, accounts, gate=FillsTheDisk())
    with pytest.raises(StoreFull):
        sender.send(PAYEE, b"\x01" * 30_000, value=1, gas=2_000_000)
    assert faulty.count(SEND) == 0
    with file_store.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 100000")
    bench = Bench(faulty, open_store(url_of(file_store)), accounts[0].private_key)
    assert IntentStatus.OPEN not in bench.box.count()
    for _ in range(5):
        bench.worker.step()
    assert paid(chain) == []


def test_a_sender_over_a_locked_database_sends_nothing(chain, faulty, accounts, file_store, monkeypatch):
    over(faulty, file_store, accounts).send(PAYEE, value=1)
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0.05)
    sender = over(faulty, open_store(url_of(file_store)), accounts)
    sender.send(PAYEE, value=2)
    before = faulty.count(SEND)
    with file_store.write(), pytest.raises(StoreBusy) as caught:
        sender.send(PAYEE, value=4)
    assert (caught.value.outcome, caught.value.retryable) == ("not_sent", True)
    assert faulty.count(SEND) == before
    assert sender.send(PAYEE, value=8).succeeded
    assert paid(chain) == [0, 1, 3]


def test_a_database_that_may_only_be_read_is_a_typed_error_and_sends_nothing(faulty, accounts, file_store):
    read_only = open_store(f"sqlite:///file:{file_store.engine.url.database}?mode=ro&uri=true")
    with pytest.raises(StoreError, match="may only be read") as caught:
        over(faulty, read_only, accounts).send(PAYEE, value=1)
    assert (caught.value.code, caught.value.outcome) == ("store_read_only", "not_sent")
    assert faulty.count(SEND) == 0


@pytest.mark.parametrize("seconds", [3_600, 7 * 86_400])
def test_a_clock_that_is_set_back_holds_up_nothing_and_pays_once(chain, faulty, tmp_path, accounts, clock, seconds):
    """While it is queued, while it is put off, and while it is open."""
    store = open_store(tmp_path / "outbox.db", clock=clock)
    bench = Bench(faulty, store, accounts[0].private_key, first_pause=40.0)
    bench.enqueue(1)
    clock.set_back(seconds)
    bench.finish()
    assert paid(chain) == [0]
    faulty.once("eth_estimateGas", raises(TROUBLE))
    bench.enqueue(1, start=1)
    bench.work(lambda: bench.job(1).tries == 1)
    clock.set_back(seconds)
    bench.finish()
    assert paid(chain) == [0, 1]
    chain.request("evm_setAutomine", [False])
    bench.enqueue(1, start=2)
    bench.work(lambda: bench.job(2).status is IntentStatus.OPEN)
    clock.set_back(seconds)
    chain.request("evm_setAutomine", [True])
    chain.mine()
    bench.finish()
    assert paid(chain) == [0, 1, 2]
    assert nonces(chain, bench.signer.address) == 3
    store.close()


def test_what_is_put_off_stays_put_off_while_clocks_are_right(faulty, tmp_path, accounts, clock):
    store = open_store(tmp_path / "outbox.db", clock=clock)
    bench = Bench(faulty, store, accounts[0].private_key, first_pause=40.0)
    faulty.once("eth_estimateGas", raises(TROUBLE))
    bench.enqueue(1)
    bench.work(lambda: bench.job(0).tries == 1)
    clock.advance(39)
    for _ in range(3):
        bench.worker.step()
    assert bench.job(0).status is IntentStatus.QUEUED
    clock.advance(2)
    bench.finish()
    store.close()


def test_a_sender_whose_call_a_worker_has_just_sent_is_not_told_that_nothing_was_sent(
    chain, faulty, accounts, file_store
):
    bench = Bench(faulty, open_store(url_of(file_store)), accounts[0].private_key)

    class WorkerIsFaster:
        def decide(self, job):
            with bench.store.write() as connection:
                connection.exec_driver_sql("UPDATE intents SET due_at = 0")
            bench.work(lambda: paid(chain) == [0])
            bench.worker.release()
            return Refusal(Decision.ALLOW)

    sender = over(faulty, file_store, accounts, gate=WorkerIsFaster())
    assert sender.send(PAYEE, value=1).succeeded
    assert paid(chain) == [0]
    assert nonces(chain, sender.address) == 1


def test_bytes_are_stored_before_any_node_sees_them(chain, faulty, accounts, file_store):
    """What a full or locked database stops is stopped before the broadcast, because this order holds."""
    stored = []

    def note(go_on, params):
        with file_store.read() as connection:
            stored.append(connection.exec_driver_sql("SELECT count(*) FROM attempts").scalar())
        return go_on()

    faulty.always(SEND, note)
    over(faulty, file_store, accounts).send(PAYEE, value=1)
    bench = Bench(faulty, file_store, accounts[0].private_key)
    bench.box.submit(Intent(PAYEE, b"", 2), "a")
    bench.finish()
    assert stored == [1, 2]


@pytest.mark.slow
@pytest.mark.timeout(90)
def test_a_process_that_stands_still_within_a_transaction_does_not_stop_its_heir_for_ever(
    chain, new_database, accounts, clock, monkeypatch
):
    """On PostgreSQL its locks are its connection's, and stay for as long as that does."""
    monkeypatch.setattr(database, "_IDLE_SECONDS", 2)
    monkeypatch.setattr(database, "_BUSY_SECONDS", 1.0)
    url = new_database()
    frozen = Bench(chain, open_store(url, clock=clock), accounts[0].private_key)
    frozen.worker.step()
    heir = Bench(chain, open_store(url, clock=clock), accounts[0].private_key)
    heir.enqueue(1)
    transaction = frozen.store.write()
    frozen.worker._lane.lease.fence(transaction.__enter__())  # it is stopped here, or the network to its host is gone
    heir.worker.step()
    clock.advance(31)
    heir.finish(seconds=20)
    assert paid(chain) == [0]
    with pytest.raises(StoreError):
        transaction.__exit__(None, None, None)
