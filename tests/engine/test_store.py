"""What every store must do, whichever database it is: in memory, in a file, in PostgreSQL."""

import sqlite3
import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text

from actp.engine import lane as lane_module
from actp.engine.gates import Paused
from actp.engine.intents import Intent, Kind, Settled, Submission
from actp.engine.lane import Lane, lane_of
from actp.engine.outbox import Outbox
from actp.engine.store import OtherChain, StoreBusy, StoreError, StoreFull, attempts, database, open_store, outbox
from actp.engine.store.database import journal_mode
from actp.engine.store.leases import LeaseLost
from actp.engine.store.migrate import upgrade
from actp.engine.store.outbox import KeyConflict
from actp.engine.store.schema import HEAD, AttemptState, IntentStatus, metadata
from actp.errors import ConfigError, InvalidInput, SendError
from actp.types import EthTransaction

CHAIN = 31337
GENESIS = "0x" + "aa" * 32
ADDRESS = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
durable = pytest.mark.parametrize("url", ["file", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True)
CALL = Intent("0x" + "05" * 20, b"\x01\x02", 7, 50_000)


@pytest.fixture
def box(store):
    return Outbox(store, CHAIN, ADDRESS)


@pytest.fixture
def lane(store, box):
    return lane_of(store, CHAIN, ADDRESS, GENESIS)


def other_lane(store):
    """The lane as another process has it: with a lease and a memory of its own."""
    return Lane(store, CHAIN, ADDRESS, GENESIS)


def signed(job, nonce, *, fee=10, mark=""):
    fields = EthTransaction(CHAIN, nonce, CALL.to, CALL.value, CALL.data, 50_000, fee, 1)
    name = f"{mark or job.id}-{nonce}-{fee}".encode().hex()
    return Submission(ADDRESS, nonce, "0x" + name.rjust(64, "0"), fields, name.encode(), GENESIS, (), job.id)


def open_one(lane, box, key="a", nonce=0):
    job = box.submit(CALL, key)
    one = signed(job, nonce)
    with lane.turn(1, keep=True):
        lane.store_signed([one])
    return job, one


class TestOutbox:
    def test_the_same_key_and_body_is_one_job(self, box):
        first = box.submit(CALL, "order-1")
        assert box.submit(CALL, "order-1") == first
        assert (first.status, first.kind, first.intent) == (IntentStatus.QUEUED, Kind.CALL, CALL)
        assert box.count() == {IntentStatus.QUEUED: 1}

    @pytest.mark.parametrize(
        "other",
        [
            Intent("0x" + "06" * 20, CALL.data, 7, 50_000),
            Intent(CALL.to, b"\x01", 7, 50_000),
            Intent(CALL.to, CALL.data, 8, 50_000),
            Intent(CALL.to, CALL.data, 7, None),
            Intent(None, CALL.data, 7, 50_000),
        ],
    )
    def test_the_same_key_for_another_call_is_refused(self, box, other):
        box.submit(CALL, "order-1")
        with pytest.raises(KeyConflict, match="order-1"):
            box.submit(other, "order-1")

    def test_one_commit_takes_many_and_those_that_are_there_once(self, box):
        box.submit(CALL, "k3")
        jobs = box.submit_all([(f"k{index}", CALL) for index in range(1_200)])
        assert len({job.id for job in jobs}) == 1_200
        assert [job.key for job in jobs] == [f"k{index}" for index in range(1_200)]
        assert box.count() == {IntentStatus.QUEUED: 1_200}

    def test_what_a_caller_enqueues_in_its_own_transaction_ends_with_it(self, store, box):
        with store.engine.connect() as connection:
            box.submit(CALL, "mine", connection=connection)
            connection.rollback()
        assert box.find("mine") is None
        with store.engine.begin() as connection:
            connection.execute(text("CREATE TABLE theirs (name VARCHAR(10))"))
            connection.execute(text("INSERT INTO theirs VALUES ('paid')"))
            box.submit(CALL, "mine", connection=connection)
        assert box.find("mine") is not None

    @durable
    def test_nobody_sees_a_job_before_its_callers_commit(self, store, box):
        with store.engine.begin() as connection:
            box.submit(CALL, "mine", connection=connection)
            with store.read() as other:
                assert outbox.due(other, box.lane_id, store.clock.time() + 1, 10) == []

    def test_a_conflict_leaves_the_callers_transaction_usable(self, store, box):
        box.submit(CALL, "a")
        with store.engine.begin() as connection:
            with pytest.raises(KeyConflict):
                box.submit(Intent(None, b"x"), "a", connection=connection)
            box.submit(CALL, "b", connection=connection)
        assert box.find("b") is not None

    def test_amounts_larger_than_the_databases_integers_are_kept(self, box):
        huge = Intent(None, b"", 2**256 - 1, None)
        box.submit(huge, "huge")
        assert box.find("huge").intent == huge

    @pytest.mark.parametrize("key", ["", "x" * 201])
    def test_keys_that_no_column_holds_are_refused(self, box, key):
        with pytest.raises(InvalidInput):
            box.submit(CALL, key)

    def test_what_is_due_comes_in_order_and_what_is_later_does_not(self, store, box):
        jobs = [box.submit(CALL, key) for key in "abc"]
        now = store.clock.time()
        with store.write() as connection:
            outbox.postpone(connection, jobs[0].id, now + 60, now, code="later", reason="wait", nonce_free=False)
        with store.read() as connection:
            assert [job.key for job in outbox.due(connection, box.lane_id, now, 10)] == ["b", "c"]
            assert [job.key for job in outbox.due(connection, box.lane_id, now + 60, 10)] == ["a", "b", "c"]


class TestLease:
    def test_one_writer_at_a_time(self, store, lane):
        other = other_lane(store)
        with lane.turn(1, keep=True):
            pass
        with pytest.raises(SendError, match="Another process"), other.turn(0.05):
            pass

    def test_a_released_lease_goes_to_the_next_who_knows_that_others_wrote(self, store, lane):
        other = other_lane(store)
        with lane.turn(1, keep=True):
            lane.fresh = False
        lane.flush(release=True)
        with lane.turn(1, keep=True):
            assert not lane.fresh  # nobody came between
        lane.flush(release=True)
        with other.turn(1, keep=True):
            other.fresh = False
        other.flush(release=True)
        with lane.turn(1):
            assert lane.fresh

    def test_a_frozen_writer_is_overtaken_and_writes_nothing_any_more(self, store, lane, box, clock):
        with lane.turn(1, keep=True):
            job = box.submit(CALL, "a")
            other = other_lane(store)
            with pytest.raises(SendError), other.turn(0.01):
                pass
            clock.advance(31)
            with other.turn(1, keep=True):
                assert other.lease.token == lane.lease.token + 1
            with pytest.raises(LeaseLost):
                lane.store_signed([signed(job, 0)])
            assert box.find("a").status is IntentStatus.QUEUED
            assert box.attempts_of(job) == []

    def test_a_writer_that_writes_is_not_overtaken_however_long_it_works(self, store, lane, box, clock):
        other = other_lane(store)
        for nonce in range(4):
            open_one(lane, box, f"k{nonce}", nonce)
            with pytest.raises(SendError), other.turn(0.01):
                pass
            clock.advance(20)

    @pytest.mark.parametrize("seconds", [3_600, -59])
    def test_a_clock_that_is_set_does_not_break_a_lease(self, store, lane, clock, seconds):
        """Back by an hour, and forward by less than what tells a dead holder from the wall clock alone."""
        with lane.turn(1, keep=True):
            pass
        clock.set_back(seconds)
        other = other_lane(store)
        with pytest.raises(SendError), other.turn(0.01):
            pass
        with store.write() as connection:
            lane.lease.fence(connection)

    def test_a_dead_writer_is_overtaken_although_the_clock_was_set_back(self, store, lane, clock):
        with lane.turn(1, keep=True):
            pass
        clock.set_back(3_600)
        other = other_lane(store)
        with pytest.raises(SendError), other.turn(0.01):
            pass
        clock.advance(30)
        with other.turn(1):
            assert other.lease.token == lane.lease.token + 1

    def test_two_that_take_a_free_lease_together_do_not_both_get_it(self, store, lane):
        lanes = [lane, *(other_lane(store) for _ in range(3))]
        got = []
        start = threading.Barrier(len(lanes))

        def take(one):
            start.wait()
            try:
                with one.turn(0.2, keep=True):
                    got.append(one)
            except SendError:
                pass

        threads = [threading.Thread(target=take, args=[one]) for one in lanes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(got) == 1


class TestAttempts:
    def test_nonce_and_bytes_are_stored_together_or_not_at_all(self, store, lane, box):
        jobs = box.submit_all([("a", CALL), ("b", CALL)])
        twice = [signed(jobs[0], 0, mark="x"), signed(jobs[1], 1, mark="x")]
        twice[1] = Submission(ADDRESS, 1, twice[0].tx_hash, twice[1].fields, b"y", GENESIS, (), jobs[1].id)
        with lane.turn(1, keep=True):
            with pytest.raises(StoreError, match="not what this process remembers"):
                lane.store_signed(twice)
            assert lane.free_nonces(2) == [0, 1]
        assert box.count() == {IntentStatus.QUEUED: 2}
        assert box.attempts_of(jobs[0]) == []

    def test_a_job_that_was_cancelled_meanwhile_is_not_signed_for(self, store, lane, box):
        jobs = box.submit_all([("a", CALL), ("b", CALL)])
        with store.write() as connection:
            assert outbox.move(connection, [jobs[1].id], [IntentStatus.QUEUED], IntentStatus.CANCELLED, 0) == 1
        with lane.turn(1, keep=True), pytest.raises(SendError, match="cancelled"):
            lane.store_signed([signed(jobs[0], 0), signed(jobs[1], 1)])
        assert box.count() == {IntentStatus.QUEUED: 1, IntentStatus.CANCELLED: 1}

    def test_what_has_a_nonce_is_not_cancelled(self, store, lane, box):
        job, _ = open_one(lane, box)
        with store.write() as connection:
            assert outbox.move(connection, [job.id], [IntentStatus.QUEUED], IntentStatus.CANCELLED, 0) == 0

    def test_a_pause_stops_the_commit(self, store, lane, box):
        class Everything:
            def reason(self, connection, job):
                return f"{job.key} is suspicious"

        job = box.submit(CALL, "a")
        with lane.turn(1, keep=True), pytest.raises(Paused, match="a is suspicious"):
            lane.store_signed([signed(job, 0)], hold=Everything())
        assert box.find("a").status is IntentStatus.QUEUED

    def test_another_process_reads_back_what_was_signed(self, store, lane, box):
        job, first = open_one(lane, box)
        second = Submission(
            ADDRESS, 0, "0x" + "22" * 32, signed(job, 0, fee=20).fields, b"second", GENESIS, (first,), job.id
        )
        with lane.turn(1, keep=True):
            lane.store_signed([second], again=True)
        lane.flush(release=True)
        other = other_lane(store)
        with other.turn(1):
            assert other.opened() == [second]
            assert other.free_nonces(1) == [1]
        assert other.find(first.tx_hash) == other.find(second.tx_hash) == second
        assert other.find("0x" + "99" * 32) is None

    def test_whichever_signature_lands_the_others_are_replaced(self, lane, box):
        job, first = open_one(lane, box)
        second = Submission(
            ADDRESS, 0, "0x" + "22" * 32, signed(job, 0, fee=20).fields, b"second", GENESIS, (first,), job.id
        )
        with lane.turn(1, keep=True):
            lane.store_signed([second], again=True)
            lane.noted([second], AttemptState.ACCEPTED)
        lane.settled([Settled(job.id, 0, first.tx_hash, 5, "0x" + "bb" * 32, True)])
        assert [one.state for one in box.attempts_of(job)] == [AttemptState.SEALED, AttemptState.REPLACED]
        assert (box.find("a").status, box.find("a").tx_hash) == (IntentStatus.MINED, first.tx_hash)
        assert lane.opened() == []
        assert lane.mined == 1

    def test_what_was_withdrawn_gives_its_nonce_to_the_next(self, lane, box):
        job, one = open_one(lane, box)
        with lane.turn(1, keep=True):
            lane.withdrawn(one, code="send_error", reason="refused")
            assert lane.free_nonces(1) == [0]
        dead = box.find("a")
        assert (dead.status, dead.nonce, dead.code, dead.reason) == (IntentStatus.DEAD, None, "send_error", "refused")
        assert [one.state for one in box.attempts_of(job)] == [AttemptState.REFUSED]

    @durable
    def test_what_a_reorganisation_took_is_open_again_with_its_bytes(self, store, lane, box):
        jobs = [open_one(lane, box, f"k{nonce}", nonce) for nonce in range(3)]
        for (job, one), block in zip(jobs, (5, 6, 6), strict=True):
            lane.settled([Settled(job.id, one.nonce, one.tx_hash, block, "0x" + "bb" * 32, True)])
        with lane.turn(1, keep=True):
            lane.taken_back(1)
            assert lane.opened() == [jobs[1][1], jobs[2][1]]
            assert lane.free_nonces(1) == [3]
        assert [box.find(f"k{nonce}").status for nonce in range(3)] == ["mined", "open", "open"]

    def test_only_a_store_in_memory_forgets_what_was_mined_long_ago(self, store, lane, box, monkeypatch):
        monkeypatch.setattr(lane_module, "_REMEMBERED", 4)
        for nonce in range(10):
            job, one = open_one(lane, box, f"k{nonce}", nonce)
            lane.settled([Settled(job.id, nonce, one.tx_hash, 5, "0x" + "bb" * 32, True)])
        kept = [nonce for nonce in range(10) if box.find(f"k{nonce}") is not None]
        assert kept == list(range(10) if store.durable else range(4, 10))
        assert lane.seen(one.tx_hash)

    def test_gaps_are_seen(self, lane, box):
        for nonce in (0, 3):
            open_one(lane, box, f"k{nonce}", nonce)
        assert lane.gaps() == [1, 2]
        assert lane.free_nonces(3) == [1, 2, 4]


class TestDatabase:
    def test_another_chain_under_the_same_id_stops_the_store(self, store):
        store.bind(CHAIN, GENESIS)
        store.bind(CHAIN, GENESIS, kernel=ADDRESS, kernel_code_hash="0x01")
        store.bind(CHAIN + 1, "0x" + "cc" * 32)
        for other in (
            {"genesis": "0x" + "bb" * 32},
            {"genesis": GENESIS, "kernel": "0x" + "05" * 20},
            {"genesis": GENESIS, "kernel_code_hash": "0x02"},
        ):
            with pytest.raises(OtherChain) as caught:
                store.bind(CHAIN, **other)
            assert caught.value.outcome == "not_sent"

    def test_migrations_lead_to_the_tables_that_a_new_store_has(self, url, tmp_path):
        engine = (
            database._sqlite(database.parse_url(url), False)
            if url == "sqlite://"
            else create_engine(database.parse_url(url))
        )
        upgrade(engine)
        with engine.connect() as connection:
            context = MigrationContext.configure(connection)
            assert compare_metadata(context, metadata) == []
            assert context.get_current_revision() == HEAD
        engine.dispose()

    @durable
    def test_a_store_is_opened_again_with_what_is_in_it(self, store, url, box):
        box.submit(CALL, "a")
        again = open_store(url)
        assert Outbox(again, CHAIN, ADDRESS).find("a").intent == CALL
        again.close()

    @durable
    def test_a_store_of_a_later_version_is_refused(self, store, url):
        with store.write() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        with pytest.raises(StoreError, match="version"):
            open_store(url)

    def test_a_database_with_other_tables_is_not_written_into(self, tmp_path):
        path = tmp_path / "theirs.db"
        engine = create_engine(f"sqlite:///{path}")
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE intents (id INTEGER)"))
        with pytest.raises(StoreError, match="database of its own"):
            open_store(path)

    @pytest.mark.parametrize(
        "bad",
        [
            "", ".", "mysql://user:hunter2@host/db", "no url", "sqlite", "sqlite:outbox.db", "postgresql:/host/x.db",
            "user:hunter2@host/name.db", "host=here password=hunter2 dbname=x.db",
        ],
    )  # fmt: skip
    def test_a_url_that_is_none_is_refused_without_being_shown(self, bad, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(ConfigError) as caught:
            open_store(bad)
        assert "hunter2" not in str(caught.value)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("name", ["new.db", "new.sqlite", "./new", "sub/new.sqlite3", "{absolute}/new.db"])
    def test_a_path_may_be_that_of_a_file_that_is_not_there_yet(self, name, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "sub").mkdir()
        path = name.format(absolute=tmp_path)
        open_store(path).close()
        assert (tmp_path / path).is_file()

    def test_a_locked_database_is_a_typed_error(self, tmp_path, monkeypatch):
        monkeypatch.setattr(database, "_BUSY_SECONDS", 0.05)
        mine, theirs = (open_store(tmp_path / "outbox.db") for _ in range(2))
        with theirs.write(), pytest.raises(StoreBusy) as caught, mine.write():
            pass
        assert (caught.value.retryable, caught.value.outcome) == (True, "not_sent")

    def test_a_full_disk_is_a_typed_error_and_leaves_nothing_behind(self, tmp_path):
        store = open_store(tmp_path / "outbox.db")
        box = Outbox(store, CHAIN, ADDRESS)
        with store.engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 1}")
        large = [(f"k{index}", Intent(None, b"x" * 30_000)) for index in range(10)]
        with pytest.raises(StoreFull) as caught:
            box.submit_all(large)
        assert (caught.value.retryable, caught.value.outcome) == (True, "not_sent")
        assert box.count() == {}

    def test_a_folder_that_does_not_exist_is_a_typed_error(self, tmp_path):
        with pytest.raises(StoreError):
            open_store(tmp_path / "nowhere" / "outbox.db")


def test_all_states_of_an_attempt_are_live_mined_or_over():
    over = {AttemptState.REPLACED, AttemptState.REFUSED}
    assert {*attempts.LIVE, *attempts.MINED, *over} == set(AttemptState)


@pytest.mark.parametrize(
    ("version", "mode"),
    [
        ((3, 40, 1), "TRUNCATE"),
        ((3, 44, 5), "TRUNCATE"),
        ((3, 44, 6), "WAL"),
        ((3, 45, 0), "TRUNCATE"),
        ((3, 50, 6), "TRUNCATE"),
        ((3, 50, 7), "WAL"),
        ((3, 51, 2), "TRUNCATE"),
        ((3, 51, 3), "WAL"),
        ((3, 52, 0), "WAL"),
    ],
)
def test_a_write_ahead_log_that_two_checkpoints_can_damage_is_not_used(version, mode):
    assert journal_mode(version) == mode


def test_a_file_is_written_in_the_mode_that_suits_this_sqlite(tmp_path):
    store = open_store(tmp_path / "outbox.db")
    with store.read() as connection:
        mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
        synchronous = connection.exec_driver_sql("PRAGMA synchronous").scalar()
    assert (str(mode).upper(), synchronous) == (journal_mode(sqlite3.sqlite_version_info), 2)
