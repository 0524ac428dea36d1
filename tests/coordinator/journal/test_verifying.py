"""Verifying the journal: whatever somebody does to it is found, and where."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import String, Text, delete, text, update

from coordinator.authority.verifying import Fault, verify
from coordinator.store import purposes, seals
from coordinator.store.budget_schema import cells, reservations
from coordinator.store.budget_schema import seals as ends
from coordinator.store.journal import Entry, add
from coordinator.store.schema import journal as table
from coordinator.store.seals import Seal
from tests.coordinator.journal.entries import change, insert_row, request, sealed, write


@pytest.fixture
def chain(ledger, account):
    """Five sealed entries."""
    write(ledger, account, 2)
    write(ledger, account, 1, operation_id=4, reservation_id=9)
    write(ledger, account, 2)
    seals.seal_all(ledger, account)
    return ledger


def faults(ledger, account, **given):
    return [(one.fault, one.number) for one in verify(ledger, account, **given).findings]


def test_an_untouched_journal_is_fine(chain, account):
    report = verify(chain, account)
    assert report.ok
    assert (report.sealed, report.unsealed) == (5, 0)
    assert report.end.number == 5


def test_a_journal_of_a_wallet_that_never_did_anything_is_fine(ledger, account):
    assert verify(ledger, account).ok


def test_entries_that_wait_for_their_number_are_counted_and_nothing_is_wrong(chain, account):
    write(chain, account, 2)
    report = verify(chain, account)
    assert report.ok
    assert (report.sealed, report.unsealed) == (5, 2)


COLUMNS = sorted(set(table.c.keys()) - {"number", "chain_id", "wallet"})


@pytest.mark.parametrize("column", COLUMNS)
def test_a_change_of_any_column_is_found_at_its_entry(chain, account, column):
    kind = table.c[column].type
    value = "0x" + "ee" * 32 if column == "hash" else '{"about": 0}' if column == "detail" else "other"
    change(chain, 3, **{column: value if isinstance(kind, String | Text) else 777})
    found = faults(chain, account)
    assert found[0] == (Fault.CHANGED, 3)
    assert len(found) <= 1, "what follows is as it was sealed"


@pytest.mark.parametrize("column", ["operation_id", "reservation_id", "before", "after"])
def test_a_column_that_becomes_empty_is_found(chain, account, column):
    change(chain, 3, before="held", after="released")
    first = faults(chain, account)
    change(chain, 3, **{column: None})
    assert first == faults(chain, account) == [(Fault.CHANGED, 3)]


@pytest.mark.parametrize("detail", ['{"about":0}', '{"about": 1}', "", "{", "[]", "null", '{"cells":[[1]]}'])
def test_a_detail_that_is_another_or_none_is_found_and_stops_nothing(chain, account, detail):
    change(chain, 2, detail=detail)
    assert (Fault.CHANGED, 2) in faults(chain, account)
    assert verify(chain, account).sealed == 5


@pytest.mark.parametrize("column", ["detail", "agent"])
def test_every_single_byte_of_a_text_counts(file_ledger, account, path, column):
    """Past the database: another one, one more, one less, also such as are no text."""
    write(file_ledger, account, 3)
    seals.seal_all(file_ledger, account)
    content = sealed(file_ledger, account)[1][column].encode()
    for position in range(len(content)):
        before, here, after = content[:position], content[position], content[position + 1 :]
        others = (bytes([here ^ 0x80]), bytes([here ^ 1]), b"", bytes([here]) + b"\xff")
        for other in others:
            with closing(sqlite3.connect(path)) as raw, raw:
                damaged = (before + other + after,)
                raw.execute(f"UPDATE co_journal SET {column} = CAST(? AS TEXT) WHERE number = 2", damaged)
            assert (Fault.CHANGED, 2) in faults(file_ledger, account), (position, other)


def test_a_number_that_is_none_is_found(file_ledger, account, path):
    write(file_ledger, account, 3)
    seals.seal_all(file_ledger, account)
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("UPDATE co_journal SET number = 'two' WHERE number = 2")
    found = [one.fault for one in verify(file_ledger, account).findings]
    assert {Fault.CHANGED, Fault.MISSING} <= set(found)


def test_a_removed_entry_is_found_where_it_was(chain, account):
    with chain.write() as connection:
        connection.execute(delete(table).where(table.c.number == 3))
    assert faults(chain, account) == [(Fault.MISSING, 3)]


def test_removed_entries_at_the_end_are_found(chain, account):
    with chain.write() as connection:
        connection.execute(delete(table).where(table.c.number >= 4))
    assert faults(chain, account) == [(Fault.MISSING, 4)]


def test_a_journal_that_is_gone_altogether_is_found(chain, account):
    with chain.write() as connection:
        connection.execute(delete(table))
    assert faults(chain, account) == [(Fault.MISSING, 1)]


def test_an_entry_whose_number_was_taken_away_is_found(chain, account):
    change(chain, 2, number=None, hash=None)
    assert (Fault.MISSING, 2) in faults(chain, account)


def test_an_inserted_entry_is_found(chain, account):
    """It takes the next number, with the right hash: only the chain's end does not know it."""
    last = sealed(chain, account)[-1]
    insert_row(chain, account, number=6, hash=None)
    forged = sealed(chain, account)[-1]
    change(chain, 6, hash=seals.follows(last["hash"], forged))
    assert faults(chain, account) == [(Fault.INSERTED, 6)]


