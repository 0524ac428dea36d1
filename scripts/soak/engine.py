"""Transfers under kills, drops and reorganisations: `make soak NAME=engine` (ARGS='--count 300' for a short one).

A worker process sends what is in an outbox, through a proxy that drops and doubles requests, to an anvil that is
reorganised now and then; the process is killed at random and started again. At the end every transfer must have arrived
exactly once: each goes to an address of its own. Prints one JSON object; the exit code is 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from actp.chain import AnvilProcess, dev_accounts
from actp.engine.intents import Intent, Kind
from actp.engine.outbox import Outbox
from actp.engine.store import open_store, outbox
from actp.engine.store.schema import IntentStatus
from actp.rpc import HttpTransport
from actp.testing import FaultProxy, drop_before, duplicate, lose_reply, rate_limited, sometimes
from scripts.verdicts import conclude

_SEND = "eth_sendRawTransaction"
_UNSETTLED = (IntentStatus.QUEUED, IntentStatus.OPEN, IntentStatus.HELD)

_WORKER = """
import os, sys, threading
from actp.engine import Policy, Worker, open_store
from actp.rpc import HttpTransport
from actp.signers import LocalSigner

policy = Policy(most_open=400, poll=0.1, resend_after=1.0, stuck_after=20.0, final_check=0.5, first_pause=0.1, buried=2)
worker = Worker(
    HttpTransport(sys.argv[1], timeout=5), LocalSigner(os.environ["PRIVATE_KEY"]), chain_id=31337,
    store=open_store(sys.argv[2]), policy=policy,
)
worker.run(threading.Event())
"""


class Soak:
    """One run. `payee(i)` gets one wei, or more if something was paid twice."""

    def __init__(self, count: int, seed: int, folder: Path, anvil: AnvilProcess, url: str) -> None:
        self.count = count
        self.random = random.Random(seed)
        self.url = url
        self.node = HttpTransport(anvil.url)
        self.database = f"sqlite:///{folder / 'outbox.db'}"
        self.account = dev_accounts()[0]
        self.box = Outbox(open_store(self.database), anvil.chain_id, self.account.address)
        self.kills = self.reorgs = 0

    def run(self, seconds: float) -> dict[str, Any]:
        """Enqueues everything, and kills and reorganises until all of it is mined."""
        start = time.monotonic()
        for first in range(0, self.count, 500):
            rows = range(first, min(first + 500, self.count))
            self.box.submit_all([(f"payment-{index}", Intent(_payee(index), b"", 1, 21_000)) for index in rows])
        process = self._start()
        try:
            while self._unsettled() and time.monotonic() - start < seconds:
                time.sleep(self.random.uniform(0.3, 2.5))
                if self.random.random() < 0.5:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                    self.kills += 1
                    process = self._start()
                if self.random.random() < 0.25:
                    self._reorganise(self.random.randint(1, 5))
            time.sleep(2.0)  # a reorganisation may just have opened something again
            while self._unsettled() and time.monotonic() - start < seconds:
                time.sleep(0.2)
        finally:
            process.kill()
            process.wait()
        return self._verdict(time.monotonic() - start)

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", _WORKER, self.url, self.database],
            env={**os.environ, "PRIVATE_KEY": self.account.private_key, "PYTHONPATH": str(Path.cwd())},
            stderr=subprocess.DEVNULL,
        )

    def _unsettled(self) -> int:
        counted = self.box.count()
        return sum(counted.get(status, 0) for status in _UNSETTLED)

    def _reorganise(self, depth: int) -> None:
        if int(self.node.request("eth_blockNumber", []), 16) > depth:
            self.node.request("anvil_reorg", [depth, []])
            self.reorgs += 1

    def _verdict(self, seconds: float) -> dict[str, Any]:
        got = []
        for first in range(0, self.count, 500):
            rows = range(first, min(first + 500, self.count))
            answers = self.node.batch([("eth_getBalance", [_payee(index), "latest"]) for index in rows])
            got += [int(answer, 16) for answer in answers]
        nonce = int(self.node.request("eth_getTransactionCount", [self.account.address, "latest"]), 16)
        with self.box.store.read() as connection:
            jobs = outbox.listed(connection, limit=self.count * 2 + 10_000)
        fills = sum(job.kind is Kind.FILL for job in jobs)
        return {
            "transactions": self.count,
            "lost": sum(balance == 0 for balance in got),
            "doubled": sum(balance > 1 for balance in got),
            "gaps": nonce - sum(job.status is IntentStatus.MINED for job in jobs),
            "fills": fills,
            "kills": self.kills,
            "reorgs": self.reorgs,
            "seconds": round(seconds, 1),
            **{f"status_{status}": number for status, number in self.box.count().items()},
        }


def _payee(index: int) -> str:
    return f"0x{0xA0000000 + index:040x}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3_600.0, help="when to give up")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        AnvilProcess(block_time=1) as anvil,
        FaultProxy(HttpTransport(anvil.url)) as proxy,
    ):
        dice = random.Random(arguments.seed)
        kinds = (lose_reply(), drop_before(), duplicate(), rate_limited())
        mixed = sometimes(lambda forward, params: dice.choice(kinds)(forward, params), 0.02, dice)
        proxy.always(_SEND, mixed)
        proxy.always("eth_getTransactionReceipt", sometimes(drop_before(), 0.01, dice))
        soak = Soak(arguments.count, arguments.seed, Path(folder), anvil, proxy.url)
        verdict = soak.run(arguments.seconds)
    failures = [f"{name}: {verdict[name]}" for name in ("lost", "doubled", "gaps") if verdict[name]]
    return conclude(verdict, failures)


if __name__ == "__main__":
    sys.exit(main())
