"""How fast the durable engine is, against the node's raw ceiling in the same run: `make bench NAME=engine`.

Prints one JSON object. Ratios compare with `raw_ceiling` on the same anvil; `naive_ratio` with one send after the other
on an anvil that mines at once. `enqueue_p50_ms` is from the call that enqueues to the node's answer, less the time of
RPC.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from actp.chain import AnvilProcess, dev_accounts
from actp.engine.fees import FeePolicy
from actp.engine.intents import Intent
from actp.engine.outbox import Outbox
from actp.engine.policy import Policy
from actp.engine.store import attempts, open_store
from actp.engine.store.schema import AttemptState, IntentStatus
from actp.engine.worker import Worker
from actp.rpc import HttpTransport
from actp.signers import LocalSigner
from scripts.bench.engine_ceiling import BATCH, PAYEE, Rate, raw_ceiling, transfers
from scripts.bench.engine_lifecycle import POLLS, lifecycle

_OPEN = (IntentStatus.QUEUED, IntentStatus.OPEN)


class Timed:
    """A transport that adds up how long its requests take, and counts calls by method."""

    def __init__(self, transport: HttpTransport) -> None:
        self._transport = transport
        self.label = transport.label
        self.seconds = 0.0
        self.calls: list[str] = []

    def request(self, method: str, params: list[Any]) -> Any:
        start = time.perf_counter()
        try:
            return self._transport.request(method, params)
        finally:
            self.calls.append(method)
            self.seconds += time.perf_counter() - start

    def batch(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        start = time.perf_counter()
        try:
            return self._transport.batch(calls)
        finally:
            self.calls += [method for method, _ in calls]
            self.seconds += time.perf_counter() - start


def durable(transport: HttpTransport, key: str, chain_id: int, count: int, folder: Path) -> Rate:
    """Enqueues, signs, stores, sends and confirms `count` transfers with one worker over a file."""
    store = open_store(folder / f"outbox-{time.time_ns()}.db")
    signer = LocalSigner(key)
    box = Outbox(store, chain_id, signer.address)
    policy = Policy(batch=BATCH, most_open=1_000_000, resend_after=60, stuck_after=600, final_check=3_600)
    worker = Worker(transport, signer, chain_id=chain_id, store=store, policy=policy, fee_policy=FeePolicy())
    intents = [(f"transfer-{index}", Intent(PAYEE, b"", 1, 21_000)) for index in range(count)]
    start = time.perf_counter()
    accepted = 0.0
    for index in range(0, count, policy.group):
        box.submit_all(intents[index : index + policy.group])
        worker.step()
    while worker.step():
        pass
    accepted = time.perf_counter() - start
    with store.read() as connection:
        if attempts.by_state(connection, box.lane_id, (AttemptState.SIGNED, AttemptState.HANDED)):
            raise RuntimeError("the node has not taken all of them")
    while not box.count().keys().isdisjoint(_OPEN):
        worker.step()
        time.sleep(0.01)
    sealed = time.perf_counter() - start
    counted = box.count()
    if counted != {IntentStatus.MINED: count}:
        raise RuntimeError(f"not all were mined: {counted}")
    worker.release()
    store.close()
    return Rate(count / accepted, count / sealed)


def latency(transport: HttpTransport, key: str, chain_id: int, count: int, folder: Path) -> float:
    """The median of milliseconds from enqueueing one transfer to its broadcast, without the time of RPC."""
    store = open_store(folder / f"latency-{time.time_ns()}.db")
    signer = LocalSigner(key)
    timed = Timed(transport)
    box = Outbox(store, chain_id, signer.address)
    worker = Worker(timed, signer, chain_id=chain_id, store=store, policy=Policy(most_open=10_000, poll=3_600))
    taken = []
    for index in range(count):
        before = timed.seconds
        start = time.perf_counter()
        job = box.submit(Intent(PAYEE, b"", 1, 21_000), f"one-{index}")
        worker.step()
        elapsed = time.perf_counter() - start - (timed.seconds - before)
        if not box.attempts_of(job):
            raise RuntimeError("the worker did not take it")
        taken.append(elapsed * 1_000)
    worker.release()
    store.close()
    return statistics.median(taken)


def naive(count: int, key: str) -> float:
    """Transfers a second when each waits for its receipt, on a node that mines at once."""
    with AnvilProcess() as anvil:
        transport = HttpTransport(anvil.url)
        signer = LocalSigner(key)
        start = time.perf_counter()
        for index in range(count):
            nonce = int(transport.request("eth_getTransactionCount", [signer.address, "pending"]), 16)
            transport.request("eth_chainId", [])
            transport.request("eth_estimateGas", [{"from": signer.address, "to": PAYEE, "value": "0x1"}])
            transport.request("eth_feeHistory", ["0x5", "latest", [50]])
            (raw,) = transfers(signer, anvil.chain_id, nonce, 1)
            tx_hash = transport.request("eth_sendRawTransaction", [raw])
            while transport.request("eth_getTransactionReceipt", [tx_hash]) is None:
                time.sleep(0.01)
            del index
        return count / (time.perf_counter() - start)


def lifecycle_calls() -> Counter[str]:
    """JSON-RPC calls by method of one escrow, on a node that mines at once."""
    with tempfile.TemporaryDirectory() as folder, AnvilProcess() as anvil:
        timed = Timed(HttpTransport(anvil.url))
        return lifecycle(anvil, timed, timed.calls, Path(folder))


def fsync_ms(folder: Path) -> float:
    """The median of milliseconds that one fsync of a small append takes here."""
    import os

    taken = []
    with (folder / "fsync").open("wb") as file:
        for _ in range(50):
            start = time.perf_counter()
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
            taken.append((time.perf_counter() - start) * 1_000)
    return statistics.median(taken)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=4_000, help="transfers per round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the databases go, for measuring a disk")
    arguments = parser.parse_args()
    accounts = dev_accounts()
    with (
        tempfile.TemporaryDirectory(dir=arguments.folder) as name,
        AnvilProcess(block_time=1) as anvil,
    ):
        folder = Path(name)
        transport = HttpTransport(anvil.url)
        ceilings, ours = [], []
        for index in range(arguments.rounds):
            # In turns, so that whatever else the machine does hits both alike.
            ceilings.append(
                raw_ceiling(transport, LocalSigner(accounts[0].private_key), anvil.chain_id, arguments.count)
            )
            key = accounts[1 + index % 8].private_key
            ours.append(durable(transport, key, anvil.chain_id, arguments.count, folder))
            print(f"round {index + 1}: ceiling {ceilings[-1]}, durable {ours[-1]}", file=sys.stderr)
        p50 = latency(transport, accounts[9].private_key, anvil.chain_id, 100, folder)
        disk = fsync_ms(folder)
    calls = lifecycle_calls()
    slow = naive(60, accounts[0].private_key)
    ceiling = Rate(*(statistics.median(getattr(one, name) for one in ceilings) for name in ("accepted", "sealed")))
    mine = Rate(*(statistics.median(getattr(one, name) for one in ours) for name in ("accepted", "sealed")))
    print(
        json.dumps(
            {
                "ceiling_accepted_per_s": round(ceiling.accepted),
                "ceiling_sealed_per_s": round(ceiling.sealed),
                "accepted_per_s": round(mine.accepted),
                "sealed_per_s": round(mine.sealed),
                "naive_per_s": round(slow, 1),
                "accepted_ratio": round(mine.accepted / ceiling.accepted, 3),
                "sealed_ratio": round(mine.sealed / ceiling.sealed, 3),
                "naive_ratio": round(mine.accepted / slow, 1),
                "enqueue_p50_ms": round(p50, 2),
                "fsync_ms": round(disk, 2),
                "lifecycle_rpc_calls": sum(number for method, number in calls.items() if method not in POLLS),
                "lifecycle_by_method": dict(calls.most_common()),
            },
            indent=2,
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
