"""Chains for every test: `chain` in this process, `anvil` beside it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from actp.chain import AnvilProcess, DevAccount, EmbeddedChain, dev_accounts
from actp.chain.anvil import find_anvil
from actp.deploy import deploy_contracts
from actp.deployments import AddressBook, Deployment
from actp.engine import Sender
from actp.errors import ConfigError
from actp.rpc import genesis_hash
from actp.signers import LocalSigner
from tests.plugins.skip_reasons import pytest_terminal_summary

__all__ = ["pytest_terminal_summary"]

ANVIL_CHAIN_ID = 84_532


@pytest.fixture(scope="session")
def accounts() -> tuple[DevAccount, ...]:
    """The ten development accounts, funded on both chains."""
    return dev_accounts()


@pytest.fixture(scope="session")
def session_chain() -> EmbeddedChain:
    """The chain behind `chain`: for session fixtures that put something on it for all tests."""
    return EmbeddedChain()


@pytest.fixture(scope="session")
def deployed(session_chain: EmbeddedChain, accounts: tuple[DevAccount, ...]) -> Deployment:
    """Kernel, vault (approved) and TestUSDC on `chain`, by the deployment code that users run.

    Account 0 deploys, and is admin and fee recipient; the economics are the defaults.
    """
    book = AddressBook(session_chain.chain_id, genesis_hash(session_chain, session_chain.chain_id), in_memory=True)
    sender = Sender(session_chain, LocalSigner(accounts[0].private_key), chain_id=session_chain.chain_id)
    return deploy_contracts(sender, book)


@pytest.fixture
def chain(session_chain: EmbeddedChain) -> Iterator[EmbeddedChain]:
    """The embedded chain; whatever a test does to it, time travel included, is undone after it."""
    before = session_chain.snapshot()
    yield session_chain
    session_chain.revert(before)


@pytest.fixture(scope="session")
def session_anvil() -> Iterator[AnvilProcess]:
    """The anvil behind `anvil`, under the chain id of Base Sepolia."""
    try:
        find_anvil()
    except ConfigError as error:
        pytest.skip(str(error))
    with AnvilProcess(chain_id=ANVIL_CHAIN_ID) as process:
        yield process


@pytest.fixture
def anvil(session_anvil: AnvilProcess) -> Iterator[AnvilProcess]:
    """anvil; what a test does to it is undone after it. Tests that ask for it are marked `anvil`."""
    before = session_anvil.request("evm_snapshot", [])
    yield session_anvil
    session_anvil.request("evm_revert", [before])
