"""Gaps are filled once, however long the fill has to wait, and not at all when something else closed them."""

import pytest

from actp.engine.intents import Kind
from actp.engine.store import outbox
from actp.engine.store.schema import IntentStatus
from actp.errors import RpcError
from tests.engine.helpers import SEND, raises
from tests.engine.worker_support import Bench, nonces, paid

POLICY = RpcError(-32000, "sender is blocked by policy")
NO_FUNDS = RpcError(-32000, "insufficient funds for gas * price + value: balance 1, tx cost 2, overshot 1")


class Pause:
    def __init__(self):
        self.on = False

    def reason(self, connection, job):
        return "a breach" if self.on else None


@pytest.fixture
def pause():
    return Pause()


@pytest.fixture
def bench(faulty, file_store, accounts, pause):
    return Bench(faulty, file_store, accounts[0].private_key, hold=pause)


def fills(bench):
    with bench.store.read() as connection:
        return [job for job in outbox.listed(connection, limit=1_000) if job.kind is Kind.FILL]


def go_on(go_on, params):
    return go_on()


def leave_a_gap(bench, faulty, pause):
    """The second of four is refused, and sends are paused before its nonce is filled."""

    def refuse(go_on, params):
        pause.on = True
        raise POLICY

    faulty.once(SEND, go_on, refuse)
    bench.enqueue(4)
    for _ in range(60):
        bench.worker.step()


def test_a_pause_puts_in_one_fill_for_a_gap_and_the_end_of_it_pays_for_one(chain, bench, faulty, pause):
    leave_a_gap(bench, faulty, pause)
    assert [job.status for job in fills(bench)] == [IntentStatus.QUEUED]
    pause.on = False
    bench.finish()
    assert paid(chain) == [0, 2, 3]
    assert nonces(chain, bench.signer.address) == 4


def test_a_fill_that_is_not_needed_any_more_is_not_paid_for(chain, bench, faulty, pause):
    leave_a_gap(bench, faulty, pause)
    (fill,) = fills(bench)
    with bench.store.write() as connection:
        outbox.postpone(connection, fill.id, fill.due_at + 0.3, fill.updated_at, code="x", reason="x", nonce_free=False)
    bench.enqueue(1, start=4)
    pause.on = False
    bench.finish()
    assert paid(chain) == [0, 2, 3, 4]
    assert nonces(chain, bench.signer.address) == 4
    assert [job.status for job in fills(bench)] == [IntentStatus.CANCELLED]


def test_a_fill_that_the_account_cannot_pay_for_is_tried_again_and_not_doubled(bench, faulty):
    faulty.once(SEND, go_on, raises(POLICY), go_on, go_on)
    faulty.always(SEND, raises(NO_FUNDS))
    bench.enqueue(4)
    for _ in range(60):
        bench.worker.step()
    assert len(fills(bench)) == 1
    assert fills(bench)[0].status in (IntentStatus.QUEUED, IntentStatus.OPEN)
