"""A refusal proves nothing about bytes that another node may have; and what is refused for good comes to an end."""

import time

import pytest

from actp.engine import Sender
from actp.engine.store import open_store
from actp.engine.store.schema import AttemptState, IntentStatus
from actp.errors import OutcomeUnknown, RpcError, RpcUnavailable
from actp.testing import FaultyTransport
from tests.engine.helpers import SEND, answers, raises, taken_but_raises
from tests.engine.worker_support import PAYEE, Bench, nonces, paid

LOST = RpcUnavailable("the connection broke", outcome="unknown")
NO_FUNDS = RpcError(-32000, "insufficient funds for gas * price + value: balance 1, tx cost 2, overshot 1")
POLICY = RpcError(-32000, "sender is blocked by policy")
TAKEN = {"lost": raises(LOST), "accepted": answers("0x" + "11" * 32)}


@pytest.fixture
def bench(faulty, file_store, accounts):
    return Bench(faulty, file_store, accounts[0].private_key)


class Kept:
    """A node of the network takes the bytes, and mines them when it is told to."""

    def __init__(self, chain: FaultyTransport, faulty: FaultyTransport, then: str, *after: RpcError) -> None:
        self._chain = chain
        self.raw: list[str] = []

        def take(go_on, params):
            self.raw.append(params[0])
            return TAKEN[then](go_on, params)

        faulty.once(SEND, take, *map(raises, after))

    def mine(self) -> None:
        self._chain.request(SEND, [self.raw[0]])


@pytest.mark.parametrize("refusal", [NO_FUNDS, POLICY], ids=["no funds", "policy"])
@pytest.mark.parametrize("taken", TAKEN)
def test_bytes_that_may_have_been_taken_keep_their_nonce_when_another_node_refuses_them(
    chain, bench, faulty, taken, refusal
):
    kept = Kept(chain, faulty, taken, refusal)
    (job,) = bench.enqueue(1)
    bench.work(lambda: faulty.count(SEND) >= 2 and bench.job(0).code == "refused")
    assert bench.job(0).status is IntentStatus.OPEN
    assert bench.job(0).reason == f"Refused now, and perhaps taken before: {refusal.message}"
    kept.mine()
    bench.finish()
    assert [one.nonce for one in bench.box.attempts_of(job)] == [0]
    assert paid(chain) == [0]


def test_an_heir_takes_no_refusal_of_what_it_found_for_a_proof(chain, bench, faulty, file_store):
    kept = Kept(chain, faulty, "lost", POLICY)
    bench.enqueue(1)
    bench.work(lambda: len(kept.raw) == 1)
    bench.worker.release()
    heir = bench.another(open_store(file_store.engine.url.render_as_string()))
    heir.step()
    assert bench.job(0).status is IntentStatus.OPEN
    kept.mine()
    bench.finish(worker=heir)
    assert paid(chain) == [0]


def test_why_it_was_refused_is_forgotten_when_it_is_taken(bench, faulty):
    faulty.once(SEND, raises(LOST), raises(NO_FUNDS), answers("0x" + "11" * 32))
    bench.enqueue(1)
    bench.work(lambda: bench.job(0).code == "refused")
    bench.work(lambda: bench.job(0).code is None)
    assert bench.job(0).status is IntentStatus.OPEN


@pytest.mark.slow
def test_bytes_that_nobody_can_have_are_not_broadcast_by_who_waits_while_a_worker_has_the_lane(
    chain, bench, faulty, file_store
):
    """Else the worker, whose broadcast is refused, would take that for a proof."""
    seen = []

    def wait_elsewhere(go_on, params):
        sender = Sender(chain, bench.signer, chain_id=31337, store=open_store(file_store.engine.url.render_as_string()))
        with pytest.raises(OutcomeUnknown):
            sender.wait(sender.find_open(bench.box.attempts_of(bench.job(0))[0].tx_hash), timeout=1.2)
        seen.append(nonces(chain, bench.signer.address))
        raise POLICY

    faulty.once(SEND, wait_elsewhere)
    bench.enqueue(1)
    bench.work(lambda: bench.job(0).status is IntentStatus.DEAD)
    assert (seen, paid(chain)) == ([0], [])


