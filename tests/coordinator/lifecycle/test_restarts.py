"""A process that ends anywhere: whoever comes next goes on with what is stored, and pays nothing twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from actp.chain import EmbeddedChain, dev_accounts
from actp.chain.server import ChainServer
from actp.deploy import deploy_contracts
from actp.deployments import AddressBook
from actp.engine import Sender
from actp.engine.store import open_store
from actp.errors import ActpError
from actp.rpc import genesis_hash
from actp.signers import LocalSigner
from actp.testing import CrashPoint, crash_at
from coordinator.policy import PolicySettings
from coordinator.types import Stage
from tests.coordinator.lifecycle.support import CONFIRMED_WALK, PAYEE, House

ROOT = Path(__file__).resolve().parents[3]


def stop_at_pending(lifecycle):
    """Nothing is done yet."""


def stop_at_signing(lifecycle):
    lifecycle.decide()


def stop_at_submitting(lifecycle):
    lifecycle.decide()
    lifecycle._worker.step()
    lifecycle._following._follow_engine()


def stop_when_mined(lifecycle):
    lifecycle.decide()
    for _ in range(3):
        lifecycle._worker.step()


@pytest.mark.parametrize("stop", [stop_at_pending, stop_at_signing, stop_at_submitting, stop_when_mined])
def test_a_new_lifecycle_on_the_same_file_goes_on_at_every_stage(house, tmp_path, stop):
    first = house.lifecycle()
    first._following.point()
    operation = house.pay(first, 7)
    stop(first)
    first.close()
    # Another process has a store of its own on the same file.
    other = open_store(tmp_path / "store.db")
    second = house.lifecycle(house.client_of(house.account, other))
    done = second.wait(operation.id, 20)
    assert (done.stage, done.reason) == (Stage.CONFIRMED, None)
    assert house.paid() == 7
    assert house.journal(second, operation) == CONFIRMED_WALK
    assert {one.verdict for one in house.verdicts(second)} == {"ok"}
    assert len(second.proofs_of(done.id)) == 1
    other.close()


def test_an_approval_outlives_the_process_that_asked_for_it(house, tmp_path):
    settings = PolicySettings(approval_over={house.usdc: 5})
    first = house.lifecycle(policy=settings)
    operation = house.done(first, house.pay(first, 7))
    assert operation.stage is Stage.APPROVAL_GATE
    first.close()
    other = open_store(tmp_path / "store.db")
    second = house.lifecycle(house.client_of(house.account, other), policy=settings)
    second.approve(operation.id, "boss")
    assert house.done(second, operation).stage is Stage.CONFIRMED
    other.close()


def test_several_processes_step_at_once_and_everything_happens_once(anywhere):
    lifecycles = [anywhere.lifecycle() for _ in range(3)]
    operations = [anywhere.pay(lifecycles[index % 3], 2**index, key=f"k{index}") for index in range(12)]
    stop = threading.Event()
    problems: list[BaseException] = []

    def work(lifecycle):
        while not stop.is_set():
            try:
                if not lifecycle.step():
                    stop.wait(0.02)
            except ActpError as error:
                if not error.retryable:
                    problems.append(error)
                    return

    threads = [threading.Thread(target=work, args=[one]) for one in lifecycles]
    for thread in threads:
        thread.start()
    try:
        ends = [lifecycles[0].wait(one.id, 40) for one in operations]
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)
    assert problems == []
    assert [one.stage for one in ends] == [Stage.CONFIRMED] * 12
    assert anywhere.paid() == 2**12 - 1
    assert sorted(anywhere.jobs()) == sorted(f"op-{one.id}" for one in operations), "no row of the outbox is doubled"
    for one in operations:
        assert anywhere.journal(lifecycles[0], one) == CONFIRMED_WALK, "no row of the journal is lost or doubled"
    links = anywhere.proofs(lifecycles[0])
    assert [one.seq for one in links] == list(range(1, len(links) + 1))
    assert [one.previous for one in links[1:]] == [one.proof_hash for one in links[:-1]]
    assert sorted(one.operation_id for one in links if one.kind == "proof") == sorted(one.id for one in operations)
    assert len(anywhere.verdicts(lifecycles[0])) == 12


def test_several_processes_do_not_exceed_a_limit_together(house):
    settings = PolicySettings(wallet_rate={"hour": 5})
    lifecycles = [house.lifecycle(policy=settings) for _ in range(3)]
    operations = [house.pay(lifecycles[0], 1, key=f"k{index}") for index in range(12)]
    threads = [threading.Thread(target=lambda one=one: [one.decide() for _ in range(6)]) for one in lifecycles]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ends = [house.done(lifecycles[0], one).stage for one in operations]
    assert ends.count(Stage.CONFIRMED) == 5
    assert house.paid() == 5


WORKER = """
import os, sys
from actp.client import ACTPClient
from actp.engine import Outbox
from actp.engine.store import open_store
from actp.engine.store.schema import IntentStatus
from actp.networks import connect
from actp.rpc import HttpTransport
from actp.signers import LocalSigner
from coordinator.lifecycle import Lifecycle
from tests.coordinator.lifecycle.support import HASTY, PAYEE

