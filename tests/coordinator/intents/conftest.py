"""Wallets over the embedded chain, as the client's tests have them, and an arbiter whom the provider accepts."""

from __future__ import annotations

import pytest

from actp.chain import DevAccount
from actp.client import ACTPClient
from actp.networks import Endpoint
from actp.signers import LocalSigner
from tests.client.conftest import endpoint, requester, resolver, stranger
from tests.client.support import PURSE, act

__all__ = ["endpoint", "requester", "resolver", "stranger"]


@pytest.fixture
def provider(endpoint: Endpoint, accounts: tuple[DevAccount, ...]) -> ACTPClient:
    """Works under every arbiter."""
    act(endpoint, 4, "TestUSDC", "mint", accounts[2].address, PURSE)
    return ACTPClient(endpoint, LocalSigner(accounts[2].private_key), accepted_arbiters="any")


@pytest.fixture
def arbiter(endpoint: Endpoint, accounts: tuple[DevAccount, ...]) -> ACTPClient:
    return ACTPClient(endpoint, LocalSigner(accounts[6].private_key))
