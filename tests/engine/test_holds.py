"""An account whose sends can be paused: nobody signs for it who would not notice a pause."""

from __future__ import annotations

import threading

import pytest
from alembic import command
from sqlalchemy import create_engine, text

from actp.engine import Sender, open_store
from actp.engine.gates import HoldMissing
from actp.engine.store import database, leases, migrate
from actp.engine.store.schema import HEAD, IntentStatus
from actp.signers import LocalSigner
from tests.engine.worker_support import PAYEE, Bench, paid


class Pause:
    """A hold that stops everything while it is on."""

    on = False

    def reason(self, connection, job):
        return "look first" if self.on else None


@pytest.fixture
def pause():
    return Pause()


@pytest.fixture
def bench(faulty, file_store, accounts, pause):
    """An outbox whose lane demands a hold, and a worker that has one."""
    bench = Bench(faulty, file_store, accounts[0].private_key, hold=pause)
    demand(bench)
    return bench


def demand(bench):
    with bench.store.write() as connection:
        leases.demand_hold(connection, bench.box.lane_id)


def without_hold(bench, store=None):
    bench.options["hold"] = None
    return bench.another(store)


def test_a_worker_without_a_hold_signs_nothing_on_a_lane_that_needs_one(chain, bench, pause):
    pause.on = True
    bench.enqueue(1)
    plain = without_hold(bench)
    with pytest.raises(HoldMissing) as caught:
        plain.step()
    assert caught.value.code == "hold_missing"
    assert bench.signer.address in str(caught.value)
    assert "Lifecycle" in caught.value.hint
    assert "`hold`" in caught.value.hint
    assert bench.statuses() == {"k0": "queued"}
    assert paid(chain) == []


def test_its_run_ends_with_that_error_instead_of_waiting_for_ever(bench):
    stop = threading.Event()
    later = threading.Timer(5, stop.set)
    later.start()
    try:
        with pytest.raises(HoldMissing):
            without_hold(bench).run(stop)
    finally:
        later.cancel()


def test_it_does_not_keep_those_out_that_have_a_hold(chain, bench, tmp_path):
    bench.enqueue(1)
    plain = without_hold(bench, open_store(tmp_path / "outbox.db"))
    with pytest.raises(HoldMissing):
        plain.step()
    bench.finish(seconds=5)
    assert paid(chain) == [0]


def test_a_demand_that_comes_while_a_worker_signs_stops_its_commit(chain, faulty, file_store, accounts):
    class Slow:
        address = LocalSigner(accounts[0].private_key).address

        def sign_transaction(self, fields):
            demand(bench)
            return bench.signer.sign_transaction(fields)

    bench = Bench(faulty, file_store, accounts[0].private_key)
    bench.enqueue(2)
    bench.worker._signer = Slow()
    with pytest.raises(HoldMissing):
        bench.worker.step()
    assert bench.box.count() == {IntentStatus.QUEUED: 2}
    assert paid(chain) == []
    with file_store.read() as connection:
        row = leases.find_lane(connection, 31337, bench.signer.address)
    assert row is not None
    assert row.holder is None, "the lease is given back at once"


def test_a_sender_without_a_hold_is_told_that_nothing_was_sent(chain, bench, file_store):
    plain = Sender(chain, bench.signer, chain_id=31337, store=file_store, timeout=5)
    with pytest.raises(HoldMissing) as caught:
        plain.send(PAYEE, value=1)
    assert caught.value.outcome == "not_sent"
    assert bench.box.count() == {IntentStatus.CANCELLED: 1}
    assert paid(chain) == []


def test_one_with_a_hold_sends(chain, bench, file_store, pause):
    Sender(chain, bench.signer, chain_id=31337, store=file_store, timeout=5, hold=pause).send(PAYEE, value=1)
    assert paid(chain) == [0]


def test_other_accounts_of_the_store_need_none(chain, bench, faulty, file_store, accounts):
    other = Bench(faulty, file_store, accounts[1].private_key)
    other.enqueue(1)
    other.finish()
    assert paid(chain) == [0]


@pytest.mark.parametrize("url", ["file", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True)
def test_a_store_of_the_version_before_gets_on_with_what_is_in_it(url, accounts):
    """Its lanes demand nothing until somebody does."""
    engine = create_engine(database.parse_url(url))
    config = migrate._config()
    address = LocalSigner(accounts[0].private_key).address
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            text("INSERT INTO lanes (chain_id, address, token, beats, beat_at) VALUES (31337, :address, 3, 7, 1.5)"),
            {"address": address},
        )
    engine.dispose()
    store = open_store(url)
    with store.write() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == HEAD
        lane = leases.require_lane(connection, 31337, address)
        assert (lane.token, lane.beats) == (3, 7)
        assert not leases.needs_hold(connection, lane.id)
        leases.demand_hold(connection, lane.id)
        assert leases.needs_hold(connection, lane.id)
    store.close()
