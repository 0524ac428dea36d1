"""Treasuries under siege: `make soak NAME=guard` (ARGS='--count 300' for a short one).

Three treasuries work through random intents of their agents on one anvil. Their processes are killed at random and at
the engine's crash points, the chain is reorganised, strangers send dust and end escrows, tokens are hostile; now and
then a breach is planted, which the delta guard must find and stop before the next signature. At the end every operation
has ended exactly once with a proof, and every balance is explained to the last unit, by an audit that reads the chain
for itself. Prints progress, a table, and as the last line one JSON object; the exit code is 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from actp.chain import AnvilProcess
from actp.errors import IdempotencyConflict
from actp.testing import CrashPoint
from coordinator.errors import AgentPaused, LedgerConflict, NotWaiting
from coordinator.store import operations
from coordinator.types import Stage
from scripts.soak.processes import Processes, Seat
from scripts.soak.siege.asking import Asked, Asking
from scripts.soak.siege.attacks import Attacks
from scripts.soak.siege.audit import Audit
from scripts.soak.siege.disturbing import Disturbing
from scripts.soak.siege.field import Field, House, build
from scripts.soak.siege.miner import Miner
from scripts.soak.siege.plants import guarded_up_to, watch_signatures
from scripts.verdicts import conclude, kept_folder

_MODULE = "scripts.soak.siege.treasury"
_LIFE = (5.0, 25.0)
_LATEST_HIT = 4
_BACKLOG = 300
_AT_ONCE = 60
_TICK = 0.2
_DRAIN_SECONDS = 180.0
_REORGS = (0.8, 3.0)
"""Seconds between two reorganisations."""
_AFTER_EMPTY_BLOCKS = (1.1, 1.6)
"""Seconds from empty blocks, of which a reorganisation would take nothing back, to the next one."""
_OPEN = (Stage.PENDING, Stage.SIMULATING, Stage.POLICY_EVAL, Stage.SIGNING, Stage.SUBMITTING)
_JUMPS = ((12.0, 90 * 60), (61.0, 11 * 86_400))
"""How often, in seconds, the chain's clock jumps by so many: over windows, and over deadlines and their grace."""