client = ACTPClient(connect(HttpTransport(sys.argv[1]), 31337), LocalSigner(os.environ["PRIVATE_KEY"]),
                    store=open_store(sys.argv[2]))
lifecycle = Lifecycle(client, engine_policy=HASTY)
operations = [
    lifecycle.submit("transfer_erc20", {"to": PAYEE, "amount": str(2**index)}, agent="ann", key=f"k{index}")
    for index in range(4)
]
for one in operations:
    done = lifecycle.wait(one.id, 60)
    assert done.stage.value == "confirmed", (done.stage, done.reason)
# The guard may be faster than the engine.
while IntentStatus.OPEN in Outbox(client.store, 31337, client.address).count():
    lifecycle.step()
lifecycle.close()
"""
POINTS = [one for one in CrashPoint if "replace" not in one.value]


@pytest.mark.parametrize(
    "where",
    [one if one is CrashPoint.AFTER_BROADCAST else pytest.param(one, marks=pytest.mark.slow) for one in POINTS],
    ids=lambda where: where.value,
)
@pytest.mark.slow
def test_a_process_that_is_killed_between_stages_loses_nothing_and_pays_nothing_twice(tmp_path, monkeypatch, where):
    chain = EmbeddedChain()
    account = dev_accounts()[1]
    deployments = tmp_path / "deployments"
    deployments.mkdir()
    monkeypatch.setenv("ACTP_DEPLOYMENTS_DIR", str(deployments))
    sender = Sender(chain, LocalSigner(dev_accounts()[0].private_key), chain_id=31_337)
    deployment = deploy_contracts(sender, AddressBook(31_337, genesis_hash(chain, 31_337), development=True))
    database = tmp_path / "store.db"
    store = open_store(database)
    house = House(chain, chain, deployment, account, store)

    def work(url, **environment):
        return subprocess.run(
            [sys.executable, "-c", WORKER, url, f"sqlite:///{database}"],
            capture_output=True, text=True, cwd=ROOT, timeout=120, check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PRIVATE_KEY": account.private_key, **environment},
        )  # fmt: skip

    with ChainServer(chain) as server:
        killed = work(server.url, **crash_at(where, 1))
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        heir = work(server.url)
        assert heir.returncode == 0, heir.stderr
    assert house.paid(PAYEE) == 15
    lifecycle = house.lifecycle()
    assert len(house.jobs()) == 4
    assert {one.verdict for one in house.verdicts(lifecycle)} == {"ok"}
    assert house.findings(lifecycle) == []
    assert sorted(one.operation_id for one in house.proofs(lifecycle) if one.kind == "proof") == [1, 2, 3, 4]
    house.close()
