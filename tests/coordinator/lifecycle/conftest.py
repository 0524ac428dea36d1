from __future__ import annotations

from collections.abc import Iterator

import pytest

from actp.chain import DevAccount, EmbeddedChain
from actp.deployments import Deployment
from actp.engine.store import open_store
from actp.testing import FakeClock, FaultyTransport
from tests.coordinator.lifecycle.support import House
from tests.engine.conftest import clock, new_database, postgresql, url

__all__ = ["clock", "new_database", "postgresql", "url"]


@pytest.fixture
def faulty(chain: EmbeddedChain) -> FaultyTransport:
    """The node, which can be told to misbehave."""
    return FaultyTransport(chain)


@pytest.fixture
def house(
    chain: EmbeddedChain, faulty: FaultyTransport, deployed: Deployment, accounts: tuple[DevAccount, ...], tmp_path
) -> Iterator[House]:
    """A treasury with 1,000 USDC, over a store in a file and the machine's clock."""
    made = House(chain, faulty, deployed, accounts[1], open_store(tmp_path / "store.db"))
    yield made
    made.close()


@pytest.fixture
def timed(
    chain: EmbeddedChain, faulty: FaultyTransport, deployed: Deployment, accounts: tuple[DevAccount, ...], tmp_path,
    clock: FakeClock,
) -> Iterator[House]:  # fmt: skip
    """The same over a clock that only the test moves."""
    made = House(chain, faulty, deployed, accounts[1], open_store(tmp_path / "store.db", clock=clock))
    yield made
    made.close()


@pytest.fixture
def anywhere(
    url: str, chain: EmbeddedChain, faulty: FaultyTransport, deployed: Deployment, accounts: tuple[DevAccount, ...]
) -> Iterator[House]:
    """The same over each kind of database."""
    made = House(chain, faulty, deployed, accounts[1], open_store(url))
    yield made
    made.close()
