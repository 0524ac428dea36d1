from __future__ import annotations

from collections.abc import Iterator

import pytest

from actp.chain import DevAccount, EmbeddedChain
from actp.deployments import Deployment
from tests.coordinator.api.support import Office
from tests.engine.conftest import clock, new_database, postgresql, url

__all__ = ["clock", "new_database", "postgresql", "url"]


@pytest.fixture
def office(chain: EmbeddedChain, deployed: Deployment, accounts: tuple[DevAccount, ...], tmp_path) -> Iterator[Office]:
    """A treasury without USDC."""
    made = Office(chain, deployed, accounts[3], tmp_path)
    yield made
    made.close()
