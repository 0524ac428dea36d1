"""What the database itself holds to, and what it is given."""

from __future__ import annotations

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError

from actp.engine.store import open_store
from coordinator.authority import Authority
from coordinator.budget.words import ReservationState
from coordinator.errors import LedgerConflict
from coordinator.store import asks, dispatches, open_ledger, reservations, schema
from coordinator.store.accounts import Account
from coordinator.store.migrate import upgrade
from tests.coordinator.authority.support import TOKEN, WALLET, ask, book, fund
from tests.engine.conftest import new_database

__all__ = ["new_database"]


@pytest.mark.parametrize("change", ["reserved = reserved + cap", "spent = -1", "reserved = reserved - 1000000000"])
def test_the_database_itself_does_not_overspend(authority, change):
    authority.request(ask())
    with pytest.raises((LedgerConflict, IntegrityError)), authority.ledger.write() as connection:
        connection.execute(text(f"UPDATE co_cells SET {change} WHERE lim = 1000000000"))


@pytest.mark.slow
@pytest.mark.parametrize("before", [None, "0002"])
def test_a_database_that_was_upgraded_decides_as_a_new_one(new_database, before):
    store = open_store(new_database())
    upgrade(store, before or "head")
    ledger = open_ledger(store)
    with ledger.read() as connection:
        assert connection.exec_driver_sql(f"SELECT version_num FROM {schema.VERSION_TABLE}").scalar() == schema.HEAD
    with Authority(ledger, Account(1, WALLET), token=TOKEN) as authority:
        authority.apply(book(), "test")
        fund(authority)
        assert authority.request(ask()).state is ReservationState.HELD
    store.close()


@pytest.mark.parametrize("backend", ["memory"], indirect=True)
@pytest.mark.parametrize(
    "question",
    [
        lambda connection, account: reservations.by_keys(connection, account, {("ann", "a"), ("bob", "b")}),
        lambda connection, account: reservations.mined(connection, account, 9),
        lambda connection, account: reservations.in_states(connection, account, [ReservationState.HELD]),
        lambda connection, account: dispatches.waiting(connection, account),
        lambda connection, account: dispatches.count_waiting(connection, account),
        lambda connection, account: asks.overdue(connection, account, 1.0),
    ],
    ids=["by_keys", "mined", "in_states", "waiting", "count_waiting", "overdue"],
)
def test_what_is_asked_all_the_time_does_not_read_what_is_long_done(ledger, account, question):
    asked = []

    def note(connection, cursor, statement, parameters, *_):
        asked.append((statement, parameters))

    with ledger.read() as connection:
        event.listen(ledger.store.engine, "before_cursor_execute", note)
        question(connection, account)
        event.remove(ledger.store.engine, "before_cursor_execute", note)
        for statement, parameters in asked:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            steps = [row[3] for row in plan if "VIRTUAL TABLE" not in row[3]]
            assert all("SEARCH" in step or "USE TEMP" in step or "SCALAR" in step for step in steps), steps
        if question.__code__.co_names[0] == "dispatches":
            assert any("co_dispatches_waiting" in step for step in steps), steps
