"""Settlement bots under kills and reorganisations: `make soak NAME=settlement` (ARGS='--count 200' for a short one).

Hundreds to thousands of escrows on an anvil that is reorganised now and then become due bit by bit: to be settled,
refunded, or closed after a dispute. Three bots over one store end them, two of them with one key, and are killed at
random and at crash points; a stranger settles some of them first. At the end every escrow must have ended, once, every
provider and requester must have what is theirs to the last unit, every operation must be proved, no claim may be left
and nothing may count as a breach. Prints progress, a table, and as the last line one JSON object; the exit code is 1 if
anything is wrong.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actp.chain import AnvilProcess, dev_accounts
from actp.deployments import FOLDER_VARIABLE
from actp.engine.crash import CrashPoint as EnginePoint
from actp.engine.store import open_store
from actp.errors import RpcError
from actp.kernel_views import transaction_of
from actp.reads import Read, read_all
from actp.types import State
from coordinator.crash import CrashPoint
from scripts.bench.settlement_world import AMOUNT, NET, WINDOW, World
from scripts.soak.processes import Processes, Seat
from scripts.soak.siege.miner import Miner
from scripts.soak.town.audit import Audit
from scripts.soak.town.working import Plan
from scripts.verdicts import conclude, kept_folder

CHAIN_ID = 31_337
_TICK = 0.5
_DAY = 24 * 3_600
_LIFE = (4.0, 15.0)
_LATEST_HIT = 3
_POINTS = (
    CrashPoint.BEFORE_CLAIM,
    CrashPoint.AFTER_CLAIM,
    CrashPoint.BEFORE_OUTCOME,
    CrashPoint.AFTER_OUTCOME,
    EnginePoint.AFTER_SIGN,
    EnginePoint.AFTER_COMMIT,
    EnginePoint.AFTER_BROADCAST,
    EnginePoint.AFTER_REPLY,
    EnginePoint.BEFORE_SEALED,
    EnginePoint.AFTER_SEALED,
)
_REORGS = (4.0, 10.0)
_DEPTH = 3
_BURIED = 12
_TELL_EVERY = 10.0
_BOTS = (8, 9)
_STRANGER = 0
_PROVIDERS = (2, 3, 4, 5)
_SPREAD = 2_400
"""Windows end within so many seconds of one another."""
_REFUNDS_AFTER = 8 * _DAY + 60
_CLOSED_AFTER = 31 * _DAY
_AT_ONCE = 50
_PART = 20


@dataclass(slots=True)
class Owed:
    """What is to become of the escrows: by provider what is to be settled, what nobody delivers, what is disputed."""

    settled: dict[int, list[str]]
    refunded: list[str]
    closed: list[str]

    @property
    def ids(self) -> list[str]:
        return [*(one for ids in self.settled.values() for one in ids), *self.refunded, *self.closed]


class Soak:
    """One run."""

    def __init__(self, world: World, miner: Miner, processes: Processes, owed: Owed, dice: random.Random) -> None:
        self.world = world
        self.miner = miner
        self.processes = processes
        self.owed = owed
        self.dice = dice
        self.reorgs = self.rushed = 0
        self.wrong: list[str] = []
        self._time = world.now()
        """What the chain's clock is to show at least."""
        self._start = self._told = time.monotonic()
        self._reorganise_at = self._start + _REORGS[0]

    def run(self, seconds: float) -> None:
        """Until everything has ended, and its blocks are buried."""
        until = self._start + seconds
        delivered = [one for ids in self.owed.settled.values() for one in ids]
        self._let_pass(WINDOW)
        for _ in range(_SPREAD // _AT_ONCE + 1):
            # They become due bit by bit.
            self._let_pass(_AT_ONCE)
            self._turn(delivered)
        wanted: list[str] = []
        for passes, ids in ((0, delivered), (_REFUNDS_AFTER, self.owed.refunded), (_CLOSED_AFTER, self.owed.closed)):
            wanted += ids
            self._let_pass(passes)
            while time.monotonic() < until and self._left(wanted):
                self._turn(wanted)
        if left := self._left(wanted):
            self.wrong.append(f"{left} escrows have not ended in {seconds:.0f} seconds.")
        # What was begun is followed to its end on a chain that is not reorganised any more.
        self.miner.mine(_BURIED)

    def drain(self, audit: Audit, seconds: float) -> None:
        """Until the bots have written down what became of everything."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and audit.under_way():
            self.processes.tend(kill=False)
            time.sleep(_TICK)

    def _let_pass(self, seconds: int) -> None:
        self._time += seconds
        self._keep_time()

    def _keep_time(self) -> None:
        """With a reorganisation anvil forgets how far its clock was put forward."""
        behind = self._time - self.world.now()
        if behind > 0:
            self.world.node.request("evm_increaseTime", [behind])
            self.miner.mine(1)

    def _turn(self, wanted: Sequence[str]) -> None:
        self.processes.tend()
        self._keep_time()
        now = time.monotonic()
        if self.dice.random() < 0.15:
            self._rush(wanted)
        if now > self._reorganise_at:
            self.miner.reorganise(self.dice.randint(1, _DEPTH))
            self.reorgs += 1
            self._reorganise_at = now + self.dice.uniform(*_REORGS)
        if now - self._told > _TELL_EVERY:
            self._told = now
            print(
                f"{now - self._start:6.0f} s  {dict(self._states())}  kills {self.processes.kills}"
                f"+{self.processes.crashes}  reorgs {self.reorgs}  strangers {self.rushed}",
                flush=True,
            )
        time.sleep(_TICK)

    def _rush(self, wanted: Sequence[str]) -> None:
        """A stranger settles some, whether they are due or not."""
        chosen = self.dice.sample(list(wanted), min(5, len(wanted)))
        try:
            self.world.send(_STRANGER, "ACTPKernel", "settleBatch", [bytes.fromhex(one[2:]) for one in chosen])
        except RpcError:
            return
        self.rushed += 1

    def _left(self, ids: Sequence[str]) -> int:
        return sum(not state.final for state in self.states(ids).values())

    def _states(self) -> Counter[str]:
        return Counter(state.name for state in self.states(self.owed.ids).values())

    def states(self, ids: Sequence[str]) -> dict[str, State]:
        """What the chain says of each."""
        kernel = self.world.deployment.kernel
        reads = [Read("ACTPKernel", kernel, "getTransaction", (bytes.fromhex(one[2:]),)) for one in ids]
        answers = read_all(self.world.node, reads)
        return {one: transaction_of(answer).state for one, answer in zip(ids, answers, strict=True)}


def soak(count: int, seed: int, seconds: float, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """The figures, and everything that is wrong."""
    dice = random.Random(seed)
    start = time.monotonic()
    os.environ[FOLDER_VARIABLE] = str(folder)
    with (
        AnvilProcess(chain_id=CHAIN_ID, extra_args=["--no-mining", "--slots-in-an-epoch", "4"]) as anvil,
        Miner(anvil.url) as miner,
    ):
        world = World(anvil.url, CHAIN_ID, stored=True)
        owed = _prepare(world, miner, count, dice)
        accounts = (1, *_PROVIDERS)
        before = {one: world.balance(one) for one in accounts}
        url = f"sqlite:///{folder / 'bots.db'}"
        store = open_store(url)
        audit = Audit(world, store, _BOTS)
        plan = str(Plan(anvil.url, CHAIN_ID, url, str(folder)).write(folder / "plan.json"))
        with Processes(_seats(plan), dice, folder) as processes:
            run = Soak(world, miner, processes, owed, dice)
            run.run(seconds)
            run.drain(audit, 60.0)
        states = run.states(owed.ids)
        audit.run(states)
        wrong = [*run.wrong, *processes.wrong, *audit.wrong, *_money(world, owed, before, states)]
        store.close()
    figures = {
        "escrows": len(owed.ids),
        **audit.figures,
        "strangers": run.rushed,
        "kills": processes.kills,
        "crash_points": processes.crashes,
        "reorgs": run.reorgs,
        "seconds": round(time.monotonic() - start, 1),
    }
    return figures, wrong


def _seats(plan: str) -> list[Seat]:
    keys = [dev_accounts()[one].private_key for one in (*_BOTS, _BOTS[0])]
    module = "scripts.soak.town.working"
    return [Seat(f"bot-{index}", module, (plan,), key, _POINTS, _LATEST_HIT, _LIFE) for index, key in enumerate(keys)]


def _prepare(world: World, miner: Miner, count: int, dice: random.Random) -> Owed:
    world.fund(10**15)
    refunds, disputes = max(1, count // 20), max(1, count // 100)
    settled: dict[int, list[str]] = {one: [] for one in _PROVIDERS}
    for start in range(0, count - refunds - disputes, _PART):
        number = min(_PART, count - refunds - disputes - start)
        provider = dice.choice(_PROVIDERS)
        settled[provider] += world.open_escrows(number, provider, window=WINDOW + dice.randrange(_SPREAD))
    refunded = world.open_escrows(refunds, _PROVIDERS[0])
    closed = world.open_escrows(disputes, _PROVIDERS[1])
    miner.mine(1)
    for provider, ids in settled.items():
        world.deliver(ids, provider)
    world.deliver(closed, _PROVIDERS[1])
    miner.mine(1)
    for one in closed:
        world.send(1, "ACTPKernel", "transitionState", bytes.fromhex(one[2:]), State.DISPUTED.value, b"")
    miner.mine(_BURIED)  # what has been prepared stays
    return Owed(settled, refunded, closed)


def _money(world: World, owed: Owed, before: dict[int, int], states: dict[str, State]) -> list[str]:
    """What everybody should have got, and has not."""
    expected: Counter[int] = Counter({provider: NET * len(ids) for provider, ids in owed.settled.items()})
    half = AMOUNT // 2
    bond = 1_000_000
    expected[1] += AMOUNT * len(owed.refunded) + (half + bond) * len(owed.closed)
    expected[_PROVIDERS[1]] += (half - half // 100) * len(owed.closed)
    wrong = []
    for account, held in before.items():
        got = world.balance(account) - held
        if got != expected[account]:
            wrong.append(f"Account {account} got {got} base units, and {expected[account]} are its own.")
    fees = (AMOUNT - NET) * sum(map(len, owed.settled.values())) + half // 100 * len(owed.closed)
    left = world.held(world.deployment.vault)
    if left != fees:
        wrong.append(f"The vault holds {left} base units, and fees are {fees}.")
    ends = {one: State.SETTLED for ids in owed.settled.values() for one in ids}
    ends |= dict.fromkeys(owed.refunded, State.CANCELLED) | dict.fromkeys(owed.closed, State.SETTLED)
    wrong += [f"{one} is {states[one].name}." for one, state in ends.items() if states[one] is not state]
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=3_000, help="escrows")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=15.0, help="when to give up")
    parser.add_argument("--keep", action="store_true", help="keep store and logs")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    with kept_folder("town-", arguments.keep) as folder:
        figures, wrong = soak(arguments.count, arguments.seed, arguments.minutes * 60, folder)
    return conclude(figures, wrong)


if __name__ == "__main__":
    sys.exit(main())
