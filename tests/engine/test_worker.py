"""A worker sends what is in the outbox once, whatever happens to the node, the network or another worker."""

import threading
import time

import pytest

from actp import artifacts
from actp.chain import EmbeddedChain
from actp.engine import Sender
from actp.engine.gates import Decision, Refusal
from actp.engine.intents import Intent, Kind
from actp.engine.store import OtherChain, StoreBusy, StoreFull, database, open_store, outbox
from actp.engine.store.schema import AttemptState, IntentStatus
from actp.errors import RpcError, RpcUnavailable
from actp.signers import LocalSigner
from actp.testing import FaultyTransport, JammedPool, Preconfirmed, StaleHead, lose_reply, rate_limited
from tests.engine.helpers import SEND, TOKEN, raises, taken_but_raises
from tests.engine.worker_support import PAYEE, Bench, nonces, paid, without_automine

LOST = RpcUnavailable("the connection broke", outcome="unknown")
MINED, DEAD, OPEN, QUEUED, HELD = (
    IntentStatus.MINED,
    IntentStatus.DEAD,
    IntentStatus.OPEN,
    IntentStatus.QUEUED,
    IntentStatus.HELD,
)


@pytest.fixture
def bench(faulty, file_store, accounts):
    return Bench(faulty, file_store, accounts[0].private_key)


def by_state(bench, job):
    return [one.state for one in bench.box.attempts_of(job)]


def test_what_is_enqueued_is_paid_once_and_in_order(chain, bench):
    jobs = bench.enqueue(30)
    bench.finish()
    assert paid(chain) == list(range(30))
    assert [bench.box.find(job.key).nonce for job in jobs] == list(range(30))
    assert bench.box.count() == {MINED: 30}
    assert nonces(chain, bench.signer.address) == 30


def test_a_worker_works_over_every_database(chain, faulty, url, accounts):
    store = open_store(url)
    bench = Bench(faulty, store, accounts[0].private_key)
    faulty.once(SEND, lambda go_on, params: go_on(), raises(RpcError(-32000, "sender is blocked by policy")))
    bench.enqueue(10)
    bench.finish()
    assert paid(chain) == [index for index in range(10) if index != 1]
    assert nonces(chain, bench.signer.address) == 10
    Sender(faulty, bench.signer, chain_id=31337, store=store).send(PAYEE, value=2)
    assert paid(chain) == list(range(10))
    store.close()


def test_a_call_that_is_known_to_revert_is_never_sent(chain, bench, faulty, token):
    bench.box.submit(Intent(token, TOKEN.call_data("transfer", [PAYEE, 5])), "poor")
    bench.enqueue(2)
    bench.finish()
    poor = bench.box.find("poor")
    assert (poor.status, poor.code, poor.nonce) == (DEAD, "reverted", None)
    assert "ERC20InsufficientBalance" in poor.reason
    assert bench.box.attempts_of(poor) == []
    assert paid(chain) == [0, 1]


def test_a_lost_reply_does_not_pay_twice(chain, bench, faulty):
    faulty.once(SEND, *[lose_reply()] * 3)
    bench.enqueue(5)
    bench.finish()
    assert paid(chain) == list(range(5))
    assert nonces(chain, bench.signer.address) == 5


def test_a_refusal_in_the_middle_of_twenty_leaves_no_gap(chain, bench, faulty):
    refused = raises(RpcError(-32000, "sender is blocked by policy"))
    faulty.once(SEND, *[lambda go_on, params: go_on()] * 9, refused)
    jobs = bench.enqueue(20)
    bench.finish()
    assert paid(chain) == [index for index in range(20) if index != 9]
    dead = bench.job(9)
    assert (dead.status, dead.code) == (DEAD, "send_error")
    assert by_state(bench, jobs[9]) == [AttemptState.REFUSED]
    # The nonce that it leaves is used by a transfer of nothing, or the ten after it would wait for ever.
    assert nonces(chain, bench.signer.address) == 20
    with bench.store.read() as connection:
        fills = [job for job in outbox.listed(connection) if job.kind is Kind.FILL]
    assert [(job.nonce, job.status) for job in fills] == [(9, MINED)]


def test_a_nonce_that_came_free_goes_to_the_next_in_the_queue_first(chain, faulty, file_store, accounts):
    bench = Bench(faulty, file_store, accounts[0].private_key, most_open=4)
    faulty.once(SEND, raises(RpcError(-32000, "sender is blocked by policy")))
    bench.enqueue(6)
    bench.finish()
    assert paid(chain) == [1, 2, 3, 4, 5]
    assert nonces(chain, bench.signer.address) <= 6


