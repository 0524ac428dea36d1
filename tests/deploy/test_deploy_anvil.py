import json

import pytest

from actp import deployments
from actp.deployments import AddressBook
from actp.rpc import HttpTransport, genesis_hash
from scripts.deploy import main

pytestmark = pytest.mark.anvil


def test_a_real_node_with_the_id_of_base_sepolia(anvil, tmp_path, monkeypatch, capsys, accounts):
    monkeypatch.setenv("ACTP_DEPLOYMENTS_DIR", str(tmp_path))
    monkeypatch.setenv("DEPLOYER_PRIVATE_KEY", accounts[6].private_key)
    options = ["--network", "base-sepolia", "--rpc-url", anvil.url, "--yes"]
    assert main(options) == 0
    transport = HttpTransport(anvil.url)
    book = AddressBook(84532, genesis_hash(transport, 84532), folder=tmp_path)
    assert book.names() == ["actp-escrow"]
    deployment = book.get()
    deployments.verify(transport, deployment)
    assert deployment.contracts["ACTPKernel"].args[0] == accounts[6].address
    height = transport.request("eth_blockNumber", [])
    capsys.readouterr()
    assert main(options) == 0
    assert transport.request("eth_blockNumber", []) == height
    assert "at most" not in capsys.readouterr().out


def test_the_development_key_is_used_on_anvil_under_any_chain_id(anvil, tmp_path, monkeypatch, accounts):
    monkeypatch.setenv("ACTP_DEPLOYMENTS_DIR", str(tmp_path))
    monkeypatch.delenv("DEPLOYER_PRIVATE_KEY", raising=False)
    assert main(["--network", "anvil", "--chain-id", "84532", "--rpc-url", anvil.url]) == 0
    content = json.loads((tmp_path / "84532.json").read_text())
    assert content["deployments"]["actp-escrow"]["contracts"]["ACTPKernel"]["args"][0] == accounts[0].address
