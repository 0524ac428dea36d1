"""Senders over one file: threads, processes and restarts share nonces, and nothing is sent twice."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from actp.chain import EmbeddedChain, dev_accounts
from actp.chain.server import ChainServer
from actp.engine import Decision, Outbox, Policy, Refusal, Sender, fees
from actp.engine.gates import Stopped
from actp.engine.store import OtherChain, open_store
from actp.engine.store.outbox import KeyConflict
from actp.errors import RpcUnavailable, SendError
from actp.signers import LocalSigner
from actp.testing import JammedPool
from tests.engine.helpers import SEND, balance_of, mint, raises
from tests.engine.worker_support import PAYEE, Bench, nonces, paid

ROOT = Path(__file__).resolve().parents[2]

PAYER = """
import os, sys
from actp.engine import Decision, Outbox, Policy, Refusal, Sender, fees
from actp.engine.gates import Stopped
from actp.engine.store import open_store
from actp.rpc import HttpTransport
from actp.signers import LocalSigner

sender = Sender(HttpTransport(sys.argv[1]), LocalSigner(os.environ["PRIVATE_KEY"]), chain_id=31337,
                store=open_store(sys.argv[2]), timeout=60)
for index in range(int(sys.argv[3]), int(sys.argv[4])):
    assert sender.send(sys.argv[5], value=2**index).succeeded