@pytest.mark.parametrize("method", ["eth_feeHistory", "eth_getTransactionCount", "eth_getBalance", "eth_estimateGas"])
def test_a_question_that_fails_before_signing_delays_and_loses_nothing(chain, bench, faulty, method):
    faulty.once(method, raises(RpcUnavailable("no answer")), raises(RpcError(-32016, "over rate limit")))
    bench.enqueue(3)
    bench.finish()
    assert paid(chain) == [0, 1, 2]
    assert nonces(chain, bench.signer.address) == 3


def test_a_rate_limit_gets_the_same_bytes_later(chain, bench, faulty):
    sent = []

    def note(go_on, params):
        sent.append(params[0])
        return rate_limited()(go_on, params) if len(sent) <= 3 else go_on()

    faulty.always(SEND, note)
    bench.enqueue(1)
    bench.finish()
    assert len(sent) >= 4
    assert len(set(sent)) == 1
    assert paid(chain) == [0]


def test_a_node_that_lost_its_pool_gets_everything_again(chain, accounts, file_store):
    pool = JammedPool(chain)
    bench = Bench(pool, file_store, accounts[0].private_key)
    jobs = bench.enqueue(5)
    bench.work(lambda: all(by_state(bench, job) == [AttemptState.ACCEPTED] for job in jobs))
    pool.forget()
    pool.jammed = False
    bench.finish()
    assert paid(chain) == list(range(5))


def test_what_is_stuck_by_its_fee_is_replaced_and_pays_once(chain, accounts, file_store):
    pool = JammedPool(chain)
    bench = Bench(pool, file_store, accounts[0].private_key, stuck_after=0.3)
    (job,) = bench.enqueue(1)
    bench.work(lambda: len(bench.box.attempts_of(job)) >= 2)
    first, second = bench.box.attempts_of(job)[:2]
    assert first.nonce == second.nonce
    assert second.max_fee * 8 >= first.max_fee * 9
    assert second.tip * 8 >= first.tip * 9
    pool.jammed = False
    pool.release()
    bench.finish()
    assert paid(chain) == [0]
    assert sorted(by_state(bench, job))[-1] == AttemptState.SEALED or AttemptState.FINALIZED in by_state(bench, job)
    assert (
        sum(state in (AttemptState.SEALED, AttemptState.SAFE, AttemptState.FINALIZED) for state in by_state(bench, job))
        == 1
    )


def test_the_key_of_another_program_costs_nonces_and_no_payment(chain, bench, faulty, accounts):
    """Each time that our worker has chosen a nonce somebody else uses it first."""

    def overtaken(go_on, params):
        chain.request(
            "eth_sendTransaction", [{"from": bench.signer.address, "to": accounts[5].address, "value": "0x1"}]
        )
        return go_on()

    faulty.once(SEND, overtaken, overtaken)
    bench.enqueue(4)
    bench.finish()
    assert paid(chain) == [0, 1, 2, 3]
    assert bench.box.count()[MINED] == 4


def test_accepted_bytes_whose_nonce_went_to_another_program_are_sent_with_the_next(chain, accounts, file_store):
    pool = JammedPool(chain)
    bench = Bench(pool, file_store, accounts[0].private_key)
    (job,) = bench.enqueue(1)
    bench.work(lambda: by_state(bench, job) == [AttemptState.ACCEPTED])
    chain.request("eth_sendTransaction", [{"from": bench.signer.address, "to": accounts[5].address, "value": "0x1"}])
    pool.forget()
    pool.jammed = False
    bench.finish()
    assert paid(chain) == [0]
    assert by_state(bench, job)[0] is AttemptState.REPLACED
    assert [one.nonce for one in bench.box.attempts_of(job)] == [0, 1]


def test_what_is_not_yet_buried_under_blocks_keeps_its_nonce(chain, accounts, file_store):
    """A reorganisation could still bring our bytes back: then a second nonce would be a second payment."""
    pool = JammedPool(chain)
    bench = Bench(pool, file_store, accounts[0].private_key, buried=3)
    (job,) = bench.enqueue(1)
    bench.work(lambda: by_state(bench, job) == [AttemptState.ACCEPTED])
    with without_automine(chain):
        chain.request(
            "eth_sendTransaction", [{"from": bench.signer.address, "to": accounts[5].address, "value": "0x1"}]
        )
        chain.mine()
        pool.forget()
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            bench.worker.step()
        assert len(bench.box.attempts_of(job)) == 1
        assert bench.job(0).status is OPEN


def test_a_stale_node_moves_nothing_backwards(chain, faulty, file_store, accounts):
    stale = FaultyTransport(chain)
    bench = Bench(stale, file_store, accounts[0].private_key)
    bench.enqueue(3)
    bench.finish()
    stale.show(StaleHead(2))
    bench.enqueue(3, start=3)
    bench.work(lambda: len(paid(chain)) == 6)
    assert nonces(chain, bench.signer.address) == 6
    stale.show()
    bench.finish()
    assert bench.box.count() == {MINED: 6}


