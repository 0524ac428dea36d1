"""The engine says what it does: each line that counts or times something is missed here if it is gone."""

from __future__ import annotations

import pytest

from actp.engine import Sender
from actp.engine.gates import Decision, Refusal, Stopped
from actp.engine.intents import Intent
from actp.engine.store.schema import IntentStatus
from actp.errors import RpcError
from actp.signers import LocalSigner
from actp.testing import JammedPool
from tests.engine.helpers import SEND, TOKEN, raises
from tests.engine.worker_support import PAYEE, Bench
from tests.heard import Heard, hearing


@pytest.fixture
def heard():
    with hearing() as found:
        yield found


@pytest.fixture
def bench(faulty, file_store, accounts):
    return Bench(faulty, file_store, accounts[0].private_key)


def test_what_is_signed_sent_and_mined_is_counted_and_timed(bench, heard: Heard):
    bench.enqueue(5)
    bench.finish()
    assert heard.counts["actp_tx_signed",] == 5
    assert heard.counts["actp_tx_confirmed", "succeeded"] == 5
    assert len(heard.seconds["actp_tx_sign_seconds",]) == 5
    assert len(heard.seconds["actp_tx_submit_seconds",]) >= 1
    latencies = heard.seconds["actp_tx_confirmation_latency_seconds",]
    assert len(latencies) == 5
    assert all(0 <= one < 60 for one in latencies)


def test_what_is_mined_and_reverts_is_counted_apart(bench, token, heard: Heard):
    bench.box.submit(Intent(token, TOKEN.call_data("transfer", [PAYEE, 5]), gas=100_000), "poor")
    bench.finish()
    assert heard.counts["actp_tx_confirmed", "reverted"] == 1
    assert heard.counts["actp_tx_confirmed", "succeeded"] == 0


def test_latency_counts_from_the_first_signature_also_after_a_restart(chain, faulty, store, clock, accounts, heard):
    bench = Bench(JammedPool(chain), store, accounts[0].private_key)
    (job,) = bench.enqueue(1)
    bench.work(lambda: len(bench.box.attempts_of(job)) == 1)
    bench.worker.release()
    clock.advance(40)
    store.lanes.clear()  # as in another process
    bench.transport.jammed = False
    bench.finish(worker=bench.another())
    (latency,) = heard.seconds["actp_tx_confirmation_latency_seconds",]
    assert 40 <= latency < 60


def test_replacements_are_counted_apart_from_calls(chain, file_store, accounts, heard: Heard):
    bench = Bench(JammedPool(chain), file_store, accounts[0].private_key, stuck_after=0.05)
    (job,) = bench.enqueue(1)
    bench.work(lambda: len(bench.box.attempts_of(job)) >= 3)
    assert heard.counts["actp_tx_signed",] == 1
    assert heard.counts["actp_tx_replaced",] == len(bench.box.attempts_of(job)) - 1


def test_dead_letters_are_counted_by_their_code_wherever_they_are_given_up(bench, faulty, heard: Heard, token):
    bench.box.submit(Intent(token, TOKEN.call_data("transfer", [PAYEE, 5])), "poor")
    bench.finish()
    assert heard.counts["actp_tx_dead", "reverted"] == 1
    faulty.once(SEND, raises(RpcError(-32000, "sender is blocked by policy")))
    bench.enqueue(1)
    bench.work(lambda: bench.job(0).status is IntentStatus.DEAD)
    assert heard.counts["actp_tx_dead", "send_error"] == 1


@pytest.mark.parametrize(("decision", "dead"), [(Decision.DENY, 1), (Decision.HOLD, 0)])
def test_what_a_gate_denies_is_dead_and_what_it_holds_is_not(faulty, file_store, accounts, heard, decision, dead):
    class Strict:
        def decide(self, job):
            return Refusal(decision, "too much")

    sender = Sender(faulty, LocalSigner(accounts[0].private_key), chain_id=31337, store=file_store, gate=Strict())
    with pytest.raises(Stopped):
        sender.send(PAYEE, value=1)
    assert heard.counts["actp_tx_dead", "denied"] == dead
