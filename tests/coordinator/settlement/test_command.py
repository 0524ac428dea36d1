"""`coordinator run settlement` as people start it, and killed wherever it can be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from actp.chain import EmbeddedChain, dev_accounts
from actp.chain.server import ChainServer
from actp.deploy import deploy_contracts
from actp.deployments import AddressBook
from actp.engine import Sender
from actp.engine.crash import CRASH_VARIABLE as ENGINE_VARIABLE
from actp.engine.crash import CrashPoint as EnginePoint
from actp.engine.store import open_store
from actp.rpc import genesis_hash
from actp.signers import LocalSigner
from actp.types import State
from coordinator.crash import CRASH_VARIABLE, CrashPoint
from coordinator.store.index_words import ActionState
from coordinator.types import Stage
from tests.coordinator.settlement.support import BOT, NET, Town

ROOT = Path(__file__).resolve().parents[3]
OURS = (CrashPoint.BEFORE_CLAIM, CrashPoint.AFTER_CLAIM, CrashPoint.BEFORE_OUTCOME, CrashPoint.AFTER_OUTCOME)
ENGINES = (EnginePoint.AFTER_SIGN, EnginePoint.AFTER_COMMIT, EnginePoint.AFTER_BROADCAST, EnginePoint.AFTER_SEALED)


@dataclass(frozen=True)
class Shop:
    """A town on a chain that other processes reach."""

    town: Town
    url: str
    folder: Path

    @property
    def store(self) -> Path:
        return self.folder / "bots.db"

    def run(self, *arguments: str, script: bool = False, **environment: str) -> subprocess.CompletedProcess[str]:
        """The bot, with the key of BOT."""
        how = ["scripts/settlement_bot.py"] if script else ["-m", "coordinator.cli", "run", "settlement"]
        usual = ["--network", "local", "--rpc-url", self.url, "--store", str(self.store)]
        return subprocess.run(
            [sys.executable, *how, *usual, *arguments],
            capture_output=True, text=True, cwd=ROOT, timeout=120, check=False,
            env={
                **os.environ, "PYTHONPATH": str(ROOT), "ACTP_DEPLOYMENTS_DIR": str(self.folder / "deployments"),
                "TREASURY_PRIVATE_KEY": dev_accounts()[BOT].private_key, **environment,
            },
        )  # fmt: skip


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    chain = EmbeddedChain()
    deployments = tmp_path / "deployments"
    deployments.mkdir()
    monkeypatch.setenv("ACTP_DEPLOYMENTS_DIR", str(deployments))
    sender = Sender(chain, LocalSigner(dev_accounts()[0].private_key), chain_id=31_337)
    deployment = deploy_contracts(sender, AddressBook(31_337, genesis_hash(chain, 31_337), development=True))
    with ChainServer(chain) as server:
        town = Town(chain, chain, deployment, open_store(tmp_path / "bots.db"))
        yield Shop(town, server.url, tmp_path)
        town.close()


def _settled_once(town: Town, ids: list[str], before: int) -> None:
    assert town.states(ids) == [State.SETTLED] * len(ids)
    assert town.provider.token.balance_of() - before == NET * len(ids)
    assert town.breaches() == []
    assert {one.state for one in town.actions().values()} == {ActionState.DONE}


def test_once_ends_what_is_due_says_so_and_ends(shop: Shop) -> None:
    town = shop.town
    ids = town.delivered(3)
    before = town.provider.token.balance_of()
    town.later()

    planned = shop.run("--for", "everyone", "--once", "--dry-run", TREASURY_PRIVATE_KEY="")
    assert planned.returncode == 0, planned.stderr
    assert all(one in planned.stdout for one in ids)
    assert "settle 3 escrows in one eth transaction" in planned.stdout
    assert town.count_operations() == 0

    done = shop.run("--for", town.provider.address, "--once", script=True)
    assert done.returncode == 0, done.stderr
    assert "settled 3" in done.stdout
    assert "late p50" in done.stdout
    assert "Ctrl-C" not in done.stdout, "it ends by itself"
    _settled_once(town, ids, before)
    assert "Nothing is due." in shop.run("--for", "everyone", "--dry-run").stdout


@pytest.mark.slow
def test_once_without_gas_says_what_is_missing_and_fails(shop: Shop) -> None:
    town = shop.town
    ids = town.delivered(1)
    town.later()
    town.chain.request("anvil_setBalance", [town.accounts[BOT].address, "0x0"])
    done = shop.run("--for", "everyone", "--once")
    assert done.returncode == 1
    assert "0.0 ETH left" in done.stdout
    assert town.states(ids) == [State.DELIVERED]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--for", "nobody"), "a party"),
        (("--for", "everyone", "--for", "treasury"), "Everyone has all parties"),
        (("--for", "everyone", "--kernel", "0x" + "00" * 19 + "07"), "No deployment of the address book"),
        (("--for", "everyone", "--batch", "101"), "101"),
        (("--for", "everyone", "--max-cost-per-day", "0"), "no amount of ETH"),
        (("--for", "everyone", "--max-cost-per-day", "1 wei"), "no amount of ETH"),
        ((), "--for"),
    ],
)
@pytest.mark.slow
def test_wrong_arguments_are_named(shop: Shop, arguments: tuple[str, ...], says: str) -> None:
    done = shop.run(*arguments)
    assert done.returncode in (1, 2)
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("where", [*OURS, *ENGINES], ids=lambda where: where.value)
def test_a_bot_that_is_killed_anywhere_settles_everything_once_after_all(
    shop: Shop, where: CrashPoint | EnginePoint
) -> None:
    town = shop.town
    ids = town.delivered(4)
    before = town.provider.token.balance_of()
    town.later()
    variable = ENGINE_VARIABLE if isinstance(where, EnginePoint) else CRASH_VARIABLE
    killed = shop.run("--for", "everyone", "--once", "--batch", "2", **{variable: f"{where.value}:1"})
    assert killed.returncode == -signal.SIGKILL, killed.stderr

    heir = shop.run("--for", "everyone", "--once", "--batch", "2")
    assert heir.returncode == 0, heir.stderr
    _settled_once(town, ids, before)
    begun = [one for operation in town.operations() for one in operation.intent["transaction_ids"]]
    assert sorted(begun) == sorted(ids)
    assert {one.stage for one in town.operations()} == {Stage.CONFIRMED}