@pytest.mark.parametrize("number", [0, -3])
def test_an_entry_before_the_first_is_found(chain, account, number):
    insert_row(chain, account, number=number, hash="0x" + "00" * 32)
    assert faults(chain, account) == [(Fault.INSERTED, number)]


def test_entries_that_changed_places_are_found(chain, account):
    change(chain, 2, number=99)
    change(chain, 4, number=2)
    change(chain, 99, number=4)
    assert {(Fault.CHANGED, 2), (Fault.CHANGED, 4)} <= set(faults(chain, account))


def test_an_entry_moved_to_another_wallet_is_found(chain, account):
    change(chain, 3, wallet="0x" + "22" * 20)
    assert faults(chain, account) == [(Fault.MISSING, 3)]


def test_an_entry_sealed_anew_is_found_at_the_next_one(chain, account):
    rows = sealed(chain, account)
    forged = {**rows[2], "agent": "eve"}
    change(chain, 3, agent="eve", hash=seals.follows(rows[1]["hash"], forged))
    assert faults(chain, account) == [(Fault.CHANGED, 4)]


def test_a_last_entry_sealed_anew_is_found_by_the_chains_end(chain, account):
    rows = sealed(chain, account)
    change(chain, 5, agent="eve", hash=seals.follows(rows[3]["hash"], {**rows[4], "agent": "eve"}))
    assert faults(chain, account) == [(Fault.END, 5)]


def test_a_chains_end_that_is_gone_or_wrong_is_found(chain, account):
    with chain.write() as connection:
        connection.execute(update(ends).values(hash="0x" + "11" * 32))
    assert faults(chain, account) == [(Fault.END, 5)]
    with chain.write() as connection:
        connection.execute(delete(ends))
    assert faults(chain, account) == [(Fault.INSERTED, 1)]


def test_a_chain_sealed_anew_from_some_place_is_found_by_a_seal_that_was_kept(chain, account):
    kept = verify(chain, account).end
    with chain.write() as connection:
        connection.execute(update(table).where(table.c.number >= 3).values(number=None, hash=None, agent="eve"))
        connection.execute(update(ends).values(number=2, hash=sealed_hash(connection, 2)))
    seals.seal_all(chain, account)
    assert verify(chain, account).ok, "nothing in the database tells"
    assert faults(chain, account, known=[kept]) == [(Fault.KNOWN, 5)]
    assert faults(chain, account, known=[Seal(8, kept.hash)]) == [(Fault.MISSING, 8)]


def sealed_hash(connection, number):
    return connection.execute(text(f"SELECT hash FROM co_journal WHERE number = {number}")).scalar()


def test_findings_are_bounded_and_counted(ledger, account):
    write(ledger, account, 300)
    seals.seal_all(ledger, account)
    with ledger.write() as connection:
        connection.execute(update(table).values(agent="eve"))
    report = verify(ledger, account)
    assert report.found == 300
    assert len(report.findings) == 200


def test_a_purpose_that_was_erased_keeps_verifying_and_leaves_no_way_to_guess_it(ledger, account):
    request(ledger, account, "Something about Ann")
    seals.seal_all(ledger, account)
    with ledger.write() as connection:
        assert purposes.erase(connection, account, 1, by="dpo", now=ledger.now())
        assert not purposes.erase(connection, account, 1, by="dpo", now=ledger.now()), "it is erased already"
        assert not purposes.erase(connection, account, 2, by="dpo", now=ledger.now()), "there is none"
    seals.seal_all(ledger, account)
    assert verify(ledger, account).ok
    erased = sealed(ledger, account)[-1]
    assert (erased["event"], erased["reservation_id"]) == (purposes.ERASED, 1)
    assert "dpo" in erased["detail"]
    with ledger.read() as connection:
        kept = purposes.of(connection, account, [1])[1]
    assert (kept.text, kept.salt) == (None, "")


