from __future__ import annotations

from collections.abc import Iterator

import pytest

from actp.chain import EmbeddedChain
from actp.deployments import Deployment
from actp.engine.store import open_store
from actp.testing import FakeClock, FaultyTransport
from tests.coordinator.lifecycle.conftest import clock, faulty, new_database, postgresql, url
from tests.coordinator.settlement.support import Town

__all__ = ["clock", "faulty", "new_database", "postgresql", "url"]


@pytest.fixture
def town(chain: EmbeddedChain, faulty: FaultyTransport, deployed: Deployment, tmp_path) -> Iterator[Town]:
    """People and contracts, and a store in a file for the bots."""
    made = Town(chain, faulty, deployed, open_store(tmp_path / "bots.db"))
    yield made
    made.close()


@pytest.fixture
def timed(
    chain: EmbeddedChain, faulty: FaultyTransport, deployed: Deployment, tmp_path, clock: FakeClock
) -> Iterator[Town]:
    """The same over a clock of the store that only the test moves."""
    made = Town(chain, faulty, deployed, open_store(tmp_path / "bots.db", clock=clock))
    yield made
    made.close()


@pytest.fixture
def anywhere(url: str, chain: EmbeddedChain, faulty: FaultyTransport, deployed: Deployment) -> Iterator[Town]:
    """The same over each kind of database."""
    made = Town(chain, faulty, deployed, open_store(url))
    yield made
    made.close()
