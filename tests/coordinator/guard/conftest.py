from __future__ import annotations

from collections.abc import Iterator

import pytest

from actp.chain import DevAccount
from actp.rpc import Transport
from tests.coordinator.guard.support import Make, World


@pytest.fixture(params=["chain", pytest.param("anvil", marks=pytest.mark.anvil)])
def node(request: pytest.FixtureRequest) -> Iterator[Transport]:
    """A node that mines when it is told to."""
    transport: Transport = request.getfixturevalue(request.param)
    yield transport
    transport.request("evm_setAutomine", [True])


@pytest.fixture
def make(node: Transport, accounts: tuple[DevAccount, ...]) -> Make:
    def make_(token: str = "test/PlainERC20") -> World:
        return World(node, accounts, token)

    return make_


@pytest.fixture
def world(make: Make) -> World:
    return make()
