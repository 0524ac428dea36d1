"""Workers of several processes on one key: one works, the others wait and send nothing, and none of them dies of it."""

import threading
import time

import pytest

from actp.engine.store import open_store
from actp.engine.store.schema import IntentStatus
from tests.engine.helpers import SEND
from tests.engine.worker_support import Bench, nonces, paid

WORKERS = 3
COUNT = 25
durable = pytest.mark.parametrize("url", ["file", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True)


@durable
def test_who_comes_second_sends_nothing_until_the_first_lets_go(chain, faulty, url, accounts):
    first = Bench(faulty, open_store(url), accounts[0].private_key)
    second = Bench(faulty, open_store(url), accounts[0].private_key)
    first.worker.step()
    second.enqueue(2)
    for _ in range(5):
        assert second.worker.step() is False
    assert faulty.count(SEND) == 0
    first.finish()
    first.worker.release()
    second.enqueue(1, start=2)
    second.finish()
    assert paid(chain) == [0, 1, 2]
    assert nonces(chain, first.signer.address) == 3


@durable
def test_workers_that_run_together_pay_each_once_and_all_survive(chain, faulty, url, accounts):
    benches = [Bench(faulty, open_store(url), accounts[0].private_key) for _ in range(WORKERS)]
    stop = threading.Event()
    died = []

    def run(bench):
        try:
            bench.worker.run(stop)
        except BaseException as error:
            died.append(error)
            raise

    threads = [threading.Thread(target=run, args=[bench]) for bench in benches]
    for thread in threads:
        thread.start()
    for index in range(COUNT):
        benches[index % WORKERS].enqueue(1, start=index)
        time.sleep(0.01)
    end = time.monotonic() + 30
    while benches[0].box.count().get(IntentStatus.MINED, 0) < COUNT and not died and time.monotonic() < end:
        time.sleep(0.02)
    stop.set()
    for thread in threads:
        thread.join()
    assert died == []
    assert paid(chain) == list(range(COUNT))
    assert nonces(chain, benches[0].signer.address) == COUNT
