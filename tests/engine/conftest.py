from __future__ import annotations

import pytest

from actp import artifacts
from actp.chain import EmbeddedChain
from actp.engine import Sender
from actp.signers import LocalSigner
from tests.engine.faults import FaultyTransport

TOKEN = artifacts.load("TestUSDC")


@pytest.fixture
def chain() -> EmbeddedChain:
    """A chain for one test: some of these leave eth transactions behind whose outcome stays unknown."""
    return EmbeddedChain()


@pytest.fixture
def faulty(chain: EmbeddedChain) -> FaultyTransport:
    return FaultyTransport(chain)


@pytest.fixture
def sender(faulty, accounts) -> Sender:
    return Sender(faulty, LocalSigner(accounts[0].private_key), chain_id=31337, timeout=10, handover_timeout=5)


@pytest.fixture
def token(chain, accounts) -> str:
    """A TestUSDC, deployed past the faults."""
    deployer = Sender(chain, LocalSigner(accounts[9].private_key), chain_id=31337)
    address = deployer.send(None, TOKEN.creation_code()).contract_address
    assert address is not None
    return address
