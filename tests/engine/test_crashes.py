"""`kill -9` at every place of a send: whoever comes next loses nothing and pays nothing twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from actp.chain import EmbeddedChain, dev_accounts
from actp.chain.server import ChainServer
from actp.engine import fees
from actp.engine.store import open_store
from actp.engine.store.schema import IntentStatus
from actp.testing import CrashPoint, JammedPool, crash_at
from tests.engine.worker_support import Bench, nonces, paid

ROOT = Path(__file__).resolve().parents[2]
COUNT = 4
QUICK = (CrashPoint.AFTER_SIGN, CrashPoint.AFTER_BROADCAST)
"""Where `make test` kills; CI does it everywhere."""
REPLACING = (CrashPoint.BEFORE_REPLACE, CrashPoint.AFTER_REPLACE)

SENDER = """
import os, sys
from actp.engine.store import open_store
from actp.rpc import HttpTransport
from tests.engine.worker_support import Bench

store = open_store(sys.argv[2])
bench = Bench(HttpTransport(sys.argv[1]), store, os.environ["PRIVATE_KEY"], batch=2, group=2, stuck_after=0.2)
bench.enqueue(int(sys.argv[3]), gas=21_000)
bench.finish(seconds=60)
"""


def send(url: str, database: Path, count: int, **environment: str) -> subprocess.CompletedProcess[str]:
    key = dev_accounts()[0].private_key
    return subprocess.run(
        [sys.executable, "-c", SENDER, url, f"sqlite:///{database}", str(count)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PRIVATE_KEY": key, **environment},
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("hit", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "where",
    [one if one in QUICK else pytest.param(one, marks=pytest.mark.slow) for one in CrashPoint],
    ids=lambda where: where.value,
)
def test_a_process_that_is_killed_loses_nothing_and_pays_nothing_twice(tmp_path, where, hit):
    count = 1 if where in REPLACING else COUNT
    chain = EmbeddedChain()
    # Where replacements are tested, the first offer is too low to be mined.
    first = fees.suggest(chain).max_fee
    node = JammedPool(chain, passing_fee=first * 2) if where in REPLACING else chain
    database = tmp_path / "outbox.db"
    with ChainServer(node) as server:
        killed = send(server.url, database, count, **crash_at(where, hit))
        if hit > 1 and killed.returncode == 0:
            # Passed only once: always, or where one look finds all of them mined.
            assert where in (CrashPoint.AFTER_ENQUEUE, CrashPoint.AFTER_SEALED)
        else:
            assert killed.returncode == -signal.SIGKILL, killed.stderr
        # The heir enqueues the same again, under the same keys.
        done = send(server.url, database, count)
        assert done.returncode == 0, done.stderr
    store = open_store(database)
    bench = Bench(chain, store, dev_accounts()[0].private_key)
    assert bench.box.count() == {IntentStatus.MINED: count}
    assert paid(chain) == list(range(count))
    assert nonces(chain, bench.signer.address) == count
    store.close()
