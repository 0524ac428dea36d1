"""Entries of a journal, and damage to them."""

from __future__ import annotations

from sqlalchemy import insert, select, update

from coordinator.budget.words import ReservationState
from coordinator.store import journal, seals
from coordinator.store.budget_schema import reservations
from coordinator.store.journal import Entry
from coordinator.store.reservations import Draft, add
from coordinator.store.schema import journal as table
from tests.coordinator.journal.asks import an_ask


def write(ledger, account, count=1, **given):
    """Writes entries, and gives their numbers of rows."""
    entries = [Entry("noted", "ann", detail={"about": index}, **given) for index in range(count)]
    with ledger.write() as connection:
        journal.add(connection, account, entries, ledger.now())


def sealed(ledger, account):
    """Every sealed entry, in order."""
    with ledger.read() as connection:
        return seals.numbered(connection, account, after=0, limit=10_000)


def change(ledger, place, /, **values):
    """What somebody with access to the database can do to an entry."""
    with ledger.write() as connection:
        connection.execute(update(table).where(table.c.number == place).values(**values))


def request(ledger, account, purpose="Papers", number=1):
    """A denied request with its entry, as decisions write them."""
    draft = Draft(number, an_ask(purpose=purpose, key=f"k{number}"), "5a" * 16, 1, ReservationState.DENIED)
    with ledger.write() as connection:
        add(connection, account, [draft], ledger.now())
        hashed = connection.execute(select(reservations.c.purpose_hash).where(reservations.c.id == number)).scalar_one()
        entry = Entry("denied", "ann", detail={"purpose_hash": hashed}, reservation_id=number)
        journal.add(connection, account, [entry], ledger.now())


def insert_row(ledger, account, **values):
    """Another entry, past everything that writes them."""
    row = {"agent": "eve", "at": 1.5, "event": "granted", "detail": "{}", **account.columns, **values}
    with ledger.write() as connection:
        connection.execute(insert(table), [row])
