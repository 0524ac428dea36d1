import json
from contextlib import ExitStack

import pytest
from eth_account import Account

from actp.chain import EmbeddedChain
from actp.chain import rpc as chain_rpc
from actp.chain.server import ChainServer
from scripts.deploy import main

LIVE_KEY = "0x" + "77" * 32
CHAIN_0 = ["--network", "anvil", "--chain-id", "0"]


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
    assert f"Written to {tmp_path / '31337.json'}" in shown
    assert main(["--network", "local", "--rpc-url", served]) == 0
    again = capsys.readouterr().out
    assert "Nothing to deploy: 'actp-escrow' is on chain 31337 already." in again
    assert kernel in again
    assert str(tmp_path / "31337.json") in again
    assert not any(word in again for word in ("at most", "Deploying", "Written"))
    assert json.loads((tmp_path / "31337.json").read_text()) == content


def test_the_url_may_come_from_the_environment(served, tmp_path, monkeypatch):
    monkeypatch.setenv("ETH_RPC_URL", served)
    assert main(["--network", "anvil", "--name", "mine", "--min-fee", "0"]) == 0
    content = json.loads((tmp_path / "31337.json").read_text())
    assert content["deployments"]["mine"]["contracts"]["ACTPKernel"]["args"][5] == [100, 500, 500, 0, 1_000_000]


def test_rates_that_the_kernel_would_refuse_cost_nothing(served, capsys):
    assert main(["--network", "local", "--rpc-url", served, "--platform-fee-bps", "5000"]) == 1
    refusal = capsys.readouterr()
    assert "platform_fee_bps is 5000, and the kernel takes 0 to 500. Choose another value (--platform-fee-bps)" in (
        refusal.err
    )
    assert "deployed at" not in refusal.out


def test_the_wrong_chain_is_an_error_and_nothing_is_sent(served, capsys, monkeypatch):
    monkeypatch.setenv("DEPLOYER_PRIVATE_KEY", LIVE_KEY)
    assert main(["--network", "base-sepolia", "--rpc-url", served, "--yes"]) == 1
    assert "serves chain 31337, not chain 84532" in capsys.readouterr().err


def test_a_node_that_is_down_is_an_error_that_names_it_without_its_key(served, capsys):
    assert main(["--network", "anvil", "--rpc-url", "http://127.0.0.1:9/s3cr3tAPIkey"]) == 1
    shown = capsys.readouterr().err
    assert "http://127.0.0.1:9" in shown
    assert "s3cr3t" not in shown


