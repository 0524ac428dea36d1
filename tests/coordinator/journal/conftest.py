from __future__ import annotations

from collections.abc import Iterator

import pytest

from actp.engine.store import open_store
from coordinator.store import Ledger, open_ledger
from tests.coordinator.store.conftest import account, clock, ledger, new_database, postgresql, store

__all__ = ["account", "clock", "ledger", "new_database", "postgresql", "store"]


@pytest.fixture(params=["memory", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request) -> str:
    """What is done here to a file of SQLite is what is done to one in memory."""
    return "sqlite://" if request.param == "memory" else request.getfixturevalue("new_database")()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


@pytest.fixture
def file_ledger(path, clock) -> Iterator[Ledger]:
    """A ledger in a file of SQLite, which a test may damage."""
    opened = open_store(path, clock=clock)
    yield open_ledger(opened)
    opened.close()
