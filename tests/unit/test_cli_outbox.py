"""`actp outbox`: dead letters are visible, and driven again by a person."""

import pytest

from actp.cli import main
from actp.engine.intents import Intent
from actp.engine.outbox import Outbox
from actp.engine.store import open_store, outbox
from actp.engine.store.schema import IntentStatus

ADDRESS = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


@pytest.fixture
def box(tmp_path, monkeypatch):
    path = tmp_path / "outbox.db"
    monkeypatch.setenv("ACTP_STORE_URL", f"sqlite:///{path}")
    return Outbox(open_store(path), 31337, ADDRESS)


def dead(box, key):
    job = box.submit(Intent(ADDRESS, b"\x01\x02", 5), key)
    with box.store.write() as connection:
        outbox.move(
            connection, [job.id], [IntentStatus.QUEUED], IntentStatus.DEAD, 0, code="reverted", reason="Paused()"
        )
    return job


def test_the_list_names_dead_letters_with_their_reason(box, capsys):
    dead(box, "order-1")
    box.submit(Intent(ADDRESS), "order-2")
    assert main(["outbox", "list", "--status", "dead"]) == 0
    printed = capsys.readouterr().out
    assert "order-1" in printed
    assert "reverted: Paused()" in printed
    assert "order-2" not in printed


def test_the_list_has_a_heading_with_value_and_age(box, capsys):
    job = dead(box, "order-1")
    with box.store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE intents SET created_at = created_at - 7200")
    assert main(["outbox", "list"]) == 0
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split() == ["id", "status", "nonce", "age", "to", "value", "(wei)", "key"]
    assert row.split() == [str(job.id), "dead", "-", "2h", ADDRESS, "5", "order-1", "reverted:", "Paused()"]


def test_show_tells_what_was_asked_for(box, capsys):
    job = dead(box, "order-1")
    assert main(["outbox", "show", str(job.id)]) == 0
    printed = capsys.readouterr().out
    assert "0x0102" in printed
    assert "5 wei" in printed


def test_a_dead_letter_is_driven_again_and_only_that(box, capsys):
    job = dead(box, "order-1")
    assert main(["outbox", "retry", str(job.id)]) == 0
    again = box.find("order-1")
    assert (again.status, again.tries, again.code) == (IntentStatus.QUEUED, 0, None)
    assert main(["outbox", "retry", str(job.id)]) == 2
    assert "only what is dead or held" in capsys.readouterr().err
    assert main(["outbox", "cancel", str(job.id)]) == 0
    assert main(["outbox", "retry", str(job.id)]) == 2
    assert "put the call in again with a new one" in capsys.readouterr().err


def test_what_is_queued_can_be_cancelled_and_what_is_open_cannot(box, capsys):
    first = box.submit(Intent(ADDRESS), "a")
    second = box.submit(Intent(ADDRESS), "b")
    with box.store.write() as connection:
        outbox.open_with(connection, [(second.id, 0)], 0)
    assert main(["outbox", "cancel", str(first.id)]) == 0
    assert box.find("a").status is IntentStatus.CANCELLED
    assert main(["outbox", "cancel", str(second.id)]) == 2
    assert "may be mined" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["show", "7"], ["retry", "7"], ["cancel", "7"]])
def test_an_unknown_number_is_named(box, capsys, words):
    assert main(["outbox", *words]) == 2
    assert "There is no intent 7" in capsys.readouterr().err


def test_a_store_is_named_by_its_path_too(box, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("ACTP_STORE_URL")
    monkeypatch.chdir(tmp_path)
    box.submit(Intent(ADDRESS), "order-1")
    assert main(["outbox", "list", "--store", "outbox.db"]) == 0
    assert "order-1" in capsys.readouterr().out
    assert main(["outbox", "list", "--store", "other.db"]) == 1
    assert "There is no store at other.db yet." in capsys.readouterr().err
    assert not (tmp_path / "other.db").exists()


def test_looking_at_a_store_makes_none(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("ACTP_STORE_URL", raising=False)
    assert main(["outbox", "list"]) == 1
    path = tmp_path / "nothing.db"
    assert main(["outbox", "list", "--store", f"sqlite:///{path}"]) == 1
    assert not path.exists()
    assert main(["outbox", "list", "--store", "mysql://user:hunter2@host/x"]) == 1
    assert "hunter2" not in capsys.readouterr().err