"""


@pytest.fixture
def over_file(faulty, file_store, accounts):
    return Sender(faulty, LocalSigner(accounts[0].private_key), chain_id=31337, store=file_store, timeout=10)


@pytest.mark.slow
def test_processes_on_one_key_over_one_file_pay_each_once(tmp_path):
    chain = EmbeddedChain()
    account = dev_accounts()[0]
    with ChainServer(chain) as server:
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", PAYER, server.url, f"sqlite:///{tmp_path / 'outbox.db'}", str(first),
                 str(first + 6), PAYEE],
                stderr=subprocess.PIPE, text=True, cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), "PRIVATE_KEY": account.private_key},
            )
            for first in (0, 6, 12)
        ]  # fmt: skip
        for process in processes:
            _, errors = process.communicate(timeout=120)
            assert process.returncode == 0, errors
    assert paid(chain) == list(range(18))
    assert nonces(chain, account.address) == 18


def test_threads_over_one_file_pay_each_once(chain, over_file):
    errors = []

    def pay(index):
        try:
            over_file.send(PAYEE, value=2**index)
        except Exception as error:  # noqa: BLE001  # shown by the test
            errors.append(error)

    threads = [threading.Thread(target=pay, args=[index]) for index in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert paid(chain) == list(range(12))
    assert nonces(chain, over_file.address) == 12


def test_a_sender_and_a_worker_share_an_account(chain, faulty, file_store, accounts, over_file):
    bench = Bench(faulty, file_store, accounts[0].private_key)
    bench.enqueue(5)
    stop = threading.Event()
    worker = threading.Thread(target=bench.worker.run, args=[stop])
    worker.start()
    for index in range(5, 8):
        over_file.send(PAYEE, value=2**index)
    bench.work(lambda: paid(chain) == list(range(8)), worker=type("Idle", (), {"step": lambda self: None})())
    stop.set()
    worker.join()
    assert nonces(chain, over_file.address) == 8


@pytest.mark.slow
def test_a_worker_of_another_process_sends_for_a_sender_that_cannot(chain, faulty, file_store, accounts, over_file):
    """The worker never lets go of the lease; it takes over what the sender has put into the outbox."""
    bench = Bench(faulty, file_store, accounts[0].private_key)
    elsewhere = bench.another(open_store(file_store.engine.url.render_as_string()))
    elsewhere.step()
    stop = threading.Event()
    worker = threading.Thread(target=elsewhere.run, args=[stop])
    worker.start()
    try:
        for index in range(3):
            assert over_file.send(PAYEE, value=2**index).succeeded
    finally:
        stop.set()
        worker.join()
    assert paid(chain) == [0, 1, 2]
    assert nonces(chain, over_file.address) == 3


def test_who_is_told_that_nothing_was_sent_does_not_find_it_sent_later(faulty, file_store, accounts, chain):
    holder = Bench(faulty, open_store(file_store.engine.url.render_as_string()), accounts[0].private_key)
    holder.worker.step()  # has the lease, and does nothing with it
    sender = Sender(faulty, LocalSigner(accounts[0].private_key), chain_id=31337, store=file_store, timeout=0.3)
    with pytest.raises(SendError, match="Another process"):
        sender.send(PAYEE, value=1)
    holder.finish()
    holder.work(lambda: holder.worker.step() is False)
    assert paid(chain) == []
    assert {str(status) for status in holder.box.count()} == {"cancelled"}


@pytest.mark.parametrize(
    ("decision", "code", "status"), [(Decision.HOLD, "held", "held"), (Decision.DENY, "denied", "dead")]
)
def test_a_gate_stops_a_sender_before_anything_is_signed(faulty, file_store, accounts, decision, code, status):
    class Strict:
        def decide(self, job):
            return Refusal(decision, "too much")

    sender = Sender(faulty, LocalSigner(accounts[0].private_key), chain_id=31337, store=file_store, gate=Strict())
    with pytest.raises(Stopped, match="too much") as caught:
        sender.send(PAYEE, value=1, idempotency_key="order-1")
    assert (caught.value.code, caught.value.outcome) == (code, "not_sent")
    assert faulty.count(SEND) == 0
    assert Outbox(file_store, 31337, sender.address).find("order-1").status == status


def test_the_same_idempotency_key_pays_once_also_after_a_restart(chain, faulty, over_file, accounts, token):
    first = over_file.send(token, mint(over_file.address, 5), idempotency_key="order-1")
    again = Sender(
        faulty,
        LocalSigner(accounts[0].private_key),
        chain_id=31337,
        store=open_store(over_file._connection._store.engine.url.render_as_string()),
    )
    assert again.send(token, mint(over_file.address, 5), idempotency_key="order-1").tx_hash == first.tx_hash
    with pytest.raises(KeyConflict):
        again.send(token, mint(over_file.address, 6), idempotency_key="order-1")
    assert balance_of(chain, token, over_file.address) == 5


def test_a_restarted_sender_first_brings_home_what_was_signed(chain, faulty, over_file, accounts, file_store):
    faulty.once(SEND, raises(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        over_file.submit(PAYEE, value=1)
    again = Sender(
        faulty,
        LocalSigner(accounts[0].private_key),
        chain_id=31337,
        store=open_store(file_store.engine.url.render_as_string()),
    )
    assert again.send(PAYEE, value=2).succeeded
    assert paid(chain) == [0, 1]
    assert nonces(chain, again.address) == 2


@pytest.mark.slow
def test_what_ended_unknown_is_known_to_the_next_process(chain, faulty, over_file, accounts, file_store):
    faulty.once(SEND, raises(RpcUnavailable("the connection broke", outcome="unknown")))
    lost = over_file.submit(PAYEE, value=1)
    again = Sender(
        faulty,
        LocalSigner(accounts[0].private_key),
        chain_id=31337,
        store=open_store(file_store.engine.url.render_as_string()),
    )
    found = again.find_open(lost.tx_hash)
    assert found == lost
    assert again.wait(found, timeout=10).succeeded
    assert paid(chain) == [0]


def test_a_development_chain_that_was_restarted_is_another_chain(faulty, over_file, accounts, file_store):
    over_file.send(PAYEE, value=1)
    faulty.becomes(EmbeddedChain())
    again = Sender(faulty, LocalSigner(accounts[0].private_key), chain_id=31337, store=file_store)
    with pytest.raises(OtherChain):
        again.send(PAYEE, value=2)
    assert faulty.count(SEND) == 1


def test_who_waits_for_what_is_stuck_gets_it_replaced(chain, accounts, file_store):
    pool = JammedPool(chain, passing_fee=fees.suggest(chain).max_fee + 1)
    sender = Sender(
        pool,
        LocalSigner(accounts[0].private_key),
        chain_id=31337,
        store=file_store,
        timeout=15,
        policy=Policy(stuck_after=0.2),
    )
    signed = []
    receipt = sender.send(PAYEE, value=1, before_broadcast=signed.append)
    assert receipt.succeeded
    assert receipt.tx_hash != signed[0].tx_hash
    assert paid(chain) == [0]
    assert nonces(chain, sender.address) == 1


def test_a_steady_sender_needs_few_calls(chain, faulty, over_file):
    """Simulating and sending: the nonce, the chain, the fees and the balance are known. Receipt polls aside."""
    over_file.send(PAYEE, value=1)
    before = len(faulty.calls)
    over_file.send(PAYEE, value=2)
    asked = [method for method in faulty.calls[before:] if method != "eth_getTransactionReceipt"]
    assert sorted(asked) == ["eth_estimateGas", "eth_sendRawTransaction"]
