"""What one eth transaction may cost in all is capped for workers as it is for senders."""

from actp.engine.fees import FeePolicy
from actp.engine.store.schema import IntentStatus
from tests.engine.helpers import SEND
from tests.engine.worker_support import Bench, paid


def test_a_cost_above_the_cap_is_not_paid_and_nothing_is_signed(chain, faulty, file_store, accounts):
    bench = Bench(faulty, file_store, accounts[0].private_key, tries=1_000)
    bench.worker._pricing.policy = FeePolicy(max_total_wei=1)
    (job,) = bench.enqueue(1)
    bench.work(lambda: bench.job(0).code == "fee_too_high")
    for _ in range(10):
        bench.worker.step()
    assert faulty.count(SEND) == 0
    assert bench.box.attempts_of(job) == []
    assert bench.job(0).status is IntentStatus.QUEUED
    bench.worker._pricing.policy = FeePolicy()
    bench.finish()
    assert paid(chain) == [0]
