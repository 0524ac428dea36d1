from __future__ import annotations

from collections.abc import Iterator

import pytest

from actp.engine.store import Store, open_store
from actp.testing import FakeClock, FaultyTransport
from coordinator.index import Index
from coordinator.store import Ledger, open_ledger
from tests.client.conftest import endpoint, provider, requester, resolver, stranger
from tests.engine.conftest import new_database, postgresql, url

__all__ = ["endpoint", "new_database", "postgresql", "provider", "requester", "resolver", "stranger", "url"]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock) -> Iterator[Store]:
    opened = open_store("sqlite://", clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def ledger(store) -> Ledger:
    return open_ledger(store)


@pytest.fixture
def anywhere(url, clock) -> Iterator[Ledger]:
    """A ledger in each kind of database."""
    opened = open_store(url, clock=clock)
    yield open_ledger(opened)
    opened.close()


@pytest.fixture
def faulty(endpoint) -> FaultyTransport:
    """The node, which can be told to misbehave."""
    return FaultyTransport(endpoint.transport)


@pytest.fixture
def index(ledger, endpoint) -> Index:
    """The index of the deployment's kernel."""
    return Index(ledger, endpoint)
