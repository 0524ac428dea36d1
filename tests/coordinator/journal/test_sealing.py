"""Sealing: numbers without a gap, whatever commits when, and never another one."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import delete, text

from actp.engine.store import open_store
from coordinator.authority.verifying import verify
from coordinator.store import journal, open_ledger, seals
from coordinator.store.accounts import Account
from coordinator.store.journal import Entry
from coordinator.store.schema import journal as table
from tests.coordinator.journal.entries import sealed, write


def test_entries_get_numbers_from_one_in_the_order_of_their_rows(ledger, account):
    write(ledger, account, 3)
    assert seals.seal_all(ledger, account) == 3
    rows = sealed(ledger, account)
    assert [row["number"] for row in rows] == [1, 2, 3]
    assert [row["seq"] for row in rows] == sorted(row["seq"] for row in rows)
    with ledger.read() as connection:
        assert seals.end(connection, account) == seals.Seal(3, rows[-1]["hash"])


def test_each_hash_follows_the_one_before(ledger, account):
    write(ledger, account, 2)
    seals.seal_all(ledger, account)
    first, second = sealed(ledger, account)
    assert first["hash"] == seals.follows(seals.FIRST.hash, first)
    assert second["hash"] == seals.follows(first["hash"], second)


def test_what_is_sealed_keeps_number_and_hash(ledger, account):
    write(ledger, account, 2)
    seals.seal_all(ledger, account)
    before = sealed(ledger, account)
    write(ledger, account, 2)
    assert seals.seal_all(ledger, account) == 2
    assert seals.seal_all(ledger, account) == 0
    after = sealed(ledger, account)
    assert after[:2] == before
    assert [row["number"] for row in after] == [1, 2, 3, 4]


def test_an_entry_that_commits_late_still_gets_its_number(ledger, account):
    """Its row's number is lower than those that are sealed already."""
    write(ledger, account, 3)
    with ledger.write() as connection:
        low = connection.execute(text("SELECT min(seq) FROM co_journal")).scalar()
        connection.execute(delete(table).where(table.c.seq == low))
    seals.seal_all(ledger, account)
    with ledger.write() as connection:
        connection.execute(
            table.insert().values(seq=low, agent="ann", at=ledger.now(), event="late", detail="{}", **account.columns)
        )
    assert seals.seal_all(ledger, account) == 1
    assert [row["event"] for row in sealed(ledger, account)] == ["noted", "noted", "late"]
    assert verify(ledger, account).ok


def test_wallets_have_chains_of_their_own(ledger, account):
    other = Account(account.chain_id, "0x" + "22" * 20)
    write(ledger, account, 2)
    write(ledger, other, 1)
    assert (seals.seal_all(ledger, account), seals.seal_all(ledger, other)) == (2, 1)
    assert [row["number"] for row in sealed(ledger, other)] == [1]
    assert verify(ledger, account).ok
    assert verify(ledger, other).ok


def test_more_than_one_commit_of_entries_is_sealed(ledger, account):
    write(ledger, account, 1203)
    assert seals.seal_all(ledger, account) == 1203
    assert verify(ledger, account).sealed == 1203


def test_a_commit_that_fails_gives_no_number(ledger, account):
    write(ledger, account, 2)

    def lost():
        with ledger.write() as connection:
            seals.seal(connection, account, limit=10)
            raise RuntimeError("lost")

    with pytest.raises(RuntimeError, match="lost"):
        lost()
    write(ledger, account, 1)
    assert seals.seal_all(ledger, account) == 3
    assert verify(ledger, account).ok


@pytest.mark.parametrize("kind", ["file", pytest.param("postgresql", marks=pytest.mark.slow)])
def test_several_sealers_beside_writers_leave_one_chain_without_a_gap(kind, tmp_path, request, account):
    url = f"sqlite:///{tmp_path / 'ledger.db'}" if kind == "file" else request.getfixturevalue("new_database")()
    stores = [open_store(url) for _ in range(4)]
    ledgers = [open_ledger(store) for store in stores]
    over = threading.Event()
    failures = []

    def work(step):
        try:
            step()
        except BaseException as error:
            failures.append(error)
            raise

    def add(ledger):
        for index in range(15):
            with ledger.write() as connection:
                journal.add(connection, account, [Entry("noted", "ann", detail={"n": index})] * 3, ledger.now())

    def seal(ledger):
        for _ in range(2000):
            seals.seal_all(ledger, account)
            if over.wait(0.005):
                return

    writers = [threading.Thread(target=work, args=(lambda one=one: add(one),)) for one in ledgers[:2]]
    sealers = [threading.Thread(target=work, args=(lambda one=one: seal(one),)) for one in ledgers[2:]]
    for thread in (*writers, *sealers):
        thread.start()
    for thread in writers:
        thread.join()
    over.set()
    for thread in sealers:
        thread.join()
    assert not failures
    seals.seal_all(ledgers[0], account)
    report = verify(ledgers[0], account)
    assert (report.sealed, report.unsealed, report.findings) == (90, 0, ())
    assert [row["number"] for row in sealed(ledgers[0], account)] == list(range(1, 91))
    for store in stores:
        store.close()
