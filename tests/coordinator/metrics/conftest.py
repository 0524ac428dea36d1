from __future__ import annotations

import pytest

from actp import observing
from tests.coordinator.worker.conftest import anywhere, clock, faulty, firm, new_database, postgresql, url

__all__ = ["anywhere", "clock", "faulty", "firm", "new_database", "postgresql", "url"]


@pytest.fixture(autouse=True)
def unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other tests have left in memory is not read here."""
    monkeypatch.setattr(observing, "_watched", [])