@pytest.mark.slow
def test_who_waits_alone_brings_home_what_a_dead_process_only_signed(chain, bench, faulty, file_store, monkeypatch):
    def crash(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("actp.engine.handover.broadcast_all", crash)
    sender = Sender(chain, bench.signer, chain_id=31337, store=file_store)
    with pytest.raises(KeyboardInterrupt):
        sender.send(PAYEE, value=1)
    again = Sender(chain, bench.signer, chain_id=31337, store=open_store(file_store.engine.url.render_as_string()))
    with file_store.read() as connection:
        (tx_hash,) = connection.exec_driver_sql("SELECT tx_hash FROM attempts").scalars()
    assert again.wait(again.find_open(tx_hash), timeout=5).succeeded


@pytest.mark.parametrize("refusal", [NO_FUNDS, POLICY], ids=["tried again", "given up"])
def test_what_is_refused_and_mined_all_the_same_is_not_sent_again(chain, bench, faulty, refusal):
    faulty.once(SEND, taken_but_raises(refusal))
    (job,) = bench.enqueue(1)
    bench.work(lambda: bench.box.attempts_of(job)[:1] != [] and bench.job(0).status is not IntentStatus.OPEN)
    bench.enqueue(1, start=1)
    bench.finish()
    assert {bench.job(index).status for index in (0, 1)} == {IntentStatus.MINED}
    assert bench.job(0).tx_hash == bench.box.attempts_of(job)[0].tx_hash
    assert paid(chain) == [0, 1]
    assert nonces(chain, bench.signer.address) == 2


class TestTakingANonceBack:
    """What a node refuses for good, and another one may have, holds up everything after it."""

    @pytest.fixture
    def bench(self, faulty, file_store, accounts):
        return Bench(faulty, file_store, accounts[0].private_key, stuck_after=0.3)

    def refuse_calls(self, bench, faulty, taken="lost"):
        """A node that has a policy against the first call, and takes anything else."""
        kept = Kept(bench.transport, faulty, taken)

        def refuse(go_on, params):
            if PAYEE[2:] in params[0] and params[0] == kept.raw[0]:
                raise POLICY
            return go_on()

        faulty.always(SEND, refuse)
        return kept

    def test_a_transfer_of_nothing_ends_it_and_the_call_is_a_dead_letter(self, chain, bench, faulty):
        self.refuse_calls(bench, faulty)
        first, _ = bench.enqueue(2)
        bench.finish()
        assert paid(chain) == [1]
        job = bench.job(0)
        assert (job.status, job.code, job.nonce) == (IntentStatus.DEAD, "refused", None)
        assert "sender is blocked by policy" in job.reason
        call, nothing = bench.box.attempts_of(first)
        assert (call.nonce, nothing.nonce, nothing.gas) == (0, 0, 21_000)
        assert nothing.max_fee * 8 >= call.max_fee * 9
        assert nothing.tip * 8 >= call.tip * 9
        assert {call.state, nothing.state} == {AttemptState.REPLACED}
        assert nonces(chain, bench.signer.address) == 2

    def test_the_call_counts_if_it_is_mined_after_all(self, chain, bench, faulty):
        kept = Kept(chain, faulty, "lost")
        (job,) = bench.enqueue(1)

        def too_late(go_on, params):
            if params[0] == kept.raw[0]:
                raise POLICY
            if len(kept.raw) == 1:
                kept.mine()
                kept.raw.append(params[0])
            return go_on()

        faulty.always(SEND, too_late)
        bench.finish()
        assert len(bench.box.attempts_of(job)) == 2
        assert bench.job(0).status is IntentStatus.MINED
        assert bench.job(0).tx_hash == bench.box.attempts_of(job)[0].tx_hash
        assert paid(chain) == [0]

    @pytest.mark.slow
    def test_nothing_is_given_up_before_the_transfer_is_buried(self, chain, faulty, file_store, accounts):
        bench = Bench(faulty, file_store, accounts[0].private_key, stuck_after=0.3, buried=2)
        self.refuse_calls(bench, faulty)
        (job,) = bench.enqueue(1)
        bench.work(lambda: bench.job(0).code == "refused")
        end = time.monotonic() + 0.6
        while time.monotonic() < end:
            bench.worker.step()
        assert len(bench.box.attempts_of(job)) == 1  # no block has come since: it may yet be mined
        chain.mine(2)
        bench.work(lambda: nonces(chain, bench.signer.address) == 1)
        for _ in range(10):
            bench.worker.step()
            time.sleep(0.01)
        assert bench.job(0).status is IntentStatus.OPEN
        chain.mine(2)
        bench.finish()
        assert bench.job(0).status is IntentStatus.DEAD

    def test_an_heir_knows_the_transfer_from_the_call(self, chain, bench, faulty, file_store):
        self.refuse_calls(bench, faulty)
        (job,) = bench.enqueue(1)
        faulty.always(SEND, raises(POLICY))
        bench.work(lambda: len(bench.box.attempts_of(job)) == 2)
        bench.worker.release()
        faulty.always(SEND, lambda go_on, params: go_on())
        heir = bench.another(open_store(file_store.engine.url.render_as_string()))
        bench.finish(worker=heir)
        assert bench.job(0).status is IntentStatus.DEAD
        assert paid(chain) == []

    def test_a_lack_of_ether_is_waited_out(self, chain, bench, faulty):
        faulty.once(SEND, raises(LOST), *[raises(NO_FUNDS)] * 3)
        (job,) = bench.enqueue(1)
        bench.finish()
        assert bench.job(0).status is IntentStatus.MINED
        assert all(one.gas == bench.box.attempts_of(job)[0].gas for one in bench.box.attempts_of(job))
        assert paid(chain) == [0]
