"""What `actp doctor` says of the store: can it be used, does what is in it get on. To look changes nothing."""

import json
import sqlite3
import time

import pytest
from sqlalchemy import create_engine, text

from actp.cli import main
from actp.command_line import ExitCode
from actp.doctor import Report, Status, Subject
from actp.doctor.database import look_at_store
from actp.engine.intents import Intent
from actp.engine.lane import lane_of
from actp.engine.outbox import Outbox
from actp.engine.store import StoreError, open_store, outbox
from actp.engine.store.peeking import redacted
from actp.engine.store.schema import HEAD, IntentStatus
from actp.errors import ConfigError
from actp.types import Network

ADDRESS = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
OTHER = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
GENESIS = "0x" + "aa" * 32


@pytest.fixture
def path(tmp_path):
    return tmp_path / "outbox.db"


@pytest.fixture
def store(path):
    opened = open_store(path)
    opened.bind(31337, GENESIS, kernel=OTHER)
    yield opened
    opened.close()


def look(where, *, account=None, now=None, genesis=None, kernel=None):
    url = str(where) if "://" in str(where) else f"sqlite:///{where}"
    subject = Subject(Network.ANVIL, store=url, account=account)
    return look_at_store(subject, time.time() if now is None else now, genesis=genesis, kernel=kernel)


def check(findings, name):
    (one,) = [one for one in findings.checks if one.name == name]
    return one


def failed(findings, name):
    one = check(findings, name)
    assert one.status is Status.FAILED
    assert one.hint
    return one.detail


def fill(store):
    """A queued, an open, a stuck, a dead and an unknown call, and one of another account."""
    box = Outbox(store, 31337, ADDRESS)
    jobs = box.submit_all([(f"k{index}", Intent(OTHER)) for index in range(5)])
    Outbox(store, 31337, OTHER).submit(Intent(ADDRESS), "other")
    with store.write() as connection:
        outbox.open_with(connection, [(jobs[1].id, 0), (jobs[2].id, 1), (jobs[4].id, 2)], 0)
        outbox.explain(connection, jobs[2].id, 0, code="fee_too_high", reason="too high")
        outbox.move(connection, [jobs[3].id], [IntentStatus.QUEUED], IntentStatus.DEAD, 0, code="reverted")
        outbox.move(connection, [jobs[4].id], [IntentStatus.OPEN], IntentStatus.UNKNOWN, 0, code="nonce_used")
        outbox.explain_due(connection, box.lane_id, time.time(), code="fee_too_high", reason="too high")


def test_an_empty_store_is_in_order(store, path):
    findings = look(path, genesis=GENESIS, kernel=OTHER)
    assert {one.name for one in findings.checks} == {"database", "database writes", "outbox"}
    assert all(one.status is Status.OK for one in findings.checks)
    assert (findings.found.schema, findings.found.expected_schema, findings.found.writable) == (HEAD, HEAD, True)


def test_what_is_queued_in_flight_and_given_up_is_counted(store, path):
    fill(store)
    found = look(path, account=ADDRESS).found
    assert (found.queued, found.in_flight, found.stuck, found.dead, found.unknown) == (1, 2, 1, 1, 1)
    assert look(path).found.queued == 2
    assert look(path, account=ADDRESS.lower()).found.queued == 1


def test_dead_letters_stuck_ones_and_a_long_queue_are_warnings_that_say_where_to_look(store, path):
    fill(store)
    findings = look(path, account=ADDRESS, now=time.time() + 3 * 3_600)
    outbox_check = check(findings, "outbox")
    assert outbox_check.status is Status.WARNING
    assert "1 queued (the oldest for 3 h, fee_too_high), 2 in flight (1 of them stuck), 1 dead-lettered, 1 unknown" in (
        outbox_check.detail
    )
    for status in ("dead --status unknown", "open", "queued"):
        assert f"actp outbox list --status {status}" in outbox_check.hint
    assert 3 * 3_600 <= findings.found.oldest_queued_seconds < 3 * 3_600 + 60


def test_the_holder_of_the_lease_is_named_with_the_age_of_its_last_write(store, path):
    lane = lane_of(store, 31337, ADDRESS, GENESIS)
    name = f"lease of {ADDRESS}"
    assert check(look(path), name).detail == "free"
    with lane.turn(1, keep=True):
        held = check(look(path, now=time.time() + 5), name)
    assert (held.status, held.detail) == (Status.OK, f"held by {lane.lease.holder}, which wrote 5 s ago")
    dead = check(look(path, now=time.time() + 600), name)
    assert (dead.status, "wrote 10 min ago" in dead.detail) == (Status.WARNING, True)
    assert "takes it over" in dead.hint
    ahead = check(look(path, now=time.time() - 600), name)
    assert (ahead.status, "in the future" in ahead.detail) == (Status.WARNING, True)
    assert look(path, now=time.time() + 600).found.leases[0].holder == lane.lease.holder


@pytest.mark.slow
def test_a_locked_database_is_named_and_read_all_the_same(store, path):
    fill(store)
    with store.write():
        findings = look(path)
    assert "is locked" in failed(findings, "database writes")
    assert (findings.found.writable, findings.found.dead) == (False, 1)


def test_a_database_that_may_only_be_read_is_named(store, path):
    store.close()
    findings = look(f"sqlite:///file:{path}?mode=ro&uri=true")
    assert "may only be read" in failed(findings, "database writes")
    assert "right to write" in check(findings, "database writes").hint
    assert findings.found.writable is False


