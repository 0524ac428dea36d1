"""A process that spends: `python -m tests.coordinator.authority.spender`, with its orders as JSON on stdin.

It answers with lines of JSON on stdout. With `stop_in_batch` it stands still (SIGSTOP) after it has decided a batch of
several and before that is committed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time

from actp.engine.store import open_store
from coordinator.authority import Authority, AuthoritySettings, batching
from coordinator.store import open_ledger
from coordinator.store.accounts import Account
from tests.coordinator.authority.support import TOKEN, ask


def main() -> None:
    orders = json.loads(sys.stdin.readline())
    if orders.get("stop_in_batch"):
        stop_in_batch()
    ledger = open_ledger(open_store(orders["url"]))
    settings = AuthoritySettings(heartbeat_seconds=0.1, silent_seconds=1.0)
    with Authority(ledger, Account(31_337, orders["wallet"]), token=TOKEN, settings=settings) as spending:
        if orders.get("lead"):
            spending.request_all([ask("ann", 1, f"{orders['name']}-first-{number}") for number in range(2)])
            deadline = time.monotonic() + 20
            while not spending.leads and time.monotonic() < deadline:
                time.sleep(0.05)
        tell(ready=True, leads=spending.leads)
        for line in sys.stdin:
            spend(spending, **json.loads(line))


def spend(spending: Authority, threads: int, each: int, amount: int, agents: list[str], name: str) -> None:
    """Asks from many threads, and tells what was granted."""
    granted: list[str] = []
    lock = threading.Lock()

    def work(index: int) -> None:
        for number in range(each):
            key = f"{name}-{index}-{number}"
            answer = spending.request(ask(agents[index % len(agents)], amount, key))
            if answer.denial is None:
                with lock:
                    granted.append(key)

    workers = [threading.Thread(target=work, args=(index,)) for index in range(threads)]
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    tell(granted=len(granted), leads=spending.leads)


def stop_in_batch() -> None:
    real = batching.decide_all
    stopped = []

    def decide_all(connection, account, items, *rest, **more):  # type: ignore[no-untyped-def]
        outcomes = real(connection, account, items, *rest, **more)
        if len(items) > 2 and not stopped:
            stopped.append(True)
            tell(stopping=len(items))
            os.kill(os.getpid(), signal.SIGSTOP)
            time.sleep(1)  # it is another thread that hears of it first
        return outcomes

    batching.decide_all = decide_all


def tell(**what: object) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main()
