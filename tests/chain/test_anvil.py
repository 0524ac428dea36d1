"""anvil as a child process: found or missed with a clear error, answering before `start` returns, gone after `stop`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from actp.chain import AnvilProcess
from actp.chain import anvil as anvil_module
from actp.errors import ConfigError, RpcUnavailable
from tests.chain.support import latest, quantity, receipt_of


def test_a_missing_anvil_is_an_error_that_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(anvil_module, "_CHECKOUT", tmp_path)
    with pytest.raises(ConfigError, match=r"npm install --prefix \.tools @foundry-rs/anvil"):
        AnvilProcess().start()


def test_anvil_on_the_path_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "anvil"
    fake.write_text("#!/bin/sh\necho this is not a node >&2\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin")
    assert anvil_module.find_anvil() == fake
    with pytest.raises(ConfigError, match="ended at once: this is not a node"):
        AnvilProcess().start()


def test_a_node_that_never_answers_is_given_up_and_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    fake = tmp_path / "anvil"
    # As npm's anvil does, this one starts a process of its own, which has to end too.
    fake.write_text(f"#!/bin/sh\nsleep 600 &\necho $! > {pid_file}\nwait\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin{os.pathsep}/usr/bin")
    with pytest.raises(ConfigError, match=r"did not answer within 0\.5 s"):
        AnvilProcess(timeout=0.5).start()
    assert not is_running(int(pid_file.read_text()))


def is_running(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return state.stdout.strip()[:1] not in ("", "Z")


@pytest.mark.anvil
class TestRunning:
    @pytest.fixture(autouse=True)
    def _installed(self, session_anvil: AnvilProcess) -> None:
        """Skips where anvil is not installed."""

    def test_it_answers_from_start_to_stop_and_no_longer(self) -> None:
        process = AnvilProcess(chain_id=4_242, extra_args=["--accounts", "1"])
        with process:
            assert process.running
            assert process.request("eth_chainId", []) == hex(4_242)
            assert len(process.request("eth_accounts", [])) == 1
        assert not process.running
        with pytest.raises(RpcUnavailable):
            process.request("eth_chainId", [])

    def test_arguments_that_anvil_refuses_are_reported_with_its_words(self) -> None:
        with pytest.raises(ConfigError, match="unexpected argument '--nonsense'"):
            AnvilProcess(extra_args=["--nonsense"]).start()

    def test_a_port_that_another_node_uses_is_not_taken_for_ours(self, anvil: AnvilProcess) -> None:
        port = int(anvil.url.rpartition(":")[2])
        with pytest.raises(ConfigError, match="Choose another port"):
            AnvilProcess(chain_id=anvil.chain_id, port=port).start()
        assert anvil.running

    def test_with_a_block_time_blocks_come_on_their_own(self) -> None:
        with AnvilProcess(block_time=1) as process:
            sender = process.accounts[0].address
            tx_hash = process.request("eth_sendTransaction", [{"from": sender, "to": sender}])
            assert receipt_of(process, tx_hash)["status"] == "0x1"
            assert quantity(latest(process)["number"]) >= 1


def test_this_module_runs_without_the_virtual_machine_loaded() -> None:
    """Command lines that only look at anvil must not wait for py-evm."""
    code = "import sys, actp.chain.anvil, actp.cli; sys.exit('eth' in sys.modules or 'web3' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
