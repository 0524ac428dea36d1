import json

import pytest
from eth_account import Account

from actp.chain import EmbeddedChain
from actp.chain.server import ChainServer
from scripts.deploy import main

LIVE_KEY = "0x" + "77" * 32


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A chain behind a URL, an empty folder for address books, and none of the user's own settings."""
    for variable in ("ETH_RPC_URL", "DEPLOYER_PRIVATE_KEY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("ACTP_DEPLOYMENTS_DIR", str(tmp_path))
    with ChainServer(EmbeddedChain()) as server:
        yield server.url


@pytest.fixture
def served_as_live(tmp_path, monkeypatch):
    """A chain with the id of Base Sepolia."""
    for variable in ("ETH_RPC_URL", "DEPLOYER_PRIVATE_KEY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("ACTP_DEPLOYMENTS_DIR", str(tmp_path))
    chain = EmbeddedChain(chain_id=84532)
    with ChainServer(chain) as server:
        yield server.url, chain


def blocks(chain):
    return int(chain.request("eth_blockNumber", []), 16)


def test_a_served_chain_is_deployed_to_and_written_down(served, tmp_path, capsys):
    assert main(["--network", "local", "--rpc-url", served]) == 0
    shown = capsys.readouterr().out
    content = json.loads((tmp_path / "31337.json").read_text())
    kernel = content["deployments"]["actp-escrow"]["contracts"]["ACTPKernel"]["address"]
    assert kernel in shown
    assert shown.index("at most") < shown.index("deployed at")
    assert main(["--network", "local", "--rpc-url", served]) == 0
    assert "at most" not in capsys.readouterr().out
    assert json.loads((tmp_path / "31337.json").read_text()) == content


def test_the_url_may_come_from_the_environment(served, tmp_path, monkeypatch):
    monkeypatch.setenv("ETH_RPC_URL", served)
    assert main(["--network", "anvil", "--name", "mine", "--min-fee", "0"]) == 0
    content = json.loads((tmp_path / "31337.json").read_text())
    assert content["deployments"]["mine"]["contracts"]["ACTPKernel"]["args"][5] == [100, 500, 500, 0, 1_000_000]


def test_the_wrong_chain_is_an_error_and_nothing_is_sent(served, capsys):
    assert main(["--network", "base-sepolia", "--rpc-url", served, "--yes"]) == 1
    assert "serves chain 31337, not chain 84532" in capsys.readouterr().err


def test_a_node_that_is_down_is_an_error_that_names_it_without_its_key(served, capsys):
    assert main(["--network", "anvil", "--rpc-url", "http://127.0.0.1:9/s3cr3tAPIkey"]) == 1
    shown = capsys.readouterr().err
    assert "http://127.0.0.1:9" in shown
    assert "s3cr3t" not in shown


def test_a_live_network_needs_a_key_of_its_own(served_as_live, capsys):
    url, chain = served_as_live
    assert main(["--network", "base-sepolia", "--rpc-url", url, "--yes"]) == 1
    assert "DEPLOYER_PRIVATE_KEY is missing" in capsys.readouterr().err
    assert blocks(chain) == 0


def test_a_live_network_asks_and_sends_nothing_where_nobody_answers(served_as_live, capsys, monkeypatch, accounts):
    url, chain = served_as_live
    monkeypatch.setenv("DEPLOYER_PRIVATE_KEY", accounts[3].private_key)
    assert main(["--network", "base-sepolia", "--rpc-url", url]) == 1
    shown = capsys.readouterr()
    assert "--yes" in shown.err
    assert "ETH" in shown.out
    assert accounts[3].private_key[2:] not in shown.out + shown.err
    assert blocks(chain) == 0


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 1), ("", 1)])
def test_a_live_network_deploys_only_after_a_yes(served_as_live, monkeypatch, accounts, answer, code):
    url, chain = served_as_live
    monkeypatch.setenv("DEPLOYER_PRIVATE_KEY", accounts[3].private_key)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda prompt: answer)
    assert main(["--network", "base-sepolia", "--rpc-url", url]) == code
    assert (blocks(chain) > 0) == (code == 0)


def test_an_unfunded_key_is_told_what_it_needs(served_as_live, capsys, monkeypatch):
    url, chain = served_as_live
    monkeypatch.setenv("DEPLOYER_PRIVATE_KEY", LIVE_KEY)
    assert main(["--network", "base-sepolia", "--rpc-url", url, "--yes"]) == 1
    shown = capsys.readouterr().err
    assert "has 0 wei of ETH and needs" in shown
    assert LIVE_KEY[2:] not in shown
    assert blocks(chain) == 0


def test_a_keystore_can_hold_the_key(served_as_live, tmp_path, accounts):
    url, _ = served_as_live
    keystore, password = tmp_path / "key.json", tmp_path / "password"
    keystore.write_text(json.dumps(Account.encrypt(accounts[4].private_key, "right", kdf="pbkdf2", iterations=1_000)))
    password.write_text("right\n")
    options = ["--keystore", str(keystore), "--password-file", str(password), "--yes"]
    assert main(["--network", "base-sepolia", "--rpc-url", url, *options]) == 0
    contracts = json.loads((tmp_path / "84532.json").read_text())["deployments"]["actp-escrow"]["contracts"]
    assert contracts["ACTPKernel"]["args"][0] == accounts[4].address


def test_wrong_usage_exits_with_2(served):
    for options in ([], ["--network", "mainnet"], ["--network", "local", "--unknown"]):
        with pytest.raises(SystemExit) as caught:
            main(options)
        assert caught.value.code == 2
