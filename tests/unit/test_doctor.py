"""`actp doctor`: what is wrong is found, named, and answered with what to do; the exit code says whether it matters."""

from __future__ import annotations

import json
import time

import pytest

from actp.chain import EmbeddedChain
from actp.chain.server import ChainServer
from actp.cli import main
from actp.command_line import ExitCode
from actp.deployments import AddressBook
from actp.doctor import Status, Subject, examine
from actp.rpc import LIVE_GENESIS, genesis_hash
from actp.types import Network
from tests.unit.pool_nodes import Node, nodes

SECRET = "k3y-0f-the-endpoint-0123456789"
NOBODY = "0x" + "11" * 20


@pytest.fixture(autouse=True)
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("ACTP_DEPLOYMENTS_DIR", str(tmp_path))
    for name in ("ACTP_RPC_POOL_URLS", "ETH_RPC_URL", "ACTP_STORE_URL"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.fixture
def server(chain, deployed):
    AddressBook(chain.chain_id, genesis_hash(chain, chain.chain_id)).put(deployed)
    with ChainServer(chain) as running:
        yield running


def found(report, name):
    (check,) = [check for check in report.checks if check.name == name]
    return check


def examined(url, **options):
    return examine(Subject(**{"network": Network.ANVIL, "rpc_url": url, **options}))


def assert_helpful(report):
    assert not report.ok
    assert all(check.hint for check in report.checks if check.status is Status.FAILED)


def run(capsys, *arguments):
    code = main(["doctor", *arguments])
    return code, capsys.readouterr().out


def test_a_working_set_up_passes_every_check(server, accounts):
    report = examined(server.url, account=accounts[1].address)
    assert report.ok
    assert {check.name for check in report.checks} == {
        "rpc", "chain id", "genesis", "clock", "code of ACTPKernel", "code of EscrowVault", "code of TestUSDC",
        "contracts", "ETH", "USDC", "nonce", "allowance", "database",
    }  # fmt: skip
    assert found(report, "ETH").detail.endswith(" ETH")


def test_the_command_prints_what_is_wrong_and_what_to_do_and_exits_with_1(server, capsys):
    code, text = run(capsys, "--network", "anvil", "--rpc-url", server.url, "--account", NOBODY)
    assert code == ExitCode.FAILED
    assert "FAILED   ETH" in text
    assert f"-> Send it some: {NOBODY} pays the gas." in text
    assert "1 check failed." in text


def test_the_command_exits_with_0_when_nothing_is_wrong(server, capsys, accounts, settings):
    settings.setenv("SOME_KEY", accounts[1].private_key)
    code, text = run(capsys, "--network", "anvil", "--rpc-url", server.url, "--key-variable", "SOME_KEY")
    assert code == ExitCode.OK
    assert accounts[1].address in text
    assert accounts[1].private_key[2:] not in text
    assert "(--key-variable SOME_KEY)" in text


def test_json_has_checks_endpoints_and_the_origin_of_every_setting(server, capsys, settings):
    with ChainServer(EmbeddedChain(chain_id=5)) as foreign:
        settings.setenv("ACTP_RPC_POOL_URLS", f"{server.url}/{SECRET},{foreign.url}/{SECRET}")
        code, text = run(capsys, "--network", "anvil", "--json")
    report = json.loads(text)
    assert (code, report["ok"]) == (1, False)
    assert SECRET not in text
    good, bad = report["endpoints"]
    assert (good["score"], good["connected"], good["dropped"]) == (100, True, None)
    assert (bad["connected"], bad["dropped"]) == (False, "wrong_chain")
    failed = [check for check in report["checks"] if check["status"] == "failed"]
    assert len(failed) == 1
    assert "serves chain 5" in failed[0]["detail"]
    assert "Take it out of the pool" in failed[0]["hint"]
    origins = {setting["name"]: setting["origin"] for setting in report["settings"]}
    assert origins == {
        "network": "--network", "rpc": "ACTP_RPC_POOL_URLS", "chain id": "default of anvil", "deployment": "default",
        "address books": "ACTP_DEPLOYMENTS_DIR", "store": "default",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("environment", "options", "origin"),
    [
        ({}, {}, "default of anvil"),
        ({"ETH_RPC_URL": "http://127.0.0.1:1"}, {}, "ETH_RPC_URL"),
        ({"ETH_RPC_URL": "http://127.0.0.1:1", "ACTP_RPC_POOL_URLS": "http://127.0.0.1:1"}, {}, "ACTP_RPC_POOL_URLS"),
        ({"ACTP_RPC_POOL_URLS": "http://127.0.0.1:1"}, {"rpc_url": "http://127.0.0.1:1"}, "--rpc-url"),
        ({"ACTP_RPC_POOL_URLS": "http://127.0.0.1:1"}, {"rpc_pool_urls": "http://127.0.0.1:2"}, "--rpc-pool-urls"),
    ],
)
def test_it_says_where_the_rpc_url_came_from(environment, options, origin, settings):
    for name, value in environment.items():
        settings.setenv(name, value)
    report = examine(Subject(Network.ANVIL, **options))
    assert [one.origin for one in report.settings if one.name == "rpc"] == [origin]


def test_a_malformed_setting_is_a_failed_check_that_shows_no_url(settings, capsys):
    settings.setenv("ACTP_RPC_POOL_URLS", f"https://a.example/{SECRET},")
    code, text = run(capsys, "--network", "base-sepolia")
    assert code == ExitCode.FAILED
    assert "Entry 2 of ACTP_RPC_POOL_URLS" in text
    assert SECRET not in text


def test_a_node_that_is_not_there_fails_and_leaves_the_rest_unchecked():
    report = examined("http://127.0.0.1:9")
    assert_helpful(report)
    assert found(report, "rpc").status is Status.FAILED
    assert found(report, "contracts").status is Status.SKIPPED


def test_the_wrong_chain_is_found(server):
    report = examined(server.url, network=Network.BASE_SEPOLIA)
    assert_helpful(report)
    assert "serves chain 31337, not chain 84532" in found(report, "chain id").detail


def test_a_development_chain_with_the_live_id_is_found():
    with ChainServer(EmbeddedChain(chain_id=84_532)) as running:
        report = examined(running.url, network=Network.BASE_SEPOLIA)
    assert_helpful(report)
    assert LIVE_GENESIS[84_532] in found(report, "genesis").detail


def test_missing_contracts_are_found(chain, server, deployed, tmp_path):
    other = EmbeddedChain()
    with ChainServer(other) as running:
        report = examined(running.url)
        assert_helpful(report)
        assert found(report, "contracts").status is Status.FAILED
        AddressBook(other.chain_id, genesis_hash(other, other.chain_id), folder=tmp_path).put(deployed)
        report = examined(running.url)
    assert_helpful(report)
    assert found(report, "code of EscrowVault").status is Status.FAILED


def test_waiting_transactions_and_standing_allowances_are_pointed_out(chain, server, deployed, accounts):
    account = accounts[1].address
    data = "0x095ea7b3" + deployed.vault[2:].rjust(64, "0") + f"{5_000_000:064x}"
    chain.request("eth_sendTransaction", [{"from": account, "to": deployed.token, "data": data}])
    chain.request("evm_setAutomine", [False])
    try:
        chain.request("eth_sendTransaction", [{"from": account, "to": NOBODY}])
        report = examined(server.url, account=account)
    finally:
        chain.request("evm_setAutomine", [True])
    assert report.ok
    assert "5.00 USDC" in found(report, "allowance").detail
    nonce = found(report, "nonce")
    assert (nonce.status, "1 waiting" in nonce.detail) == (Status.WARNING, True)
    assert nonce.hint


@pytest.mark.parametrize(("age", "word"), [(0, None), (30, None), (120, "clock is ahead"), (-60, "clock is behind")])
def test_a_clock_that_is_wrong_or_a_head_that_is_old_is_found(age, word):
    with nodes(Node(chain=84_532, genesis=LIVE_GENESIS[84_532])) as (node,):
        real = node._block
        node._block = lambda tag: {**real(tag), "timestamp": hex(int(time.time()) - age)}
        report = examined(node.server.url, network=Network.BASE_SEPOLIA)
    clock = found(report, "clock")
    if word is None:
        assert clock.status is Status.OK
    else:
        assert clock.status is Status.FAILED
        assert word in clock.hint


def test_a_dead_endpoint_of_a_pool_fails_although_the_pool_works(server):
    report = examine(Subject(Network.ANVIL, rpc_pool_urls=[server.url, "http://127.0.0.1:9"]))
    assert_helpful(report)
    assert [check.status for check in report.checks[:3]] == [Status.OK, Status.FAILED, Status.OK]
    assert report.endpoints[1].score == 90


def test_a_malformed_account_is_wrong_usage(capsys):
    assert main(["doctor", "--network", "anvil", "--account", "0x12"]) == ExitCode.USAGE
