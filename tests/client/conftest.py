"""Clients over the embedded chain: `requester` pays, `provider` delivers, `resolver` rules, `stranger` is nobody.

Whatever a test does is undone after it, balances included.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from actp.chain import DevAccount, EmbeddedChain
from actp.client import ACTPClient
from actp.deployments import Deployment
from actp.networks import Endpoint
from actp.rpc import genesis_hash
from actp.signers import LocalSigner
from tests.client.support import PURSE, act
from tests.engine.faults import FaultyTransport


@pytest.fixture
def endpoint(deployed: Deployment, chain: EmbeddedChain) -> Endpoint:
    genesis = genesis_hash(chain, chain.chain_id)
    return Endpoint(chain, chain.chain_id, genesis, deployed, chain=chain)


@pytest.fixture
def resolver(endpoint: Endpoint, accounts: tuple[DevAccount, ...]) -> ACTPClient:
    """The admin of the kernel, who also gets the fees."""
    return ACTPClient(endpoint, LocalSigner(accounts[0].private_key))


@pytest.fixture
def requester(endpoint: Endpoint, accounts: tuple[DevAccount, ...]) -> ACTPClient:
    return _with_purse(endpoint, accounts[1])


@pytest.fixture
def provider(endpoint: Endpoint, accounts: tuple[DevAccount, ...]) -> ACTPClient:
    return _with_purse(endpoint, accounts[2])


@pytest.fixture
def stranger(endpoint: Endpoint, accounts: tuple[DevAccount, ...]) -> ACTPClient:
    return _with_purse(endpoint, accounts[3])


@pytest.fixture
def faulty(endpoint: Endpoint) -> FaultyTransport:
    """The node, which can be told to misbehave."""
    return FaultyTransport(endpoint.transport)


@pytest.fixture
def buyer(
    endpoint: Endpoint, faulty: FaultyTransport, requester: ACTPClient, accounts: tuple[DevAccount, ...]
) -> ACTPClient:
    """The requester, over a node that can be told to misbehave, with a standing allowance and little patience."""
    client = ACTPClient(replace(endpoint, transport=faulty), LocalSigner(accounts[1].private_key))
    client.token.approve(client.escrow.address, PURSE)
    client._session.sender._timeout = 0.5
    client._session.sender._handover_timeout = 0.5
    return client


def _with_purse(endpoint: Endpoint, account: DevAccount) -> ACTPClient:
    act(endpoint, 4, "TestUSDC", "mint", account.address, PURSE)
    return ACTPClient(endpoint, LocalSigner(account.private_key))