def test_a_purpose_that_is_another_is_found(ledger, account):
    request(ledger, account)
    seals.seal_all(ledger, account)
    with ledger.write() as connection:
        connection.execute(update(reservations).values(purpose="Papers."))
    assert faults(ledger, account) == [(Fault.PURPOSE, 1)]


def test_a_purpose_that_is_gone_without_having_been_erased_is_found(ledger, account):
    request(ledger, account)
    with ledger.write() as connection:
        connection.execute(update(reservations).values(purpose=None))
    assert faults(ledger, account) == [(Fault.PURPOSE, None)]


def test_a_hash_or_a_request_that_is_gone_is_found(ledger, account):
    request(ledger, account)
    with ledger.write() as connection:
        connection.execute(update(reservations).values(purpose_hash="0x" + "00" * 32))
    assert faults(ledger, account) == [(Fault.PURPOSE, None)]
    with ledger.write() as connection:
        connection.execute(delete(reservations))
    assert faults(ledger, account) == [(Fault.PURPOSE, None)]


def scope(ledger, account):
    with ledger.write() as connection:
        query = "INSERT INTO co_scopes (id, chain_id, wallet, kind, key, period, unit) VALUES (1, {}, '{}', {})"
        values = "'agent', 'ann', 'ever', '0xaa'"
        connection.execute(text(query.format(account.chain_id, account.wallet, values)))


def cell(ledger, window, **values):
    with ledger.write() as connection:
        row = {"lim": 100, "cap": 100, "spent": 0, "reserved": 0, "buckets": None, **values}
        connection.execute(cells.insert(), [{"scope_id": 1, "window_start": window, **row}])


def tell(ledger, account, detail):
    with ledger.write() as connection:
        add(connection, account, [Entry("granted", "ann", detail=detail)], ledger.now())


@pytest.fixture
def cellular(ledger, account):
    """A journal and the cells that it makes: one whose limit was changed, and a rolling one."""
    scope(ledger, account)
    tell(ledger, account, {"cells": [[1, 0, 0, 40, 0]], "limits": [[1, 0, 90, 90]]})
    tell(ledger, account, {"cells": [[1, 0, 30, -40, 0]]})
    seals.seal_all(ledger, account)
    tell(ledger, account, {"cells": [[1, 0, 0, 5, 0]], "limits": [[1, 0, None, 2**63 - 1]]})
    tell(ledger, account, {"cells": [[1, 7, 0, 4, 3600], [1, 7, 3, 0, 7200]], "limits": [[1, 7, 100, 100]]})
    tell(ledger, account, {"cells": [[1, 7, 0, -4, 3600], [1, 7, 1, 0, 7200]]})
    cell(ledger, 0, spent=30, reserved=5, lim=None, cap=2**63 - 1)
    cell(ledger, 7, spent=4, buckets='{"7200":[4,0]}')
    return ledger


def test_the_journal_gives_every_cell_that_there_is(cellular, account):
    report = verify(cellular, account)
    assert report.ok, report.findings
    assert report.cells == 2


@pytest.mark.parametrize(
    ("window", "values"),
    [
        (0, {"spent": 31}),
        (0, {"reserved": 4}),
        (0, {"lim": 90}),
        (0, {"cap": 2**63 - 2}),
        (7, {"buckets": '{"7200":[3,1]}'}),
        (7, {"buckets": '{"3600":[4,0]}'}),
        (7, {"spent": 3}),
        (7, {"lim": None}),
    ],
)
def test_a_cell_that_the_journal_does_not_give_is_found(cellular, account, window, values):
    with cellular.write() as connection:
        connection.execute(update(cells).where(cells.c.window_start == window).values(**values))
    (finding,) = verify(cellular, account).findings
    assert finding.fault is Fault.CELL
    assert f"from {window}" in finding.detail
    assert "agent 'ann'" in finding.detail


def test_a_cell_too_many_or_too_few_is_found(cellular, account):
    cell(cellular, 9)
    assert [one.fault for one in verify(cellular, account).findings] == [Fault.CELL] * 2
    with cellular.write() as connection:
        connection.execute(delete(cells))
    assert [one.fault for one in verify(cellular, account).findings] == [Fault.CELL] * 2


def test_an_entry_that_is_taken_out_before_it_was_sealed_is_missed_by_its_cell(cellular, account):
    with cellular.write() as connection:
        connection.execute(delete(table).where(table.c.number.is_(None), table.c.detail.like("%3600%")))
    assert {one.fault for one in verify(cellular, account).findings} == {Fault.CELL}
