"""Making a client: every wrong network, node, address book or key is found out before anything is sent."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from actp import ACTPClient, Network
from actp.chain import DevAccount, EmbeddedChain
from actp.chain.server import ChainServer
from actp.deployments import DEFAULT_NAME, AddressBook, Contract, Deployment
from actp.errors import (
    ActpError,
    ArtifactMismatch,
    ConfigError,
    InvalidInput,
    NoCode,
    RpcError,
    RpcUnavailable,
    WrongChain,
)
from actp.networks import LOCAL_GIFT_ETH, LOCAL_GIFT_USDC, connect_local
from actp.rpc import genesis_hash
from actp.signers import LocalSigner
from tests.client.support import DAY, PRICE, assert_no_secret, nonce

KEY = "0x" + "a5" * 32
URL_KEY = "k3y-0f-the-endpoint-0123456789"


@pytest.fixture(autouse=True)
def books(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for address books, and no setting from outside."""
    monkeypatch.setenv("ACTP_DEPLOYMENTS_DIR", str(tmp_path))
    monkeypatch.delenv("ETH_RPC_URL", raising=False)
    return tmp_path


@pytest.fixture
def server(chain: EmbeddedChain) -> Iterator[ChainServer]:
    with ChainServer(chain) as running:
        yield running


def recorded(chain: EmbeddedChain, deployment: Deployment) -> AddressBook:
    book = AddressBook(chain.chain_id, genesis_hash(chain, chain.chain_id))
    book.put(deployment)
    return book


def refused_on_anvil(kind: type[ActpError], url: str, **options: Any) -> ActpError:
    with pytest.raises(kind) as caught:
        ACTPClient.create(**{"network": Network.ANVIL, "rpc_url": url, "private_key": KEY, **options})
    assert caught.value.outcome in ("not_sent", "none")
    assert caught.value.hint
    return caught.value


class TestLocal:
    def test_a_fresh_account_gets_ether_and_usdc(self) -> None:
        client = ACTPClient.create(network=Network.LOCAL)
        assert client.network is Network.LOCAL
        balances = client.balances()
        assert (balances.eth, balances.usdc, balances.credit) == (LOCAL_GIFT_ETH, LOCAL_GIFT_USDC, 0)

    def test_a_key_that_spent_its_gift_gets_no_other(self) -> None:
        key = "0x" + "b6" * 32
        ACTPClient.create(private_key=key).token.transfer("0x" + "11" * 20, LOCAL_GIFT_USDC)
        assert ACTPClient.create(private_key=key).balances().usdc == 0

    def test_all_clients_share_one_chain(self) -> None:
        one, two = ACTPClient.create(network="local"), ACTPClient.create(network="LOCAL")
        assert one.address != two.address
        assert one.chain is two.chain
        assert one.kernel.address == two.kernel.address
        tx_id = one.kernel.create_transaction(
            requester=one.address, provider=two.address, amount=PRICE, deadline=one.now() + DAY
        )
        assert two.kernel.get_transaction(tx_id).requester == one.address

    def test_a_chain_that_was_set_back_before_the_deployment_is_deployed_to_again(self) -> None:
        chain = EmbeddedChain()
        empty = chain.snapshot()
        first = connect_local(chain=chain).deployment
        chain.revert(empty)
        assert chain.request("eth_getCode", [first.kernel, "latest"]) == "0x"
        second = connect_local(chain=chain).deployment
        assert chain.request("eth_getCode", [second.kernel, "latest"]) != "0x"

    @pytest.mark.parametrize("options", [{"rpc_url": "http://127.0.0.1:1"}, {"chain_id": 5}])
    def test_it_takes_neither_url_nor_chain_id(self, options: dict[str, Any]) -> None:
        with pytest.raises(ConfigError, match=r"Network\.ANVIL"):
            ACTPClient.create(network=Network.LOCAL, **options)

    def test_only_our_deployment_is_there(self) -> None:
        with pytest.raises(ConfigError, match="agirails-g1") as caught:
            ACTPClient.create(deployment="agirails-g1")
        assert "Network.BASE_SEPOLIA" in caught.value.hint

    def test_time_travel_is_for_the_chain_in_this_process(
        self, chain: EmbeddedChain, deployed: Deployment, server: ChainServer
    ) -> None:
        recorded(chain, deployed)
        client = ACTPClient.create(network=Network.ANVIL, rpc_url=server.url, private_key=KEY)
        with pytest.raises(ConfigError, match=r"Network\.LOCAL"):
            _ = client.chain
        before = client.now()
        chain.time_travel(DAY)
        assert DAY <= client.now() - before < DAY + 60