@pytest.mark.parametrize(("key", "problem"), [(None, "missing"), (LIVE_KEY[:-1], "malformed"), ("", "missing")])
def test_a_live_network_needs_a_key_of_its_own_before_the_node_is_asked(monkeypatch, capsys, tmp_path, key, problem):
    monkeypatch.setenv("ACTP_DEPLOYMENTS_DIR", str(tmp_path))
    monkeypatch.delenv("DEPLOYER_PRIVATE_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("DEPLOYER_PRIVATE_KEY", key)
    # Nothing listens there.
    assert main(["--network", "base-sepolia", "--rpc-url", "http://127.0.0.1:9", "--yes"]) == 1
    shown = capsys.readouterr().err
    assert f"DEPLOYER_PRIVATE_KEY is {problem}" in shown
    assert ("--keystore" in shown) == (problem == "missing")
    assert LIVE_KEY[2:40] not in shown


def test_a_key_that_everybody_has_deploys_only_to_development_nodes(served_as_live, capsys, monkeypatch, accounts):
    url, chain = served_as_live
    monkeypatch.setenv("DEPLOYER_PRIVATE_KEY", accounts[3].private_key)
    command = ["--network", "base-sepolia", "--rpc-url", url, "--yes"]
    with monkeypatch.context() as patch:
        patch.setitem(chain_rpc._METHODS, "web3_clientVersion", lambda node, params: "Geth/v1.15.0")
        assert main(command) == 1
        shown = capsys.readouterr().err
        assert "whose private key everybody has" in shown
        assert accounts[3].address in shown
        assert blocks(chain) == 0
    assert main(command) == 0


def test_a_node_on_this_machine_that_is_no_development_node_counts_as_live(served_as_live, capsys, monkeypatch):
    url, chain = served_as_live
    monkeypatch.setitem(chain_rpc._METHODS, "web3_clientVersion", lambda node, params: "Geth/v1.15.0")
    assert main(["--network", "anvil", "--chain-id", "84532", "--rpc-url", url]) == 1
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
    options = [*keystore_options(tmp_path, accounts[4]), "--yes"]
    assert main(["--network", "base-sepolia", "--rpc-url", url, *options]) == 0
    contracts = json.loads((tmp_path / "84532.json").read_text())["deployments"]["actp-escrow"]["contracts"]
    assert contracts["ACTPKernel"]["args"][0] == accounts[4].address


def keystore_options(tmp_path, account):
    keystore, password = tmp_path / "key.json", tmp_path / "password"
    keystore.write_text(json.dumps(Account.encrypt(account.private_key, "right", kdf="pbkdf2", iterations=1_000)))
    password.write_text("right")
    return ["--keystore", str(keystore), "--password-file", str(password)]


@pytest.fixture
def elsewhere(monkeypatch):
    """Serves chains under the name of another machine, through a proxy on this one."""
    with ExitStack() as stack:

        def serve(chain):
            server = stack.enter_context(ChainServer(chain))
            monkeypatch.setattr("actp.chain.server._is_local", lambda host: True)
            monkeypatch.setenv("http_proxy", server.url)
            return "http://node.example.test/"

        for variable in ("no_proxy", "NO_PROXY"):
            monkeypatch.setenv(variable, "")
        yield serve


@pytest.mark.parametrize("chain_id", [31337, 8453])
@pytest.mark.slow
def test_a_keystore_is_not_used_elsewhere_without_a_yes(elsewhere, tmp_path, monkeypatch, capsys, accounts, chain_id):
    monkeypatch.setenv("ACTP_DEPLOYMENTS_DIR", str(tmp_path))
    chain = EmbeddedChain(chain_id=chain_id)
    options = ["--network", "anvil", "--chain-id", str(chain_id), "--rpc-url", elsewhere(chain)]
    options += keystore_options(tmp_path, accounts[4])
    assert main(options) == 1
    assert "nobody to ask" in capsys.readouterr().err
    assert blocks(chain) == 0
    assert main([*options, "--yes"]) == 0


def test_a_chain_elsewhere_that_is_no_development_chain_is_live_under_any_name(
    elsewhere, tmp_path, monkeypatch, capsys, accounts
):
    monkeypatch.setenv("ACTP_DEPLOYMENTS_DIR", str(tmp_path))
    monkeypatch.delenv("DEPLOYER_PRIVATE_KEY", raising=False)
    chain = EmbeddedChain(chain_id=8453)
    options = ["--network", "anvil", "--chain-id", "8453", "--rpc-url", elsewhere(chain)]
    assert main(options) == 1
    assert "DEPLOYER_PRIVATE_KEY is missing" in capsys.readouterr().err
    monkeypatch.setenv("DEPLOYER_PRIVATE_KEY", accounts[3].private_key)
    assert main(options) == 1
    assert "nobody to ask" in capsys.readouterr().err
    assert blocks(chain) == 0


def test_a_keystore_on_this_machine_is_asked_about_unless_it_is_a_development_chain(
    served, served_as_live, tmp_path, capsys, accounts
):
    url, chain = served_as_live
    options = ["--network", "anvil", *keystore_options(tmp_path, accounts[4])]
    assert main([*options, "--chain-id", "84532", "--rpc-url", url]) == 1
    assert "nobody to ask" in capsys.readouterr().err
    assert blocks(chain) == 0
    assert main([*options, "--rpc-url", served]) == 0


def test_wrong_usage_exits_with_2(served):
    for options in ([], ["--network", "mainnet"], ["--network", "local", "--unknown"], CHAIN_0):
        with pytest.raises(SystemExit) as caught:
            main(options)
        assert caught.value.code == 2
