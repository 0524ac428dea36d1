"""A client over a pool: where its endpoints come from, and a payment that one of them does not survive."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actp import ACTPClient, Network
from actp.chain import DevAccount, EmbeddedChain
from actp.chain.server import ChainServer
from actp.config import rpc_pool_urls
from actp.deployments import AddressBook, Deployment
from actp.errors import ConfigError
from actp.networks import transport_for
from actp.pool import EndpointDropped, Pool
from actp.rpc import HttpTransport, genesis_hash
from tests.client.support import DAY, PRICE, assert_no_secret

SECRET = "k3y-0f-the-endpoint-0123456789"
VARIABLE = "ACTP_RPC_POOL_URLS"


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("ACTP_DEPLOYMENTS_DIR", str(tmp_path))
    for name in (VARIABLE, "ETH_RPC_URL"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.fixture
def servers(chain: EmbeddedChain, deployed: Deployment) -> Iterator[tuple[ChainServer, ChainServer]]:
    AddressBook(chain.chain_id, genesis_hash(chain, chain.chain_id)).put(deployed)
    with ChainServer(chain) as one, ChainServer(chain) as two:
        yield one, two


def create(account: DevAccount, **options: Any) -> ACTPClient:
    return ACTPClient.create(network=Network.ANVIL, private_key=account.private_key, **options)


def test_a_payment_goes_on_when_an_endpoint_dies(
    servers: tuple[ChainServer, ChainServer], accounts: tuple[DevAccount, ...]
) -> None:
    client = create(accounts[5], rpc_pool_urls=[server.url for server in servers])
    client.token.mint(2 * PRICE)
    for number in range(2):
        tx_id = client.kernel.create_transaction(
            requester=client.address, provider=accounts[6].address, amount=PRICE, deadline=client.now() + DAY
        )
        if number == 0:
            servers[0].stop()
        client.fund_transaction(tx_id)
        assert client.kernel.get_transaction(tx_id).funded
    assert client.token.balance_of() == 0


def test_an_endpoint_of_another_chain_is_named_and_the_client_works(
    servers: tuple[ChainServer, ChainServer], accounts: tuple[DevAccount, ...]
) -> None:
    with ChainServer(EmbeddedChain(chain_id=5)) as foreign:
        urls = f"{servers[0].url},{foreign.url}"
        with pytest.warns(EndpointDropped, match=f"{foreign.url} .* serves chain 5, not chain 31337"):
            assert create(accounts[5], rpc_pool_urls=urls).balances().eth > 0


def test_the_variable_makes_a_pool_and_counts_before_the_single_url(
    servers: tuple[ChainServer, ChainServer], accounts: tuple[DevAccount, ...], settings: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        settings.setenv("ETH_RPC_URL", f"http://127.0.0.1:{closed.getsockname()[1]}")
    settings.setenv(VARIABLE, f"{servers[0].url}, {servers[1].url}")
    assert create(accounts[5]).balances().eth > 0
    assert isinstance(transport_for(Network.ANVIL), Pool)
    assert isinstance(transport_for(Network.ANVIL, rpc_url="http://127.0.0.1:1"), HttpTransport)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (f"https://a.example/{SECRET},", "Entry 2 of ACTP_RPC_POOL_URLS"),
        (f",https://a.example/{SECRET}", "Entry 1 of ACTP_RPC_POOL_URLS"),
        (f"https://a.example/{SECRET},https://b.example,https://a.example/{SECRET}", "Entries 1 and 3"),
        (f"https://a.example,ws://b.example/{SECRET}", "entry 2 of ACTP_RPC_POOL_URLS is not an http"),
        (f"https://a.example;https://{SECRET}", "Entry 1 of ACTP_RPC_POOL_URLS is not an RPC URL"),
        (f"https://a.example,{SECRET}", "Entry 2 of ACTP_RPC_POOL_URLS is not an RPC URL"),
        (" ", "Entry 1 of ACTP_RPC_POOL_URLS"),
    ],
)
def test_a_malformed_entry_is_named_by_its_place_and_not_shown(
    value: str, said: str, settings: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, accounts: Any
) -> None:
    settings.setenv(VARIABLE, value)
    with pytest.raises(ConfigError) as caught:
        create(accounts[5])
    assert said in str(caught.value)
    assert caught.value.hint
    assert_no_secret([SECRET], caplog, caught.value)


def test_no_endpoint_at_all_or_two_ways_to_name_them_is_an_error(accounts: tuple[DevAccount, ...]) -> None:
    for options in ({"rpc_pool_urls": []}, {"rpc_pool_urls": ["http://127.0.0.1:1"], "rpc_url": "http://127.0.0.1:1"}):
        with pytest.raises(ConfigError):
            create(accounts[5], **options)
    with pytest.raises(ConfigError, match=r"Network\.LOCAL"):
        ACTPClient.create(network=Network.LOCAL, rpc_pool_urls="http://127.0.0.1:1")


def test_an_unset_or_empty_variable_makes_no_pool() -> None:
    assert rpc_pool_urls(None, {}) == rpc_pool_urls(None, {VARIABLE: ""}) == ()


def test_a_pool_shows_no_key() -> None:
    pool = transport_for(Network.BASE_SEPOLIA, rpc_pool_urls=[f"https://{host}.example/{SECRET}" for host in "ab"])
    assert isinstance(pool, Pool)
    assert "https://a.example (from entry 1 of rpc_pool_urls)" in pool.label
    assert SECRET not in repr(pool) + pool.label + str(pool.endpoints())