def test_a_preconfirmed_receipt_does_not_settle(chain, file_store, accounts):
    node = FaultyTransport(chain)
    preview = Preconfirmed()
    node.show(preview)
    bench = Bench(node, file_store, accounts[0].private_key)
    (job,) = bench.enqueue(1)
    bench.work(lambda: paid(chain) == [0])
    for _ in range(20):
        bench.worker.step()
    assert bench.job(0).status is OPEN
    preview.seal()
    bench.finish()
    assert bench.job(0).status is MINED
    mined = [one for one in bench.box.attempts_of(job) if one.block_hash is not None]
    assert mined[0].block_hash == chain.request("eth_getBlockByNumber", [hex(mined[0].block_number), False])["hash"]


def test_two_workers_on_one_key_pay_each_once(chain, bench, file_store):
    others = [open_store(file_store.engine.url.render_as_string()) for _ in range(2)]
    workers = [bench.worker, *(bench.another(one) for one in others)]
    bench.enqueue(25)
    stop = threading.Event()
    threads = [threading.Thread(target=worker.run, args=[stop]) for worker in workers]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 20
    while bench.box.count().get(MINED, 0) < 25 and time.monotonic() < end:
        time.sleep(0.02)
    stop.set()
    for thread in threads:
        thread.join()
    assert paid(chain) == list(range(25))
    assert nonces(chain, bench.signer.address) == 25


def test_a_worker_that_slept_past_its_lease_sends_nothing_of_its_own(chain, faulty, tmp_path, accounts, clock):
    """It wakes up while it signs, after another one has paid."""
    store = open_store(tmp_path / "outbox.db", clock=clock)
    bench = Bench(faulty, store, accounts[0].private_key)
    other = bench.another(open_store(tmp_path / "outbox.db", clock=clock))
    bench.enqueue(1)
    sign = bench.signer.sign_transaction

    class Sleeper:
        address = bench.signer.address

        def sign_transaction(self, fields):
            raw = sign(fields)
            other.step()  # starts its clock for the lease
            clock.advance(31)
            for _ in range(200):
                other.step()
                clock.advance(0.1)
            assert paid(chain) == [0]
            return raw

    bench.worker._signer = Sleeper()
    before = faulty.count(SEND)
    assert bench.worker.step() is False
    assert faulty.count(SEND) - before == 1  # the other one's
    assert nonces(chain, bench.signer.address) == 1
    assert len(bench.box.attempts_of(bench.job(0))) == 1


def test_a_full_disk_sends_nothing_and_goes_on_when_there_is_room(chain, bench, faulty, file_store):
    bench.enqueue(2)
    bench.worker.step()
    bench.finish()
    with file_store.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
    jobs = bench.box.submit_all(
        [(f"large{index}", Intent(PAYEE, b"\x01" * 20_000, 4, 2_000_000)) for index in range(5)]
    )
    with file_store.engine.connect() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 30}")
    sent = faulty.count(SEND)
    with pytest.raises(StoreFull):
        bench.work(lambda: False)
    assert faulty.count(SEND) == sent
    assert all(bench.box.attempts_of(job) == [] for job in jobs)
    with file_store.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 100000")
    bench.finish()
    assert int(chain.request("eth_getBalance", [PAYEE, "latest"]), 16) == 3 + 20


def test_a_locked_database_sends_nothing(chain, bench, faulty, file_store, monkeypatch):
    bench.enqueue(1)
    bench.worker.step()
    bench.finish()
    bench.enqueue(1, start=1)
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0.05)
    locker = open_store(file_store.engine.url.render_as_string())
    short = bench.another(open_store(file_store.engine.url.render_as_string()))
    bench.worker.release()
    sent = faulty.count(SEND)
    with locker.write(), pytest.raises(StoreBusy):
        short.step()
    assert faulty.count(SEND) == sent
    bench.finish(worker=short)
    assert paid(chain) == [0, 1]


def test_a_restarted_development_chain_stops_the_worker(chain, faulty, bench, accounts):
    bench.enqueue(2)
    bench.finish()
    with without_automine(chain):
        bench.enqueue(1, start=2)
        bench.work(lambda: bench.job(2).status is OPEN)
        bench.worker.release()
    restarted = EmbeddedChain()
    faulty.becomes(restarted)
    fresh = bench.another(open_store(bench.store.engine.url.render_as_string()))
    with pytest.raises(OtherChain):
        fresh.step()
    assert nonces(restarted, bench.signer.address) == 0
    assert paid(restarted) == []


