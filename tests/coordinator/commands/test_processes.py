"""A worker and the command line as processes of their own over one store, which is how they are used."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from actp.chain import dev_accounts
from tests.chain.cli_process import actp_chain

TREASURY = dev_accounts()[1]
PROVIDER = "0x" + "05" * 20
RULES = """\
total_budget = "500 USDC"
[agents.ann]
spending_limit = "100 USDC"
daily_limit = "300 USDC"
requires_approval = "50 USDC"
"""
POLICY = '[approval_over]\n"{}" = 90_000_000\n'


class Town:
    """A served chain, a store, and commands over them."""

    def __init__(self, folder, chain) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "ACTP_DEPLOYMENTS_DIR": str(folder),
            "ACTP_STORE_URL": f"sqlite:///{folder / 'town.db'}",
            "TREASURY_PRIVATE_KEY": TREASURY.private_key,
        }
        self.node = ("--network", "local", "--rpc-url", chain.url)
        self.workers: list[subprocess.Popen[str]] = []

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "coordinator.cli", *arguments],
            capture_output=True, text=True, timeout=60, check=False, env=self.environment,
        )  # fmt: skip

    def request(self, amount: str, *more: str) -> subprocess.CompletedProcess[str]:
        wanted = ("--agent", "ann", "--amount", amount, "--provider", PROVIDER, "--purpose", "papers")
        return self.run("request", *self.node, *wanted, *more)

    def work(self, *more: str) -> subprocess.Popen[str]:
        """Starts a worker; returns when it works."""
        policy = ("--policy", self.folder / "policy.toml", *more)
        worker = subprocess.Popen(
            [sys.executable, "-m", "coordinator.cli", "run", "worker", *self.node, *policy],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment,
        )  # fmt: skip
        self.workers.append(worker)
        assert worker.stdout is not None
        for line in worker.stdout:
            if line.startswith("Stop with"):
                return worker
        raise AssertionError(worker.communicate())

    def until(self, number: int, state: str) -> dict:
        """The request, once it is in this state."""
        until = time.monotonic() + 40
        while time.monotonic() < until:
            shown = json.loads(self.run("requests", "show", str(number), "--json").stdout)
            if shown["state"] == state:
                return shown
            time.sleep(0.2)
        raise AssertionError(shown)


@pytest.fixture
def town(tmp_path):
    with actp_chain(tmp_path) as chain:
        token = chain.value_of("TestUSDC")
        (tmp_path / "rules.toml").write_text(RULES)
        (tmp_path / "policy.toml").write_text(POLICY.format(token))
        made = Town(tmp_path, chain)
        yield made
        for worker in made.workers:
            worker.kill()
            worker.communicate()


@pytest.mark.slow
def test_requests_are_granted_approved_and_funded_while_a_worker_runs(town):
    worker = town.work()
    early = town.request("1 USDC")
    assert (early.returncode, early.stderr) == (3, "")
    assert "is denied by no_limit: No rules were applied yet: coordinator policy apply" in early.stdout
    applied = town.run("policy", "apply", str(town.folder / "rules.toml"))
    assert applied.returncode == 0, applied.stderr

    small = town.request("25 USDC", "--wait", "40", "--key", "one")
    assert small.returncode == 0, small.stderr
    assert re.search("is granted and (on_chain|committed)", small.stdout)
    again = town.request("25 USDC", "--key", "one")
    assert again.stdout.split()[:2] == small.stdout.split()[:2]
    other = town.request("26 USDC", "--key", "one")
    assert "stands for another request" in other.stderr
    assert "Traceback" not in other.stderr

    denied = town.request("100.5 USDC")
    assert denied.returncode == 3
    assert "exceeds per-tx limit 100.0" in denied.stdout

    asked = town.request("80 USDC", "--json")
    assert asked.returncode == 4
    response = json.loads(asked.stdout)
    assert town.run("approvals", "approve", response["approval_id"], "--by", "ada").returncode == 0
    assert town.until(response["reservation_id"], "committed")["paid"] == 80_000_000

    # The budget's yes is not the treasury's: its own policy asks once more.
    large = json.loads(town.request("95 USDC", "--json").stdout)
    town.run("approvals", "approve", large["approval_id"])
    operation = _waiting_operation(town)
    assert town.run("approvals", "reject", operation, "--by", "boss", "--reason", "no").returncode == 0
    assert "boss said no" in town.until(large["reservation_id"], "released")["reason"]

    agreed = town.run("reconcile", *town.node)
    assert agreed.returncode == 0, agreed.stdout + agreed.stderr
    assert "Ledger and chain agree." in agreed.stdout
    found = json.loads(town.run("reconcile", *town.node, "--json").stdout)
    assert found["ledger"]["spent"] == found["chain"]["funded"] > 0, "base units, as numbers"
    verified = town.run("journal", "verify", "--seal")
    assert verified.returncode == 0, verified.stdout
    worker.send_signal(signal.SIGTERM)
    out, err = worker.communicate(timeout=15)
    assert (worker.returncode, out, err) == (0, "Stopped.\n", "")


@pytest.mark.slow
def test_a_stop_holds_over_a_restart_of_the_worker(town):
    worker = town.work()
    town.run("policy", "apply", str(town.folder / "rules.toml"))
    waiting = json.loads(town.request("60 USDC", "--json").stdout)
    worker.send_signal(signal.SIGINT)
    assert worker.wait(15) == 0
    assert town.run("approvals", "approve", waiting["approval_id"]).returncode == 0
    assert town.run("stop").returncode == 0
    town.work()
    assert town.request("1 USDC").returncode == 3
    time.sleep(2)
    assert json.loads(town.run("requests", "show", "1", "--json").stdout)["state"] == "held"
    assert town.run("resume", "--all").returncode == 0
    town.until(1, "committed")


@pytest.mark.slow
def test_a_worker_in_a_session_funds_what_fits_into_it(town):
    where = ("--budget-store", str(town.folder / "budget.db"))
    town.work(*where, "--budget-session-id", "night", "--budget-session-limit", "30")
    town.run("policy", "apply", str(town.folder / "rules.toml"))
    small, large = (json.loads(town.request(amount, "--json").stdout) for amount in ("25 USDC", "20 USDC"))
    town.until(small["reservation_id"], "committed")
    assert json.loads(town.run("requests", "show", str(large["reservation_id"]), "--json").stdout)["state"] == "held"
    assert town.run("budget", "set", "session:night", "50", *where).returncode == 0
    town.until(large["reservation_id"], "committed")
    until = time.monotonic() + 20
    while time.monotonic() < until:
        shown = json.loads(town.run("budget", "status", "session:night", "--json", *where).stdout)["scopes"]
        if shown[0]["reserved"] == "0.00":
            break
    assert [shown[0][name] for name in ("limit", "spent", "reserved")] == ["50.00", "45.00", "0.00"]
    refused = town.run("run", "worker", *town.node, *where)
    assert refused.returncode == 2
    assert "Give --budget-session-id" in refused.stderr


@pytest.mark.slow
def test_a_worker_without_its_settings_says_so_and_makes_no_store(town):
    def refused(*arguments: str, **environment: str) -> str:
        town.environment |= environment
        done = town.run("run", "worker", *arguments)
        assert done.returncode in (1, 2), done.stdout
        assert "Traceback" not in done.stderr
        return done.stderr

    assert "TREASURY_PRIVATE_KEY is missing" in refused(*town.node, TREASURY_PRIVATE_KEY="")
    assert "is malformed" in refused(*town.node, TREASURY_PRIVATE_KEY="0x12")
    town.environment["TREASURY_PRIVATE_KEY"] = TREASURY.private_key
    assert "cannot be read" in refused(*town.node, "--policy", str(town.folder / "absent.toml"))
    assert "password was not given" in refused(*town.node, "--keystore", str(town.folder / "key.json"))
    assert "did not answer" in refused("--network", "local", "--rpc-url", "http://127.0.0.1:9")
    assert not (town.folder / "town.db").exists()
    assert "No store was named" in refused(*town.node, ACTP_STORE_URL="")


def _waiting_operation(town: Town) -> str:
    until = time.monotonic() + 40
    while time.monotonic() < until:
        listed = [json.loads(line) for line in town.run("approvals", "list", "--json").stdout.splitlines()]
        names = [one["approval_id"] for one in listed if one["approval_id"].startswith("operation-")]
        if names:
            return str(names[0])
        time.sleep(0.2)
    raise AssertionError("no operation waits")