class Soak:
    """One run."""

    def __init__(self, field: Field, workers: Processes, dice: random.Random, count: int, plants: int) -> None:
        self.field = field
        self.workers = workers
        self.count = count
        self.plants = plants
        self.dice = dice
        self.asking = Asking(field, dice)
        self.attacks = Attacks(field, self.asking, dice, self.turn)
        self.disturbing = Disturbing(field, dice)
        self.asked = 0
        self.again = 0
        self.reorgs = 0
        self.answers: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._known: list[tuple[Asked, int]] = []
        self._jumped = [time.monotonic() for _ in _JUMPS]
        self._start = self._told = self._reorganise_at = time.monotonic()
        self._at_once = max(5, min(_AT_ONCE, count // 30))

    def run(self, seconds: float) -> None:
        """Everything up to the moment when nothing moves any more."""
        start = self._start
        self._await_guards(start + seconds)
        every = max(self.count // (self.plants + 1), 1)
        while self.asked < self.count and time.monotonic() - start < seconds:
            self.turn(reorganise=True)
            if self._backlog() < min(_BACKLOG, 5 * self._at_once):
                self._ask()
            if len(self.attacks.plants) < min(self.asked // every, self.plants):
                self.attacks.plant()
                self._reorganise_later()
        while len(self.attacks.plants) < self.plants and time.monotonic() - start < seconds:
            self.attacks.plant()
        if self.asked < self.count:
            self.wrong.append(f"Only {self.asked} of {self.count} were asked for in {seconds:.0f} seconds.")
        self._drain()

    def turn(self, reorganise: bool = False) -> None:
        """A moment in which processes die, approvals are answered, time jumps, and perhaps the chain is reorganised."""
        self.workers.tend()
        self._tell()
        self._answer()
        self.disturbing.some(self.dice.randint(0, 2), self.asking.escrows)
        if reorganise:
            self._jump()
            if time.monotonic() > self._reorganise_at:
                self.field.miner.reorganise(self.dice.randint(1, 5))
                self.reorgs += 1
                self._reorganise_later(_REORGS)
        time.sleep(_TICK)

    def _await_guards(self, until: float) -> None:
        """What happens before a guard's first point is taken as it is: nothing happens until there is one."""
        while any(guarded_up_to(one) < 0 for one in self.field.houses) and time.monotonic() < until:
            self.workers.tend(kill=False)
            time.sleep(_TICK)

    # ---------------------------------------------------------------- asking

    def _ask(self) -> None:
        self.asking.look()
        asked = self.asking.some(min(self._at_once, self.count - self.asked))
        for house in self.field.houses:
            mine = [one for one in asked if one.house is house]
            if not mine:
                continue
            try:
                found = house.treasury.lifecycle.submit_all([one.request for one in mine])
            except AgentPaused as error:
                self.wrong.append(f"Paused without a planted breach: {error.message}")
                for pause in house.treasury.lifecycle.paused():
                    house.treasury.lifecycle.resume(pause.agent, by="harness", reason="the soak goes on")
                continue
            self.asking.note(house, found)
            self._known += [(one, operation.id) for one, operation in zip(mine, found, strict=True)]
            self.asked += len(found)
        for _ in range(3):
            self._ask_again(*self.dice.choice(self._known))
        del self._known[:-2_000]

    def _ask_again(self, asked: Asked, number: int) -> None:
        """The same key with the same body is the same operation, and with another body a conflict."""
        lifecycle, request = asked.house.treasury.lifecycle, asked.request
        if lifecycle.submit_all([request])[0].id != number:
            self.wrong.append(f"The key {request.key} of {request.agent} has made another operation than {number}.")
        self.again += 1
        if "amount" in request.intent and "milestones" not in request.intent:
            other = replace(request, intent={**request.intent, "amount": str(int(request.intent["amount"]) + 1)})
            try:
                lifecycle.submit_all([other])
            except IdempotencyConflict:
                return
            self.wrong.append(f"The key {request.key} of {request.agent} stands for two intents.")

    def _answer(self) -> None:
        for house in self.field.houses:
            lifecycle = house.treasury.lifecycle
            for operation, _ in lifecycle.waiting():
                yes = self.dice.random() < 0.7
                try:
                    if yes:
                        lifecycle.approve(operation.id, "harness", "fine")
                    else:
                        lifecycle.reject(operation.id, "harness", "not today")
                except (LedgerConflict, NotWaiting):
                    continue
                self.answers["approved" if yes else "rejected"] += 1

    def _reorganise_later(self, seconds: tuple[float, float] = _AFTER_EMPTY_BLOCKS) -> None:
        self._reorganise_at = time.monotonic() + self.dice.uniform(*seconds)

    def _jump(self) -> None:
        for index, (every, seconds) in enumerate(_JUMPS):
            if time.monotonic() - self._jumped[index] > every:
                self._jumped[index] = time.monotonic()
                self.field.node.request("evm_increaseTime", [seconds])
                self.field.bury()  # or a reorganisation would take the time back
                self._reorganise_later()

    # ---------------------------------------------------------------- ending

    def _backlog(self) -> int:
        return sum(self._stages().get(stage, 0) for stage in _OPEN)

    def _stages(self) -> Counter[Stage]:
        found: Counter[Stage] = Counter()
        for house in self.field.houses:
            with house.treasury.lifecycle.ledger.read() as connection:
                found.update(operations.count(connection, house.treasury.account))
        return found

    def _drain(self) -> None:
        """Waits until all has ended and is guarded, on a chain that grows no more."""
        self.disturbing.calm()
        until = time.monotonic() + _DRAIN_SECONDS
        while time.monotonic() < until:
            self.workers.tend(kill=False)
            self._answer()
            self._tell()
            if not self._backlog() and not self._stages().get(Stage.APPROVAL_GATE, 0):
                break
            time.sleep(_TICK)
        self.field.bury(12)
        self.field.miner.freeze()
        head = self.field.head()
        while time.monotonic() < until:
            if all(guarded_up_to(one) >= head for one in self.field.houses):
                break
            self.workers.tend(kill=False)
            time.sleep(_TICK)
        time.sleep(3.0)  # finality is noted every two seconds

    def _tell(self) -> None:
        if time.monotonic() - self._told < 10.0:
            return
        self._told = time.monotonic()
        stages = {stage.value: number for stage, number in sorted(self._stages().items())}
        print(
            f"{time.monotonic() - self._start:6.0f} s  asked {self.asked}  {stages}  block {self.field.head()}  "
            f"kills {self.workers.kills}+{self.workers.crashes}  reorgs {self.reorgs}  "
            f"breaches {sum(one.found for one in self.attacks.plants)}/{len(self.attacks.plants)}",
            flush=True,
        )


def soak(count: int, plants: int, seed: int, seconds: float, folder: Path) -> tuple[dict[str, Any], Sequence[str]]:
    """The figures, and everything that is wrong."""
    dice = random.Random(seed)
    start = time.monotonic()
    with (
        AnvilProcess(extra_args=["--no-mining", "--slots-in-an-epoch", "4"]) as anvil,
        Miner(anvil.url) as miner,
    ):
        field = build(anvil, miner, folder, dice)
        for house in field.houses:
            watch_signatures(house)
        seats = [_seat(house, index) for house in field.houses for index in range(2 if house is field.houses[0] else 1)]
        with Processes(seats, dice, folder) as workers:
            run = Soak(field, workers, dice, count, plants)
            run.run(seconds)
        audit = Audit(field, run.attacks.plants)
        audit.run()
    figures = {
        "asked": run.asked,
        "asked_again": run.again,
        **audit.figures,
        **{f"answers_{name}": number for name, number in sorted(run.answers.items())},
        "strangers": sum(run.disturbing.done.values()),
        "kills": workers.kills,
        "crash_points": workers.crashes,
        "reorgs": run.reorgs,
        "breaches_planted": len(run.attacks.plants),
        "breaches_found": sum(one.found for one in run.attacks.plants),
        "held_at_pauses": sum(one.held for one in run.attacks.plants),
        "seconds": round(time.monotonic() - start, 1),
    }
    return figures, [*run.wrong, *workers.wrong, *run.attacks.wrong, *audit.wrong]


def _seat(house: House, index: int) -> Seat:
    treasury = house.treasury
    arguments = (str(treasury.plan.write()),)
    return Seat(
        f"{treasury.name}-{index}", _MODULE, arguments, house.party.private_key, list(CrashPoint), _LATEST_HIT, _LIFE
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="operations")
    parser.add_argument("--plants", type=int, help="breaches (one for 400 operations, at least 6)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=40.0, help="when to give up")
    parser.add_argument("--keep", action="store_true", help="keep databases and logs")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    plants = max(6, arguments.count // 400) if arguments.plants is None else arguments.plants
    with kept_folder("siege-", arguments.keep) as folder:
        figures, wrong = soak(arguments.count, plants, arguments.seed, arguments.minutes * 60, folder)
    return conclude(figures, wrong)


if __name__ == "__main__":
    sys.exit(main())
