"""`kill -9` at every place from a request to its booking: whoever comes next loses nothing, and pays nothing twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from actp.chain import EmbeddedChain, dev_accounts
from actp.chain.server import ChainServer
from actp.deploy import deploy_contracts
from actp.deployments import FOLDER_VARIABLE, AddressBook
from actp.engine import Sender
from actp.engine.store import Store, open_store
from actp.rpc import genesis_hash
from actp.signers import LocalSigner
from actp.testing import crash_at
from actp.testing.crashes import CrashPoint as EnginePoint
from coordinator.budget.words import ReservationState
from coordinator.crash import CRASH_VARIABLE, CrashPoint
from coordinator.store import dispatches
from tests.coordinator.worker.runs import SIMPLE
from tests.coordinator.worker.support import COMMITTED, PURSE, USDC, Firm

ROOT = Path(__file__).resolve().parents[3]
VOTES = (CrashPoint.BEFORE_VOTE, CrashPoint.AFTER_VOTE)
EXPIRIES = (CrashPoint.BEFORE_EXPIRY, CrashPoint.AFTER_EXPIRY)
NOT_PASSED = (EnginePoint.BEFORE_REPLACE, EnginePoint.AFTER_REPLACE)
"""Nothing is stuck here; tests/engine/test_crashes.py has them."""
BOTS = (CrashPoint.BEFORE_CLAIM, CrashPoint.AFTER_CLAIM, CrashPoint.BEFORE_OUTCOME, CrashPoint.AFTER_OUTCOME)
"""Where only a settlement bot comes along."""
OURS = [(one, 1) for one in CrashPoint if one not in BOTS]
AGAIN = [
    (CrashPoint.AFTER_RESERVE, 3),  # those of one commit, of whom some were told
    (CrashPoint.BEFORE_FOLLOW, 2),
    (CrashPoint.AFTER_FOLLOW, 2),
]
ENGINES = [(one, hit) for one in EnginePoint if one not in NOT_PASSED for hit in (1, 2)]


class Ground:
    """A chain that outlives processes, and a file for their ledger."""

    def __init__(self, folder: Path, url: str, chain: EmbeddedChain) -> None:
        self.url = url
        self.chain = chain
        self.folder = folder
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(FOLDER_VARIABLE, str(folder))
            book = AddressBook(chain.chain_id, genesis_hash(chain, chain.chain_id), development=True)
        sender = Sender(chain, LocalSigner(dev_accounts()[0].private_key), chain_id=chain.chain_id)
        self.deployed = deploy_contracts(sender, book)
        self.database = f"sqlite:///{folder / 'ledger.db'}"
        self.firm(open_store("sqlite://"))  # has its money from here on

    def firm(self, store: Store) -> Firm:
        return Firm(self.chain, self.chain, self.deployed, dev_accounts()[1], store)

    def run(self, what: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tests.coordinator.worker.runs", self.url, self.database, what],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={
                **os.environ,
                FOLDER_VARIABLE: str(self.folder),
                "PRIVATE_KEY": dev_accounts()[1].private_key,
                **environment,
            },
            timeout=120,
            check=False,
        )


@pytest.fixture
def ground(tmp_path) -> Iterator[Ground]:
    chain = EmbeddedChain()
    with ChainServer(chain) as server:
        yield Ground(tmp_path, server.url, chain)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "hit"), [*OURS, *AGAIN, *ENGINES], ids=lambda one: one if isinstance(one, int) else one.value
)
def test_a_process_that_is_killed_anywhere_loses_no_budget_and_pays_nothing_twice(ground, where, hit):
    what = "vote" if where in VOTES else "expiry" if where in EXPIRIES else "request"
    armed = crash_at(where, hit) if isinstance(where, EnginePoint) else {CRASH_VARIABLE: f"{where.value}:{hit}"}
    killed = ground.run(what, **armed)
    if hit > 1 and killed.returncode == 0:
        assert where is not CrashPoint.AFTER_RESERVE  # all others are passed as often as there are rounds
    else:
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    done = ground.run(what)
    assert done.returncode == 0, done.stderr
    _check(ground, what)


def _check(ground: Ground, what: str) -> None:
    store = open_store(ground.database)
    firm = Firm.again(ground.chain, ground.deployed, dev_accounts()[1], store)
    rows = firm.all()
    if what == "expiry":
        assert [(one.key, one.state) for one in rows] == [("late", ReservationState.EXPIRED)]
        bought = 0
    else:
        assert {one.state for one in rows} == {COMMITTED}
        assert len(rows) == (SIMPLE if what == "request" else 1)
        bought = sum(one.amount for one in rows)
        assert bought == (2**SIMPLE - 1 if what == "request" else 60) * USDC
    created = [one.transaction_id for one in firm.client.events.created_by(firm.wallet)]
    assert sorted(created) == sorted(one.transaction_id for one in rows if one.state is COMMITTED)
    assert firm.client.token.balance_of() == PURSE - bought
    with firm.ledger.read() as connection:
        assert dispatches.count_waiting(connection, firm.key) == 0
    worker = firm.worker()
    firm.rounds(worker, 2)
    assert worker._reconciling.run().drift == 0
    assert firm.cell() == (bought, 0)
    assert firm.treasury() == (PURSE - bought, 0)
    firm.sound()
    store.close()
