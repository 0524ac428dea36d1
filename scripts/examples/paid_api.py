"""A paid HTTP API behind a budget: `python -m scripts.examples.paid_api`.

Threads ask an API that costs money (`paid_server.py`, which it starts) while several of its answers fail, are cut off
or come too late. Afterwards what the server has charged is what the tracker counts as spent, to the millionth.

The budget is one of this process, or the one in whose session it runs:

    coordinator budget exec --budget-session-limit 0.30 -- python -m scripts.examples.paid_api
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal

import requests

from coordinator.tracker import Budget, BudgetExceededError, LocalTracker, open_budget
from coordinator.tracker.opening import SESSION_VARIABLE
from scripts.examples.paid_server import PaidServer

__all__ = ["PaidApi", "main"]

_WAIT_SECONDS = 0.4
_TRIES = 3


@dataclass(frozen=True, slots=True)
class PaidApi:
    """The API's client: every question that it asks fits into the budget, or is not asked."""

    url: str
    budget: Budget
    wait_seconds: float = _WAIT_SECONDS

    def ask(self, prompt: str) -> str:
        """The answer. Raises BudgetExceededError if it may cost more than what is left, with nothing charged; and
        requests.RequestException if there is none, whatever that has cost.
        """
        key = secrets.token_hex(16)
        with self.budget.spend(estimate=self._price(prompt)) as call:
            try:
                reply = self._post(prompt, key, str(Decimal(call.estimate_micros) / 1_000_000))
                reply.raise_for_status()
            except requests.RequestException:
                # Not knowing what it has cost, the estimate would count. This API can be asked, and what it answers is
                # final; if it does not answer, the estimate counts after all.
                call.actual = self._close(key)
                raise
            found = reply.json()
            call.actual = found["cost"]
        return str(found["answer"])

    def _price(self, prompt: str) -> str:
        """What it costs at most. Asking for that costs nothing."""
        reply = _patient(lambda: self._post(prompt, "", None))
        if reply.status_code != 402:
            raise requests.HTTPError(f"A price was expected, not {reply.status_code}.", response=reply)
        return str(reply.headers["Price"])

    def _post(self, prompt: str, key: str, most: str | None) -> requests.Response:
        headers = {"Idempotency-Key": key, **({} if most is None else {"Max-Price": most})}
        return requests.post(f"{self.url}/answers", json={"prompt": prompt}, headers=headers, timeout=self.wait_seconds)

    def _close(self, key: str) -> str:
        """What was charged for this key; from now on nothing is."""

        def close() -> requests.Response:
            reply = requests.delete(f"{self.url}/answers/{key}", timeout=self.wait_seconds)
            reply.raise_for_status()
            return reply

        return str(_patient(close).json()["cost"])


def _patient(ask: Callable[[], requests.Response]) -> requests.Response:
    """Asks again if there is no answer, for what may be asked as often as one likes."""
    for _ in range(_TRIES - 1):
        try:
            return ask()
        except requests.RequestException:
            continue
    return ask()


def main(argv: Sequence[str] | None = None) -> int:
    """Asks, and compares the accounts; 1 if they differ."""
    parser = argparse.ArgumentParser(description="Ask a paid API under a budget, and compare the accounts.")
    parser.add_argument("--calls", type=int, default=60, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--threads", type=int, default=8, metavar="N", help="(default: %(default)s)")
    parser.add_argument(
        "--limit", default="0.50", metavar="AMOUNT", help="dollars, for this run (default: %(default)s)"
    )
    arguments = parser.parse_args(argv)
    run = f"run:{secrets.token_hex(4)}"
    # In the session of `coordinator budget exec`, if this runs in one.
    budget = open_budget(run) if os.environ.get(SESSION_VARIABLE) else Budget(LocalTracker(), run)
    budget.tracker.set_budget(run, arguments.limit)
    with PaidServer() as server:
        api = PaidApi(server.url, budget)

        def ask(number: int) -> str:
            try:
                api.ask(f"Question {number}" + "?" * (number % 40))
            except BudgetExceededError:
                return "denied"
            except requests.RequestException as error:
                return "timed out" if isinstance(error, requests.Timeout) else "failed"
            return "answered"

        with ThreadPoolExecutor(arguments.threads) as threads:
            counts = Counter(threads.map(ask, range(arguments.calls)))
    charged, spent = Decimal(server.account) / 1_000_000, budget.tracker.get_spent(run)
    print("calls    " + ", ".join(f"{counts[name]} {name}" for name in ("answered", "failed", "timed out", "denied")))
    print(f"charged  {charged:.6f} by the server\nspent    {spent:.6f} of {arguments.limit} by the tracker")
    return 0 if charged == spent else 1


if __name__ == "__main__":
    sys.exit(main())