def test_a_worker_finishes_what_another_one_left(chain, bench, faulty):
    """It signed and stored, and died before a node saw anything."""
    bench.enqueue(5)
    faulty.once(SEND, *[raises(KeyboardInterrupt())] * 5)
    with pytest.raises(KeyboardInterrupt):
        bench.worker.step()
    assert bench.box.count() == {OPEN: 5}
    bench.worker.release()
    heir = bench.another(open_store(bench.store.engine.url.render_as_string()))
    bench.finish(worker=heir)
    assert paid(chain) == list(range(5))
    assert nonces(chain, bench.signer.address) == 5
    assert all(len(bench.box.attempts_of(bench.job(index))) == 1 for index in range(5))


def test_nonce_too_low_after_a_lost_reply_means_that_it_was_paid(chain, bench, faulty):
    faulty.once(SEND, taken_but_raises(LOST))
    bench.enqueue(1)
    bench.worker.step()
    bench.worker.release()
    heir = bench.another(open_store(bench.store.engine.url.render_as_string()))
    bench.finish(worker=heir)
    assert paid(chain) == [0]
    assert len(bench.box.attempts_of(bench.job(0))) == 1


class TestGates:
    def test_a_gate_holds_and_denies_and_stops_no_other(self, chain, faulty, file_store, accounts):
        class Choosy:
            def decide(self, job):
                said = {"k1": Refusal(Decision.DENY, "never"), "k2": Refusal(Decision.HOLD, "ask first")}
                return said.get(job.key, Refusal(Decision.ALLOW))

        bench = Bench(faulty, file_store, accounts[0].private_key, gate=Choosy())
        bench.enqueue(4)
        bench.finish()
        assert paid(chain) == [0, 3]
        assert (bench.job(1).status, bench.job(1).reason) == (DEAD, "never")
        assert (bench.job(2).status, bench.job(2).reason) == (HELD, "ask first")

    def test_a_pause_in_the_commit_stops_one_and_not_the_others(self, chain, faulty, file_store, accounts):
        class Pause:
            paused = True

            def reason(self, connection, job):
                return "suspicious" if job.key == "k1" and self.paused else None

        pause = Pause()
        bench = Bench(faulty, file_store, accounts[0].private_key, hold=pause)
        bench.enqueue(3)
        bench.work(lambda: paid(chain) == [0, 2])
        assert bench.job(1).status is QUEUED
        pause.paused = False
        bench.finish()
        assert paid(chain) == [0, 1, 2]

    def test_a_gate_that_cannot_decide_is_asked_again_and_then_given_up(self, chain, faulty, file_store, accounts):
        class Broken:
            def decide(self, job):
                raise RpcUnavailable("the budget's database is away")

        bench = Bench(faulty, file_store, accounts[0].private_key, gate=Broken(), tries=3)
        bench.enqueue(1)
        bench.finish()
        assert (bench.job(0).status, bench.job(0).tries) == (DEAD, 2)
        assert paid(chain) == []


def test_no_ether_is_a_dead_letter_after_some_tries(chain, faulty, file_store):
    bench = Bench(faulty, file_store, "0x" + "77" * 32, tries=2)
    bench.enqueue(1)
    bench.finish()
    assert (bench.job(0).status, bench.job(0).code) == (DEAD, "insufficient_funds")


def test_a_call_may_wait_for_one_before_it(chain, bench, token):
    """The transfer reverts until the mint before it is mined."""
    with without_automine(chain):
        bench.box.submit(Intent(token, TOKEN.call_data("mint", [bench.signer.address, 9])), "mint")
        bench.box.submit(Intent(token, TOKEN.call_data("transfer", [PAYEE, 9])), "transfer")
        bench.work(lambda: bench.box.find("mint").status is OPEN)
        for _ in range(3):
            bench.worker.step()
        assert bench.box.find("transfer").status is QUEUED
    chain.mine()
    bench.finish()
    assert bench.box.count() == {MINED: 2}


def test_a_requester_other_than_the_signing_account_is_nothing_special(chain, faulty, file_store, accounts):
    """A relayer's key sends what only somebody else signed: here a call whose effects are for a third account."""
    deployer = Sender(chain, LocalSigner(accounts[9].private_key), chain_id=31337)
    token = deployer.send(None, artifacts.load("TestUSDC").creation_code()).contract_address
    bench = Bench(faulty, file_store, accounts[4].private_key)
    bench.box.submit(Intent(token, TOKEN.call_data("mint", [accounts[5].address, 77])), "for another")
    bench.finish()
    balance = {"to": token, "data": "0x" + TOKEN.call_data("balanceOf", [accounts[5].address]).hex()}
    assert int(chain.request("eth_call", [balance, "latest"]), 16) == 77
