"""Threads that share an account: in turn, patient, and quiet while they wait."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from actp.engine import Sender
from actp.engine.turns import Turns
from actp.errors import OutcomeUnknown, SendError
from actp.signers import LocalSigner
from tests.engine.helpers import SEND, answers, balance_of, mint

THREADS = 20


def test_turns_are_taken_in_the_order_of_asking():
    turns = Turns()
    order = []

    def take(index):
        with turns.turn(5):
            order.append(index)

    with ThreadPoolExecutor(THREADS) as pool, turns.turn(1):
        for index in range(THREADS):
            pool.submit(take, index)
            while len(turns._queue) < index + 2:
                time.sleep(0.001)
    assert order == list(range(THREADS))


def test_who_gives_up_waiting_leaves_the_turn_to_the_next():
    turns = Turns()
    with turns.turn(1), pytest.raises(SendError, match="handed over"), turns.turn(0.01):
        pass
    with turns.turn(0.01):
        pass


@pytest.mark.slow
def test_a_slow_hand_over_of_one_thread_does_not_fail_the_others(chain, faulty, accounts, token):
    sender = Sender(faulty, LocalSigner(accounts[0].private_key), chain_id=31337, timeout=10, handover_timeout=0.1)

    def slow(go_on, params):
        time.sleep(0.4)
        return go_on()

    faulty.once(SEND, slow, slow)
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(sender.send, token, mint(sender.address, 1)) for _ in range(4)]
        assert all(job.result(timeout=20).succeeded for job in jobs)
    assert balance_of(chain, token, sender.address) == 4


@pytest.mark.slow
def test_waiting_threads_do_not_broadcast_each_others_bytes(faulty, accounts, token):
    sender = Sender(faulty, LocalSigner(accounts[0].private_key), chain_id=31337, timeout=1.5)
    faulty.always(SEND, answers("0x"))
    submissions = [sender.submit(token, mint(sender.address, index + 1)) for index in range(THREADS)]

    def wait(submission):
        with pytest.raises(OutcomeUnknown):
            sender.wait(submission)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(wait, submissions))
    # Each one once to hand it over and once more after a second, and the lowest nonce for all of them together.
    assert faulty.count(SEND) <= 2 * THREADS + 2


@pytest.mark.slow
def test_a_lost_nonce_in_the_middle_is_brought_home_by_those_who_wait_for_it(chain, faulty, accounts, token):
    """The threads of the lost ones are gone; only the last one waits, and the chain takes no later nonce first."""
    sender = Sender(faulty, LocalSigner(accounts[0].private_key), chain_id=31337)
    faulty.once(SEND, answers("0x"), answers("0x"), answers("0x"))
    for amount in (1, 10, 100):
        last = sender.submit(token, mint(sender.address, amount))
    assert sender.wait(last, timeout=20).succeeded
    assert balance_of(chain, token, sender.address) == 111
