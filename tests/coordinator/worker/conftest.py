from __future__ import annotations

from collections.abc import Iterator

import pytest

from actp.chain import DevAccount, EmbeddedChain
from actp.deployments import Deployment
from actp.engine.store import open_store
from actp.testing import FaultyTransport
from tests.coordinator.lifecycle.conftest import clock, faulty, new_database, postgresql, url
from tests.coordinator.worker.support import Firm

__all__ = ["clock", "faulty", "new_database", "postgresql", "url"]


@pytest.fixture
def firm(
    chain: EmbeddedChain, faulty: FaultyTransport, deployed: Deployment, accounts: tuple[DevAccount, ...]
) -> Iterator[Firm]:
    """A treasury with 1,000 USDC and the agents ann and bob, over a store in memory."""
    store = open_store("sqlite://")
    yield Firm(chain, faulty, deployed, accounts[1], store)
    store.close()


@pytest.fixture
def anywhere(
    url: str, chain: EmbeddedChain, faulty: FaultyTransport, deployed: Deployment, accounts: tuple[DevAccount, ...]
) -> Iterator[Firm]:
    """The same over each kind of database."""
    store = open_store(url)
    yield Firm(chain, faulty, deployed, accounts[1], store)
    store.close()