def test_a_newer_store_is_left_alone(store, path):
    with store.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    findings = look(path)
    assert f"newer version (revision 9999; this program knows up to {HEAD})" in failed(findings, "database")
    assert "Upgrade" in check(findings, "database").hint
    assert len(findings.checks) == 1


def test_an_older_store_is_not_upgraded_by_looking(store, path):
    with store.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    findings = look(path)
    assert check(findings, "database").status is Status.WARNING
    with store.read() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "0000"


def test_a_store_that_is_not_there_is_not_made(path):
    assert "There is no store at" in failed(look(path), "database")
    assert not path.exists()


@pytest.mark.parametrize("content", ["tables", "text", "nothing"])
def test_a_file_that_is_no_store_is_named_and_stays_as_it_is(path, content):
    if content == "tables":
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE theirs (id INTEGER)")
    else:
        path.write_text("Dear diary, " * 200 if content == "text" else "")
    before = path.read_bytes()
    detail = failed(look(path), "database")
    assert ("not a database" if content == "text" else "holds no store") in detail
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_a_typed_error_for_senders_too(path):
    path.write_text("Dear diary, " * 200)
    with pytest.raises(StoreError, match="not a database"):
        open_store(path)


@pytest.mark.parametrize(("genesis", "kernel"), [("0x" + "bb" * 32, OTHER), (GENESIS, ADDRESS)])
def test_a_store_of_another_chain_or_deployment_is_named(store, path, genesis, kernel):
    assert "belongs to chain 31337 with" in failed(look(path, genesis=genesis, kernel=kernel), "database chain")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:hunter2@db.example:5433/outbox?sslpassword=hunter2", "postgresql://db.example:5433/outbox"),
        ("sqlite:///var/outbox.db", "sqlite:///var/outbox.db"),
    ],
)
def test_a_stores_url_is_shown_without_user_password_and_options(url, shown):
    assert redacted(url) == shown


def test_a_url_that_is_none_is_not_shown():
    findings = look("mysql://me:hunter2@db/outbox")
    assert "hunter2" not in failed(findings, "database")
    with pytest.raises(ConfigError):
        redacted("mysql://me:hunter2@db/outbox")


def test_a_server_that_is_not_there_is_named_without_a_password():
    findings = look("postgresql://me:hunter2@127.0.0.1:9/outbox")
    assert "postgresql://127.0.0.1:9/outbox cannot be used" in failed(findings, "database")
    assert "hunter2" not in str(findings)


def test_without_a_store_it_says_that_nothing_outlives_the_process(monkeypatch):
    monkeypatch.delenv("ACTP_STORE_URL", raising=False)
    findings = look_at_store(Subject(Network.ANVIL), 0.0, genesis=None, kernel=None)
    (one,) = findings.checks
    assert (one.status, "until the process ends" in one.detail) == (Status.SKIPPED, True)
    assert Report((), (), tuple(findings.checks)).ok


def test_the_command_looks_at_the_store_also_where_no_node_answers(store, path, capsys, monkeypatch):
    fill(store)
    monkeypatch.setenv("ACTP_STORE_URL", f"sqlite:///{path}")
    code = main(["doctor", "--network", "anvil", "--rpc-url", "http://127.0.0.1:9", "--account", ADDRESS, "--json"])
    report = json.loads(capsys.readouterr().out)
    assert code == ExitCode.FAILED
    assert report["database"]["url"] == f"sqlite:///{path}"
    assert (report["database"]["queued"], report["database"]["dead"]) == (1, 1)
    assert report["database"]["leases"] == [{"account": ADDRESS, "holder": None, "seconds": None}]
    assert {"name": "store", "value": f"sqlite:///{path}", "origin": "ACTP_STORE_URL"} in report["settings"]
    main(["doctor", "--network", "anvil", "--rpc-url", "http://127.0.0.1:9", "--store", f"sqlite:///{path}"])
    printed = capsys.readouterr().out
    assert "1 dead-lettered" in printed
    assert "(--store)" in printed


@pytest.mark.slow
class TestPostgresql:
    @pytest.fixture
    def server(self, request, url):
        opened = open_store(url)
        fill(opened)
        yield opened
        opened.close()

    @pytest.fixture(params=["postgresql"])
    def url(self, request, postgresql):
        from sqlalchemy.engine import make_url

        engine = create_engine(make_url(postgresql).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
        name = f"doctor_{time.monotonic_ns()}"
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        return make_url(postgresql).set(database=name).render_as_string(hide_password=False)

    def test_it_is_looked_at_as_a_file_is(self, server, url):
        found = look(url).found
        assert (found.queued, found.dead, found.writable) == (2, 1, True)

    def test_a_server_that_only_lets_read_is_named(self, server, url):
        with server.write() as connection:
            name = connection.exec_driver_sql("SELECT current_database()").scalar()
            connection.exec_driver_sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        findings = look(url)
        assert "may only be read" in failed(findings, "database writes")
        assert findings.found.dead == 1

    def test_a_locked_table_is_named(self, server, url):
        with server.write() as connection:
            connection.exec_driver_sql("LOCK TABLE lanes IN SHARE MODE")
            findings = look(url)
        assert "is locked" in failed(findings, "database writes")
