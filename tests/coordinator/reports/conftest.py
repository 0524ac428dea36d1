from __future__ import annotations

import pytest

from coordinator.budget.rulebook import RuleBook
from coordinator.store import rulebooks, treasuries
from tests.coordinator.journal.conftest import account, clock, ledger, new_database, postgresql, store, url
from tests.coordinator.journal.spending import TOKEN

__all__ = ["account", "clock", "ledger", "new_database", "postgresql", "store", "url"]


@pytest.fixture
def enact(ledger, account):
    """Makes rules hold."""

    def make(book: RuleBook, version: int = 1) -> None:
        with ledger.write() as connection:
            treasuries.require(connection, account, TOKEN)
            rulebooks.add(connection, account, book, version, "operator", ledger.now())
            treasuries.set_rulebook(connection, account, version)

    return make
