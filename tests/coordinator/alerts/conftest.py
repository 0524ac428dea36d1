from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.coordinator.alerts.listener import Listener
from tests.coordinator.journal.conftest import account, clock, ledger, new_database, postgresql, store, url

__all__ = ["account", "clock", "ledger", "new_database", "postgresql", "store", "url"]


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as opened:
        yield opened


@pytest.fixture
def other() -> Iterator[Listener]:
    with Listener() as opened:
        yield opened
