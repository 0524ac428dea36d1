from __future__ import annotations

from collections.abc import Iterator

import pytest

from actp.engine.store import Store, open_store
from actp.testing import FakeClock
from coordinator.store import Ledger, open_ledger
from coordinator.store.accounts import Account
from tests.engine.conftest import clock, new_database, postgresql, url

__all__ = ["clock", "new_database", "postgresql", "url"]


@pytest.fixture
def account() -> Account:
    return Account(31_337, "0x" + "11" * 20)


@pytest.fixture
def store(url: str, clock: FakeClock) -> Iterator[Store]:
    opened = open_store(url, clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def ledger(store: Store) -> Ledger:
    """The coordinator's tables in a database of each kind."""
    return open_ledger(store)
