"""`actp chain` as users start it: a process of its own, talked to over HTTP, stopped by a signal."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from actp import deployments
from actp.chain import DevAccount
from actp.cli import main
from actp.command_line import ExitCode
from actp.errors import RpcUnavailable
from actp.rpc import genesis_hash
from tests.chain.cli_process import actp_chain
from tests.chain.support import latest, nonce, quantity, receipt_of, sign
from tests.chain.test_anvil import is_running

Accounts = tuple[DevAccount, ...]


@pytest.mark.slow
def test_it_serves_the_contracts_under_the_addresses_that_it_prints_and_writes(
    tmp_path: Path, accounts: Accounts
) -> None:
    with actp_chain(tmp_path) as running:
        assert running.url.startswith("http://127.0.0.1:")
        assert running.value_of("Chain id") == "31337" == str(int(running.transport.request("eth_chainId", []), 16))
        book = deployments.AddressBook(31_337, genesis_hash(running.transport, 31_337), folder=tmp_path)
        deployment = book.get()
        assert running.value_of("ACTPKernel") == deployment.kernel
        assert running.value_of("EscrowVault") == deployment.vault
        assert running.value_of("Address book") == str(tmp_path / "31337.json")
        deployments.verify(running.transport, deployment)
        printed = "\n".join(running.output)
        assert "NEVER USE THEM ON A LIVE NETWORK" in printed
        assert all(account.address in printed and account.private_key in printed for account in accounts)
        assert running.stop() == 0
        with pytest.raises(RpcUnavailable):
            running.transport.request("eth_chainId", [])


@pytest.mark.slow
def test_without_deployment_nothing_is_sent_and_no_book_is_written(tmp_path: Path) -> None:
    with actp_chain(tmp_path, "--no-deploy", "--chain-id", "1234") as running:
        assert running.transport.request("eth_chainId", []) == hex(1_234)
        assert running.transport.request("eth_blockNumber", []) == "0x0"
        assert not list(tmp_path.iterdir())
        assert running.stop(signal.SIGINT) == 0


@pytest.mark.slow
def test_a_chain_of_any_id_can_be_started_again(tmp_path: Path) -> None:
    for _ in range(2):
        with actp_chain(tmp_path, "--chain-id", "4242") as running:
            book = deployments.AddressBook(4_242, genesis_hash(running.transport, 4_242), folder=tmp_path)
            assert running.value_of("ACTPKernel") == book.get().kernel
            running.stop()


@pytest.mark.slow
def test_with_a_block_time_transactions_wait_for_their_block(tmp_path: Path, accounts: Accounts) -> None:
    with actp_chain(tmp_path, "--no-deploy", "--block-time", "1") as running:
        node = running.transport
        started = time.monotonic()
        hashes = [
            node.request("eth_sendRawTransaction", [sign(node, sender, nonce=nonce(node, sender.address))])
            for sender in accounts[:3]
        ]
        receipts = [receipt_of(node, tx_hash) for tx_hash in hashes]
        assert time.monotonic() - started < 10
        assert quantity(latest(node)["number"]) < 10
        assert {receipt["status"] for receipt in receipts} == {"0x1"}
        assert len({receipt["blockHash"] for receipt in receipts}) <= 2
        running.stop()


@pytest.mark.slow
@pytest.mark.anvil
@pytest.mark.usefixtures("session_anvil")
def test_anvil_is_served_instead_and_ends_with_it(tmp_path: Path) -> None:
    with actp_chain(tmp_path, "--anvil", "--chain-id", "84532") as running:
        assert running.transport.request("web3_clientVersion", []).startswith("anvil/")
        assert json.loads((tmp_path / "84532.json").read_text())["chainId"] == 84_532
        found = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(running.process.pid)], capture_output=True, text=True, check=True
        )
        children = [int(line) for line in found.stdout.split()]
        assert children
        assert running.stop() == 0
        assert not any(is_running(child) for child in children)
        with pytest.raises(RpcUnavailable):
            running.transport.request("eth_chainId", [])


class TestUsage:
    @pytest.mark.slow
    def test_a_port_in_use_is_one_line_and_exit_code_1(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with actp_chain(tmp_path, "--no-deploy") as running:
            port = running.url.rpartition(":")[2]
            assert main(["chain", "--port", port, "--no-deploy"]) == ExitCode.FAILED
        errors = capsys.readouterr().err.splitlines()
        assert len(errors) == 1
        assert "Choose another port" in errors[0]

    @pytest.mark.parametrize(
        ("option", "value", "bounds"),
        [
            ("--chain-id", "0", "1 to "),
            ("--chain-id", "-3", "1 to "),
            ("--chain-id", str(2**63), "1 to 9223372036854775771"),
            ("--port", "-1", "0 to 65535"),
            ("--port", "65536", "0 to 65535"),
            ("--port", "http", "0 to 65535"),
            ("--block-time", "0", "1 to 86400"),
            ("--block-time", "-2", "1 to 86400"),
            ("--block-time", "0.5", "1 to 86400"),
            ("--block-time", "soon", "1 to 86400"),
        ],
    )
    def test_a_number_that_makes_no_sense_says_what_is_possible(
        self, capsys: pytest.CaptureFixture[str], option: str, value: str, bounds: str
    ) -> None:
        with pytest.raises(SystemExit) as caught:
            main(["chain", option, value])
        assert caught.value.code == ExitCode.USAGE
        assert f"argument {option}: '{value}' is not a whole number from {bounds}" in capsys.readouterr().err

    @pytest.mark.parametrize("arguments", [[], ["nonsense"], ["chain", "--por", "1"]])
    def test_wrong_usage_is_exit_code_2(self, arguments: list[str]) -> None:
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == ExitCode.USAGE

    def test_a_missing_anvil_is_exit_code_1_with_the_way_to_install_it(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("actp.chain.anvil._CHECKOUT", tmp_path)
        assert main(["chain", "--anvil"]) == ExitCode.FAILED
        shown = capsys.readouterr().err
        assert "make tools" in shown
        assert "npm install --prefix .tools @foundry-rs/anvil" in shown
