"""A process that asks for purchases and sees them funded, for tests that kill it: `python -m ... URL DATABASE WHAT`.

It is the same every time it is run: the keys of its requests say what was asked for before.
"""

from __future__ import annotations

import os
import sys
import threading
import time

from actp.client import ACTPClient
from actp.engine import Policy, open_store
from actp.networks import connect
from actp.rpc import HttpTransport
from actp.signers import LocalSigner
from coordinator.authority import Authority
from coordinator.budget.requests import Payer, SpendingRequest, ask_of
from coordinator.budget.rulebook import AgentRules, CategoryRules, RuleBook
from coordinator.budget.rules import ApprovalRules
from coordinator.budget.words import OPEN_STATES, Ask, ReservationState
from coordinator.lifecycle import Lifecycle
from coordinator.store import open_ledger, reservations
from coordinator.store.accounts import Account
from coordinator.worker import Worker

CHAIN_ID = 31_337
USDC = 10**6
PROVIDER = "0x" + "05" * 20
SIMPLE = 5
_ENGINE = Policy(poll=0.02, resend_after=0.3, stuck_after=60, first_pause=0.05, final_check=0.0, fees_for=0.0, buried=0)


class Run:
    """One treasury, as a process has it."""

    def __init__(self, url: str, database: str, what: str) -> None:
        store = open_store(database)
        self.client = ACTPClient(
            connect(HttpTransport(url), CHAIN_ID), LocalSigner(os.environ["PRIVATE_KEY"]), store=store
        )
        store.bind(CHAIN_ID, self.client.genesis)
        account = Account(CHAIN_ID, self.client.address)
        self.authority = Authority(open_ledger(store), account, token=self.client.token.address)
        limits = {"spending_limit": 500 * USDC, "daily_limit": 900 * USDC, "requires_approval": 50 * USDC}
        self.authority.apply(
            RuleBook(
                total_budget=900 * USDC,
                agents={name: AgentRules(name, name.title(), **limits) for name in ("ann", "bob")},
                categories={"data": CategoryRules()},
                approvals=ApprovalRules(seconds=1 if what == "expiry" else 3_600),
            ),
            "test",
        )
        self.worker = Worker(self.client, self.authority, Lifecycle(self.client, engine_policy=_ENGINE))

    def ask(self, key: str, amount: int, agent: str) -> Ask:
        client = self.client
        payer = Payer(CHAIN_ID, client.address, client.kernel.address, client.kernel.limits)
        return ask_of(SpendingRequest(agent, amount, PROVIDER, "a thing", "data", key), payer)

    def request(self) -> None:
        """Several at once, so that one commit has several of them."""
        threads = [
            threading.Thread(target=self.authority.request, args=(self.ask(f"k{index}", 2**index * USDC, "ann"),))
            for index in range(SIMPLE)
        ]
        for one in threads:
            one.start()
        for one in threads:
            one.join()

    def vote(self) -> None:
        """A large purchase, which somebody says yes to."""
        answer = self.authority.request(self.ask("large", 60 * USDC, "bob"))
        if answer.state is ReservationState.PENDING_APPROVAL and answer.approval_id is not None:
            self.authority.approve(answer.approval_id)

    def expiry(self) -> None:
        """A large purchase that nobody answers for."""
        self.authority.request(self.ask("late", 70 * USDC, "bob"))
        time.sleep(1.1)
        self.authority.expire()

    def finish(self, seconds: float) -> bool:
        """Works until nothing is open; whether that was in time."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            busy = self.worker.step()
            with self.authority.ledger.read() as connection:
                open_ones = reservations.in_states(connection, self.authority.account, OPEN_STATES, limit=1)
            if not open_ones:
                return True
            time.sleep(0 if busy else 0.02)
        return False


def main() -> int:
    url, database, what = sys.argv[1:]
    run = Run(url, database, what)
    run.worker.look()
    {"request": run.request, "vote": run.vote, "expiry": run.expiry}[what]()
    return 0 if run.finish(60) else 1


if __name__ == "__main__":
    sys.exit(main())
