"""Stores that are not there, empty, of several treasuries, or of another version."""

from __future__ import annotations

import sqlite3

import pytest

from actp.engine.store import open_store
from actp.engine.store.schema import HEAD as ENGINE
from coordinator.store import treasuries, wallets
from coordinator.store.accounts import Account
from coordinator.store.schema import HEAD
from tests.coordinator.authority.support import TOKEN
from tests.coordinator.commands.support import Shop
from tests.coordinator.store.conftest import new_database, postgresql

__all__ = ["new_database", "postgresql"]

READING = (
    ["requests", "list"],
    ["approvals", "list"],
    ["operations", "list"],
    ["agents", "list"],
    ["report"],
    ["journal", "list"],
    ["journal", "verify"],
    ["alerts", "list"],
    ["policy", "show"],
    ["proof", "list"],
    ["stop"],
    ["pause", "--all"],
    ["resume", "--frozen"],
)


def content(path):
    with sqlite3.connect(path) as connection:
        return list(connection.iterdump())


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_a_store_that_is_not_named_not_there_or_empty_is_said_and_none_is_made(command, run, tmp_path, monkeypatch):
    absent, empty = tmp_path / "absent.db", tmp_path / "empty.db"
    open_store(f"sqlite:///{empty}").close()
    before = content(empty)
    said = run(*command, "--store", f"sqlite:///{absent}")
    assert (said.code, said.out) == (1, "")
    assert f"There is no store at {absent} yet." in said.err
    assert not absent.exists()
    said = run(*command, "--store", empty)
    assert (said.code, said.out) == (1, "")
    assert "There is no treasury" in said.err
    assert content(empty) == before
    monkeypatch.delenv("ACTP_STORE_URL")
    said = run(*command)
    assert said.code == 1
    assert "No store was named" in said.err


def test_a_file_that_is_not_there_yet_may_be_named_as_it_is(run, tmp_path, monkeypatch):
    """Else a first `--store ledger.db` is taken for a URL that is misspelt."""
    monkeypatch.chdir(tmp_path)
    for command in (["report"], ["policy", "show"], ["db", "version"]):
        said = run(*command, "--store", "new.db")
        assert (said.code, said.out) == (1, "")
        assert "There is no store at new.db yet." in said.err
        assert not (tmp_path / "new.db").exists()
    open_store("new.db").close()
    assert (tmp_path / "new.db").is_file()
    assert "There is no treasury in sqlite:new.db" in run("report", "--store", "new.db").err


@pytest.mark.parametrize(("table", "known"), [("alembic_version", ENGINE), ("coordinator_version", HEAD)])
def test_a_database_of_a_newer_version_is_refused_and_not_changed(table, known, shop, run, tmp_path):
    path = tmp_path / "ledger.db"
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE {table} SET version_num = '0999'")
    before = content(path)
    for command in (["requests", "list"], ["pause", "--all"], ["db", "upgrade"]):
        said = run(*command)
        assert said.code == 1
        assert f"was written by a newer version (revision 0999; this program knows up to {known})" in said.err
        assert "Upgrade the program." in said.err
        assert "locate" not in said.err, "the words of the library that upgrades are not ours"
    shown = run("db", "version")
    assert shown.code == 1
    assert "0999, and this program knows" in shown.out
    assert content(path) == before


def test_the_versions_are_shown_without_a_change_and_brought_up_to_date(shop, run, tmp_path):
    assert run("db", "version").code == 0
    assert run("db", "version", "--json").json["current"]
    bare = tmp_path / "bare.db"
    open_store(f"sqlite:///{bare}").close()
    before = content(bare)
    shown = run("db", "version", "--store", bare)
    assert shown.code == 1
    assert "`coordinator db upgrade` makes" in shown.out
    assert content(bare) == before
    assert run("db", "upgrade", "--store", bare).code == 0
    assert run("db", "version", "--store", bare).code == 0
    assert run("db", "version", "--store", tmp_path / "absent.db").code == 1


def test_one_of_several_treasuries_has_to_be_chosen(shop, run):
    other = Account(8453, "0x" + "77" * 20)
    with shop.ledger() as ledger, ledger.write() as connection:
        wallets.require(connection, other)
        treasuries.require(connection, other, TOKEN)
    shop.ask(1)
    said = run("requests", "list")
    assert said.code == 1
    assert "several wallets" in said.err
    assert "on chain 8453" in said.err
    assert len(run("requests", "list", "--json", "--chain-id", 31337).lines) == 1
    assert run("requests", "list", "--wallet", other.wallet).err == "No requests.\n"
    assert run("requests", "list", "--wallet", "0x" + "99" * 20).code == 1
    assert run("requests", "list", "--wallet", "ann").code == 2


@pytest.mark.slow
def test_a_wallet_that_only_signs_is_meant_by_nobody_who_does_not_name_it(shop, run):
    """A settlement bot with a key of its own makes every command about the treasury fail otherwise."""
    bot = Account(31_337, "0x" + "77" * 20)
    with shop.ledger() as ledger, ledger.write() as connection:
        wallets.require(connection, bot)
    shop.ask(1)
    for command in READING:
        assert run(*command).err.count("several wallets") == 0, command
    assert [one["agent"] for one in run("requests", "list", "--json").lines] == ["ann"]
    assert run("requests", "list", "--wallet", bot.wallet).err == "No requests.\n"
    assert "has no budget" in run("agents", "add", "x", "--role", "junior", "--wallet", bot.wallet).err
    assert run("agents", "add", "x", "--role", "junior").code == 0


def test_who_resumes_the_treasury_hears_which_other_wallets_are_still_stopped(shop, run):
    bot = Account(31_337, "0x" + "77" * 20)
    with shop.ledger() as ledger, ledger.write() as connection:
        wallets.require(connection, bot)
    assert bot.wallet in run("stop").out
    said = run("resume", "--all")
    assert (said.code, said.out) == (0, "Everything goes on.\n")
    how = f"resume --all --wallet {bot.wallet} --chain-id 31337"
    assert how in said.err
    assert run(*how.split()).code == 0
    run("pause", "--all")
    assert run("resume", "--all").err == ""


@pytest.mark.slow
def test_a_store_on_postgresql_is_served_like_a_file(new_database, run, monkeypatch):
    shop = Shop(new_database()).furnish()
    monkeypatch.setenv("ACTP_STORE_URL", shop.url)
    answer = shop.ask(80, purpose="papers")
    assert answer.approval_id in run("approvals", "list").out
    assert run("approvals", "approve", answer.approval_id).code == 0
    assert run("agents", "add", "carl", "--role", "junior").code == 0
    assert run("pause", "carl").code == 0
    assert run("resume", "carl").code == 0
    assert [one["state"] for one in run("requests", "list", "--json", "--since", "1h").lines] == ["held"]
    assert run("report", "--json").json["reserved"] == 80_000_000
    assert run("journal", "verify", "--seal").code == 0
    assert run("db", "version").code == 0