class TestKeys:
    @pytest.mark.parametrize("network", [Network.ANVIL, Network.BASE_SEPOLIA, "base-sepolia"])
    def test_a_key_is_needed_outside_this_process(self, network: Network | str) -> None:
        with pytest.raises(ConfigError, match="private key is missing") as caught:
            ACTPClient.create(network=network)
        assert "64 hex digits" in caught.value.hint
        assert "private_key=, or signer=" in caught.value.hint

    @pytest.mark.parametrize("key", ["", "0x", "0x1234", "not a key", "0x" + "00" * 32, "0x" + "ff" * 32, b"short", 7])
    def test_a_malformed_key_is_refused_before_the_node_is_asked(self, key: Any) -> None:
        with pytest.raises(ConfigError) as caught:
            ACTPClient.create(network=Network.BASE_SEPOLIA, rpc_url="http://127.0.0.1:1", private_key=key)
        assert caught.value.outcome == "not_sent"
        assert caught.value.hint

    @pytest.mark.parametrize("key", [KEY, KEY[2:], bytes.fromhex(KEY[2:]), int(KEY, 16)])
    def test_a_key_in_the_place_of_the_network_is_not_shown(self, key: Any, caplog: pytest.LogCaptureFixture) -> None:
        with pytest.raises(InvalidInput, match="There is no network") as caught:
            ACTPClient.create(key)
        assert "private_key" in caught.value.hint
        assert_no_secret([KEY, str(int(KEY, 16)), repr(bytes.fromhex(KEY[2:]))], caplog, caught.value)

    def test_a_url_in_the_place_of_the_network_or_the_deployment_is_not_shown(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        url = f"https://h.example/{URL_KEY}"
        with pytest.raises(InvalidInput) as network:
            ACTPClient.create(url)
        with pytest.raises(ConfigError) as deployment:
            ACTPClient.create(deployment=url)
        assert_no_secret([URL_KEY], caplog, network.value, deployment.value)

    def test_key_or_signer_but_not_both(self) -> None:
        with pytest.raises(ConfigError, match="Give one of them"):
            ACTPClient.create(private_key=KEY, signer=LocalSigner(KEY))

    def test_a_signer_of_ones_own_signs(self) -> None:
        signer = LocalSigner("0x" + "c7" * 32)
        assert ACTPClient.create(signer=signer).address == signer.address

    def test_nothing_shows_the_key(
        self, chain: EmbeddedChain, deployed: Deployment, server: ChainServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("DEBUG")
        recorded(chain, deployed)
        client = ACTPClient.create(network=Network.ANVIL, rpc_url=server.url, private_key=KEY)
        with pytest.raises(ActpError) as caught:
            client.kernel.withdraw_credit()
        parts = (client, client.kernel, client.escrow, client.token, client.events, client._endpoint, client._session)
        assert_no_secret([KEY], caplog, caught.value, *parts, *map(vars, parts[:4]))


class TestNodes:
    def test_another_chain_is_refused(self, server: ChainServer) -> None:
        with pytest.raises(WrongChain) as caught:
            ACTPClient.create(network=Network.BASE_SEPOLIA, rpc_url=server.url, private_key=KEY)
        assert (caught.value.expected, caught.value.actual, caught.value.outcome) == (84532, 31337, "not_sent")
        refused_on_anvil(WrongChain, server.url, chain_id=31338)

    def test_a_node_with_a_chain_id_of_its_own_can_be_named(
        self, chain: EmbeddedChain, deployed: Deployment, server: ChainServer
    ) -> None:
        recorded(chain, deployed)
        client = ACTPClient.create(
            network=Network.BASE_SEPOLIA, rpc_url=server.url, private_key=KEY, chain_id=chain.chain_id
        )
        assert client.chain_id == chain.chain_id

    def test_a_node_that_is_down_is_named_without_its_key(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("DEBUG")
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
            url = f"http://user:{URL_KEY}@127.0.0.1:{port}/v2/{URL_KEY}?key={URL_KEY}"
            error = refused_on_anvil(RpcUnavailable, url)
        assert f"http://127.0.0.1:{port}" in str(error)
        assert_no_secret([URL_KEY, KEY], caplog, error)

    def test_a_url_that_is_none_is_refused(self) -> None:
        error = refused_on_anvil(ConfigError, f"ftp://{URL_KEY}")
        assert URL_KEY not in str(error)

    def test_the_endpoints_key_is_shown_nowhere(
        self, chain: EmbeddedChain, deployed: Deployment, server: ChainServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("DEBUG")
        recorded(chain, deployed)
        client = ACTPClient.create(network=Network.ANVIL, rpc_url=f"{server.url}/v2/{URL_KEY}", private_key=KEY)
        with pytest.raises(ActpError) as caught:
            client.kernel.withdraw_credit()
        assert_no_secret([URL_KEY, KEY], caplog, caught.value, client, client.kernel, client._endpoint)

    def test_the_url_comes_from_the_environment(
        self, chain: EmbeddedChain, deployed: Deployment, server: ChainServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        recorded(chain, deployed)
        monkeypatch.setenv("ETH_RPC_URL", server.url)
        assert ACTPClient.create(network="anvil", private_key=KEY).chain_id == chain.chain_id
        with pytest.raises(WrongChain, match=r"\(from ETH_RPC_URL\) serves chain 31337"):
            ACTPClient.create(network="base-sepolia", private_key=KEY)

    @pytest.mark.parametrize("network", ["mainnet", "", 8453, None])
    def test_a_network_that_is_not_known_is_refused(self, network: Any) -> None:
        with pytest.raises(InvalidInput, match="base-sepolia"):
            ACTPClient.create(network=network, private_key=KEY)


class TestAddressBook:
    def test_a_chain_without_contracts_says_how_to_deploy(self, server: ChainServer) -> None:
        error = refused_on_anvil(ConfigError, server.url)
        assert "scripts/deploy.py --network anvil" in error.hint
        assert error.code == "not_deployed"

    def test_another_name_lists_the_known_ones(
        self, chain: EmbeddedChain, deployed: Deployment, server: ChainServer
    ) -> None:
        recorded(chain, deployed)
        assert DEFAULT_NAME in str(refused_on_anvil(ConfigError, server.url, deployment="agirails"))

    def test_the_contracts_of_agirails_are_looked_for_on_their_own_network(
        self, chain: EmbeddedChain, deployed: Deployment, server: ChainServer
    ) -> None:
        recorded(chain, deployed)
        error = refused_on_anvil(ConfigError, server.url, deployment="agirails-g1")
        assert error.code == "not_deployed"
        assert "Base Sepolia (chain 84532)" in error.hint
        assert "deploy.py" not in error.hint

    def test_the_book_of_a_chain_that_was_started_again_is_not_believed(
        self, chain: EmbeddedChain, deployed: Deployment, server: ChainServer
    ) -> None:
        path = recorded(chain, deployed).path
        assert path is not None
        path.write_text(json.dumps({**json.loads(path.read_text()), "genesis": "0x" + "12" * 32}))
        error = refused_on_anvil(ConfigError, server.url)
        assert "another chain with this id" in error.message
        assert "deploy again" in error.hint

    def test_an_incomplete_deployment_is_not_used(
        self, chain: EmbeddedChain, deployed: Deployment, server: ChainServer
    ) -> None:
        recorded(chain, deployed.without("EscrowVault"))
        assert "not complete" in str(refused_on_anvil(ConfigError, server.url))

    @pytest.mark.parametrize("name", ["ACTPKernel", "EscrowVault", "TestUSDC"])
    def test_an_address_without_code_is_refused(
        self, chain: EmbeddedChain, deployed: Deployment, server: ChainServer, name: str
    ) -> None:
        nowhere = replace(deployed.contracts[name], address="0x" + "11" * 20)
        recorded(chain, deployed.with_contract(name, nowhere))
        assert "0x" + "11" * 20 in str(refused_on_anvil(NoCode, server.url))

    def test_a_token_of_others_must_have_code_too(
        self, chain: EmbeddedChain, deployed: Deployment, server: ChainServer
    ) -> None:
        recorded(chain, replace(deployed.without("TestUSDC"), token="0x" + "11" * 20))
        refused_on_anvil(NoCode, server.url)

    def test_code_other_than_the_recorded_is_refused(
        self, chain: EmbeddedChain, deployed: Deployment, server: ChainServer
    ) -> None:
        kernel = replace(deployed.contracts["ACTPKernel"], code_hash="0x" + "12" * 32)
        recorded(chain, deployed.with_contract("ACTPKernel", kernel))
        refused_on_anvil(ArtifactMismatch, server.url)

    def test_contracts_of_another_version_are_refused(
        self, chain: EmbeddedChain, deployed: Deployment, server: ChainServer
    ) -> None:
        vault = deployed.contracts["EscrowVault"]
        recorded(chain, deployed.with_contract("ACTPKernel", Contract(vault.address, code_hash=vault.code_hash)))
        error = refused_on_anvil(ArtifactMismatch, server.url)
        assert "another version" in error.message


def test_creating_a_client_sends_nothing_outside_this_process(
    chain: EmbeddedChain, deployed: Deployment, server: ChainServer, accounts: tuple[DevAccount, ...]
) -> None:
    recorded(chain, deployed)
    head = chain.request("eth_blockNumber", [])
    client = ACTPClient.create(network=Network.ANVIL, rpc_url=server.url, private_key=accounts[1].private_key)
    assert chain.request("eth_blockNumber", []) == head
    assert nonce(chain, client.address) == 0
    assert client.balances().usdc == 0


def test_the_time_is_known_on_nodes_without_a_pending_block(
    chain: EmbeddedChain, deployed: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = ACTPClient.create()
    newest = int(client.chain.request("eth_getBlockByNumber", ["latest", False])["timestamp"], 16)
    real = client._session.transport.request

    def without_pending(method: str, params: list[Any]) -> Any:
        if params[:1] == ["pending"]:
            raise RpcError(-32602, "unknown block tag")
        return real(method, params)

    monkeypatch.setattr(client._session.transport, "request", without_pending)
    assert client.now() == newest
