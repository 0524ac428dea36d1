"""A crew that shares a treasury, under kills: `make soak NAME=budget` (ARGS='--count 300' for a short one).

A hundred agents ask for purchases out of one treasury, through several processes; two others fund what is granted on an
anvil that is reorganised now and then. All of them are killed at random and at crash points. People say yes, no or
nothing; providers cancel, deliver, dispute and are paid; money arrives late. At the end nothing may be overspent, no
denial may have been wrong, no budget may be held for nobody, and ledger, journal and chain must agree, by an audit that
reads them for itself. Prints progress, a table, and as the last line one JSON object; the exit code is 1 if anything is
wrong.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from actp.chain import AnvilProcess, dev_accounts
from actp.deploy import deploy_contracts
from actp.deployments import FOLDER_VARIABLE, AddressBook
from actp.engine import Sender
from actp.engine.crash import CrashPoint as EnginePoint
from actp.rpc import HttpTransport, genesis_hash
from actp.signers import LocalSigner
from coordinator.budget.words import OPEN_STATES, ReservationState
from coordinator.crash import CrashPoint
from coordinator.store import reservations
from scripts.soak.market.audit import Audit
from scripts.soak.market.people import Approvers, Providers
from scripts.soak.market.plan import CHAIN_ID, USDC, Market, Plan, patiently
from scripts.soak.processes import Processes, Seat
from scripts.soak.siege.crowd import Crowd, Party
from scripts.soak.siege.miner import Miner
from scripts.verdicts import conclude, kept_folder

_TICK = 0.3
_PARTS = 3
_WORKERS = 2
_ACTS = 120
_WORKING_LIFE, _ASKING_LIFE = (10.0, 40.0), (5.0, 25.0)
_LATEST_HIT = 20
_ASKING = (CrashPoint.BEFORE_RESERVE, CrashPoint.AFTER_RESERVE)
_WORKING = (
    CrashPoint.BEFORE_DISPATCH,
    CrashPoint.AFTER_DISPATCH,
    CrashPoint.BEFORE_FOLLOW,
    CrashPoint.AFTER_FOLLOW,
    CrashPoint.BEFORE_EXPIRY,
    CrashPoint.AFTER_EXPIRY,
    *EnginePoint,
)
_TELL_EVERY = 10.0
_REORGS = (4.0, 12.0)
_DEPTH = 3
_BURIED = 12
_WINDOW = 2 * 3_600
_DRAIN_SECONDS = 240.0


class Soak:
    """One run."""

    def __init__(
        self,
        market: Market,
        processes: Processes,
        askers: Sequence[Seat],
        crowd: Crowd,
        miner: Miner,
        dice: random.Random,
    ) -> None:
        accounts = [Party(one) for one in dev_accounts()]
        self.market = market
        self.processes = processes
        self._askers = askers
        self.miner = miner
        self.dice = dice
        self.crowd = crowd
        self.minter = accounts[9]
        self.approvers = Approvers(market)
        self.providers = Providers(market, crowd, accounts[4:8], accounts[0])
        self.reorgs = 0
        self.arrived = 0
        self.wrong: list[str] = []
        self._start = self._told = time.monotonic()
        self._reorganise_at = self._start + _REORGS[1]

    def run(self, purse: int, seconds: float) -> None:
        """Everything up to the moment when nothing moves any more. `purse` arrives bit by bit."""
        until = self._start + seconds
        self._arrive(purse // 2)
        if not self._wait(until, lambda: self.market.authority.usage() != []):
            self.wrong.append("Nobody has looked at the treasury.")
        self.processes.add(self._askers)
        while not self.processes.done and time.monotonic() < until:
            self._turn()
            if self.arrived < purse and self.dice.random() < 0.2:
                self._arrive(min(purse - self.arrived, purse // 12 + 1))
        if not self.processes.done:
            self.wrong.append(f"Not all was asked for in {seconds:.0f} seconds.")
        while self.arrived < purse:
            self._arrive(purse - self.arrived)
        self._drain(until + _DRAIN_SECONDS)

    def _turn(self, *, kill: bool = True) -> None:
        self.processes.tend(kill=kill)
        patiently(self.approvers.answer)
        patiently(self.providers.look)
        self.providers.act(_ACTS)
        patiently(self._tell)
        if kill and time.monotonic() > self._reorganise_at:
            self.miner.reorganise(self.dice.randint(1, _DEPTH))
            self.reorgs += 1
            self._reorganise_at = time.monotonic() + self.dice.uniform(*_REORGS)
        time.sleep(_TICK)

    def _arrive(self, amount: int) -> None:
        """Money comes, and stays: a reorganisation would take it away again."""
        market = self.market
        tx_hash = self.crowd.call(
            self.minter, "mint", "TestUSDC", market.client.token.address, "mint", market.account.wallet, amount
        )
        receipt = self.crowd.receipt(tx_hash)
        if receipt is not None and receipt["status"] == "0x1":
            self.arrived += amount
            self.miner.mine(_BURIED)

    def _drain(self, until: float) -> None:
        """Waits until all has ended and come back, on a chain that is not reorganised any more."""
        if self._wait(until, lambda: not self._open() and not self.providers.left):
            self.miner.mine(_BURIED)
            self.market.client.transport.request("evm_increaseTime", [_WINDOW])
            self.providers.late = True
            if self._wait(until, lambda: not self.providers.left and self._settled()):
                return
        self.wrong.append(f"{self._open()} reservations and {self.providers.left} escrows have not ended in time.")

    def _wait(self, until: float, done: Callable[[], bool]) -> bool:
        while time.monotonic() < until:
            self._turn(kill=False)
            if patiently(done):
                return True
        return False

    def _open(self) -> int:
        with self.market.ledger.read() as connection:
            return len(reservations.in_states(connection, self.market.account, OPEN_STATES, limit=100_000))

    def _settled(self) -> bool:
        """Whether what has ended is booked, which waits for finality."""
        with self.market.ledger.read() as connection:
            unsettled = reservations.in_states(
                connection, self.market.account, (ReservationState.COMMITTED,), settled=False, limit=1_000_000
            )
        return len(unsettled) <= self.providers.kept

    def _tell(self) -> None:
        if time.monotonic() - self._told < _TELL_EVERY:
            return
        self._told = time.monotonic()
        counts: Counter[str] = Counter()
        for state in ReservationState:
            with self.market.ledger.read() as connection:
                counts[state] = len(reservations.in_states(connection, self.market.account, (state,), limit=1_000_000))
        print(
            f"{time.monotonic() - self._start:6.0f} s  {dict(+counts)}  ends {dict(self.providers.done)}"
            f"  left {self.providers.left}  kills {self.processes.kills}+{self.processes.crashes}"
            f"  reorgs {self.reorgs}  money {self.arrived // USDC}",
            flush=True,
        )


def soak(count: int, agents: int, seed: int, seconds: float, folder: Path) -> tuple[dict[str, Any], Sequence[str]]:
    """The figures, and everything that is wrong."""
    dice = random.Random(seed)
    start = time.monotonic()
    with (
        AnvilProcess(extra_args=["--no-mining", "--slots-in-an-epoch", "4"]) as anvil,
        Miner(anvil.url) as miner,
    ):
        market, crowd = _build(anvil.url, count, agents, seed, folder)
        miner.mine(_BURIED)  # what has been prepared stays
        purse = count * USDC * 4
        workers, askers = _seats(str(market.plan.write()), dev_accounts()[1].private_key)
        with Processes(workers, dice, folder) as processes:
            run = Soak(market, processes, askers, crowd, miner, dice)
            run.run(purse, seconds)
        miner.mine(_BURIED)
        audit = Audit(market, _PARTS, run.arrived)
        audit.run()
    figures = {
        **dict.fromkeys(("overspend", "false_denials", "leaked", "drift"), 0),
        **dict(sorted(audit.figures.items())),
        **{f"approvals_{name}": number for name, number in sorted(run.approvers.answers.items())},
        **{f"ends_{name}": number for name, number in sorted(run.providers.done.items())},
        "kills": processes.kills,
        "crash_points": processes.crashes,
        "reorgs": run.reorgs,
        "seconds": round(time.monotonic() - start, 1),
    }
    return figures, [*run.wrong, *processes.wrong, *audit.wrong]


def _seats(plan: str, key: str) -> tuple[list[Seat], list[Seat]]:
    """Who works the treasury, and who asks for purchases out of it."""
    working, asking = "scripts.soak.market.working", "scripts.soak.market.asking"
    parts = [(plan, str(part), str(_PARTS)) for part in range(_PARTS)]
    return (
        [
            Seat(f"work-{index}", working, (plan,), key, _WORKING, _LATEST_HIT, _WORKING_LIFE)
            for index in range(_WORKERS)
        ],
        [
            Seat(f"ask-{index}", asking, part, key, _ASKING, _LATEST_HIT, _ASKING_LIFE, ends=True)
            for index, part in enumerate(parts)
        ],
    )


def _build(url: str, count: int, agents: int, seed: int, folder: Path) -> tuple[Market, Crowd]:
    """Contracts, providers that can post bonds, and a treasury without money whose rules hold."""
    os.environ[FOLDER_VARIABLE] = str(folder)
    node = HttpTransport(url)
    accounts = dev_accounts()
    book = AddressBook(CHAIN_ID, genesis_hash(node, CHAIN_ID), development=True)
    deployment = deploy_contracts(Sender(node, LocalSigner(accounts[0].private_key), chain_id=CHAIN_ID), book)
    if deployment.token is None:
        raise RuntimeError("the deployment has no token")
    crowd = Crowd(node, CHAIN_ID)
    providers = [Party(one) for one in accounts[4:8]]
    last = None
    for one in providers:
        last = crowd.call(Party(accounts[9]), "mint", "TestUSDC", deployment.token, "mint", one.address, 10**13)
        crowd.call(one, "approve", "TestUSDC", deployment.token, "approve", deployment.vault, 10**13)
    crowd.receipt(last, 30)
    names = tuple(one.address for one in providers)
    plan = Plan(url, str(folder), seed, count, agents, names, accounts[8].address)
    market = Market(plan, accounts[1].private_key)
    market.authority.apply(plan.rules(), "soak")
    return market, crowd


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="requests")
    parser.add_argument("--agents", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=20.0, help="when to give up")
    parser.add_argument("--keep", action="store_true", help="keep the ledger and logs")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    with kept_folder("market-", arguments.keep) as folder:
        figures, wrong = soak(arguments.count, arguments.agents, arguments.seed, arguments.minutes * 60, folder)
    return conclude(figures, wrong)


if __name__ == "__main__":
    sys.exit(main())
