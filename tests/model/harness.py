"""One run of model and contracts side by side: make a call on both, compare everything, tell what happened."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

from tests.model.facts import Facts, differences, model_facts
from tests.model.kernel_model import FINAL, NO_ID, KernelModel, State, Transaction
from tests.model.refusal import Refused
from tests.model.token_model import VAULT
from tests.model.world import HOLDERS, KERNEL, START, Call, World

Receipt = Mapping[str, Any]
Apply = Callable[[KernelModel, int], None]
"""What a call does to the model at a time in unix seconds."""

MINED_REFUSAL_EVERY = 8
"""A refusal is simulated, which is four times as fast; every so often one is mined instead."""
READ_ALL_EVERY = 8
"""After a call only what it concerns is read anew; every so often, and at the end, it is everything."""


@dataclass
class Tally:
    """What all runs of a process have done, so that a test can tell whether it has tested anything."""

    steps: int = 0
    accepted: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    ambiguous_refusals: int = 0
    moves: Counter[tuple[State, State]] = field(default_factory=Counter)
    exits: int = 0


class Harness:
    """Model and contracts in step. A disagreement raises AssertionError with the whole story of the run."""

    def __init__(self, world: World, tally: Tally) -> None:
        world.reset()
        self.world = world
        self.model = world.model()
        self.tally = tally
        self.story: list[str] = []
        self._is_detour = False
        self.is_intact = True
        """Whether the last call went as it should on both sides."""
        # Each run counts for itself: a mined refusal costs a second, and a run must be the same when it is repeated.
        self._refusals = 0
        self._comparisons = 0
        self._seen = world.facts((), HOLDERS)

    @property
    def now(self) -> int:
        """Timestamp of the next block."""
        return self.world.chain.now()

    # ---------------------------------------------------------------- steps

    def call(self, call: Call, apply: Apply) -> Receipt | None:
        """Make a call on both sides; its receipt, or None if both refused it."""
        self.tally.steps += 1
        reasons, before = self._begin(call, apply)
        if reasons:
            self._expect_refusal(call, reasons)
            return None
        receipt = self.world.send(call)
        if receipt is None:
            self._disagree(f"the model accepts, the contract refuses with {self.world.refusal(call)}")
        self._accepted(call, before)
        return receipt

    def call_with_gas(self, call: Call, apply: Apply, gas: int) -> None:
        """As `call` with a gas limit: too little may undo the call as a whole, and must change nothing else."""
        self.tally.steps += 1
        untouched = copy.deepcopy(self.model)
        reasons, before = self._begin(call, apply, f" with {gas:_} gas")
        if reasons:
            self._expect_refusal(call, reasons)
        elif self.world.send(call, gas) is None:
            self.model = untouched
            self.story[-1] += "undone for want of gas"
            self._compare_after(call)
        else:
            self._accepted(call, before)

    def create(self, call: Call, apply: Callable[[KernelModel, int, bytes], None]) -> None:
        """As `call`, for a creation: the id is known only to the chain."""
        transaction_id = self.world.answer(call) or NO_ID
        receipt = self.call(call, lambda model, now: apply(model, now, transaction_id))
        # Clients find the id in the first log that the kernel emits.
        if receipt is not None and receipt["logs"][0]["topics"][1] != "0x" + transaction_id.hex():
            self._disagree(f"the first log names another id than {transaction_id.hex()}")

    def arrange(self, call: Call, apply: Apply) -> None:
        """Make a call that must succeed and is not what is looked at, so nothing is compared after it."""
        reasons, _ = self._begin(call, apply)
        if reasons or self.world.send(call) is None:
            self._disagree("this cannot be arranged")
        self.story[-1] += "ok"
        self.is_intact = True

    def _begin(self, call: Call, apply: Apply, note: str = "") -> tuple[frozenset[str], dict[bytes, State]]:
        """Applies the call to the model; why it refuses, and the states before."""
        now, before = self.now, self._states()
        self.is_intact = False
        arguments = ", ".join(self._show(value) for value in call.arguments)
        self.story.append(f"+{now - START:>11,}s {call.caller}: {call.contract}.{call.function}({arguments}){note} -> ")
        try:
            apply(self.model, now)
        except Refused as refused:
            return refused.reasons, before
        return frozenset(), before

    def _accepted(self, call: Call, before: dict[bytes, State]) -> None:
        self.story[-1] += "ok"
        self.tally.accepted += 1
        if not self._is_detour:
            self.tally.moves.update(self._moves(before))
        self._compare_after(call)

    def wait_until(self, timestamp: int) -> None:
        """Let time pass, if the moment lies ahead."""
        if timestamp > self.now:
            self.world.go_to(timestamp)

    def _expect_refusal(self, call: Call, reasons: frozenset[str]) -> None:
        error = self.world.refusal(call)
        self.story[-1] += f"refused: {error}"
        if error not in reasons:
            outcome = "accepts" if error is None else f"refuses with {error}"
            self._disagree(f"the contract {outcome}, the model refuses with {' or '.join(sorted(reasons))}")
        self.tally.refusals[error] += 1
        self.tally.ambiguous_refusals += len(reasons) > 1
        self._refusals += 1
        if self._refusals % MINED_REFUSAL_EVERY == 0:
            if self.world.send(call) is not None:
                self._disagree("the contract accepts what it has refused in a simulation")
            self._compare_after(call)
        self.is_intact = True

    # ---------------------------------------------------------------- comparing

    def compare(self) -> Facts:
        """Every field of every transaction, every balance and credit, and that the sums agree; what was read."""
        self._seen = self.world.facts(list(self.model.transactions.values()), HOLDERS)
        self._compare_seen(model_facts(self.model, HOLDERS))
        return self._seen

    def _compare_after(self, call: Call) -> None:
        """As `compare`, but what the call does not concern is taken as it was read before.

        A call concerns what the model has changed by it, the transaction that it names, the caller and the vault.
        """
        self._comparisons += 1
        if self._comparisons % READ_ALL_EVERY == 0:
            self.compare()
            return
        expected = model_facts(self.model, HOLDERS)
        touched = [tx for tx in self.model.transactions.values() if self._is_touched(tx, call, expected)]
        accounts = {call.caller, VAULT}.union(*(tx.parties for tx in touched))
        for wanted, seen in ((expected.balances, self._seen.balances), (expected.credits, self._seen.credits)):
            accounts |= {account for account, amount in wanted.items() if amount != seen[account]}
        self._seen = self._seen.updated(self.world.facts(touched, [name for name in HOLDERS if name in accounts]))
        self._compare_seen(expected)

    def _is_touched(self, tx: Transaction, call: Call, expected: Facts) -> bool:
        return tx.id in call.arguments or expected.transactions[tx.id] != self._seen.transactions.get(tx.id)

    def _compare_seen(self, expected: Facts) -> None:
        actual = self._seen
        lines = differences(expected, actual)
        held, owed = actual.balances[VAULT], actual.liabilities()
        if held != owed + self.model.token.unsolicited:
            lines.append(f"the vault holds {held}, owes {owed}, and was given {self.model.token.unsolicited}")
        total = sum(actual.balances.values())
        if total != actual.supply:
            lines.append(f"all accounts together hold {total}, the supply is {actual.supply}")
        if self.model.liabilities() != owed:
            lines.append(f"the model owes {self.model.liabilities()}, the contracts owe {owed}")
        if lines:
            self._disagree(*lines)
        self.is_intact = True

    def compare_governance(self) -> None:
        """Roles, pause, approvals and rates."""
        lines = differences(self.model.governance_facts(), self.world.governance_facts())
        nonces = {name: count for name, count in self.model.nonces.items() if self._nonce(name) != count}
        lines += [f"nonce of {name}: model {count}, chain {self._nonce(name)}" for name, count in nonces.items()]
        if lines:
            self._disagree(*lines)

    def _nonce(self, account: str) -> int:
        call = Call(account, KERNEL, "requesterNonces", (account,))
        return int.from_bytes(self.world.answer(call), "big")

    # ---------------------------------------------------------------- what if

    @contextmanager
    def detour(self, title: str) -> Iterator[None]:
        """Whatever happens inside is undone on both sides, unless it fails."""
        kept, seen, snapshot = copy.deepcopy(self.model), self._seen, self.world.chain.snapshot()
        length = len(self.story)
        self.story.append(f"--- what if: {title}")
        self._is_detour = True
        yield
        self._is_detour = False
        self.world.chain.revert(snapshot)
        self.model, self._seen = kept, seen
        del self.story[length:]

    # ---------------------------------------------------------------- telling

    def _show(self, value: Any) -> str:
        if not isinstance(value, bytes):
            return f"{value:_}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
        if value in self.model.transactions:
            return f"tx{list(self.model.transactions).index(value) + 1}"
        words = [int.from_bytes(value[at : at + 32], "big") for at in range(0, len(value), 32)]
        return f"0x{value.hex()}" if len(value) % 32 or len(value) == 32 else str(words)

    def _disagree(self, *lines: str) -> NoReturn:
        self.is_intact = False
        raise AssertionError(
            "\n".join(["model and contracts disagree", *self.story, *(f"  !! {line}" for line in lines)])
        )

    def _states(self) -> dict[bytes, State]:
        return {tx.id: tx.state for tx in self.model.transactions.values()}

    def _moves(self, before: dict[bytes, State]) -> list[tuple[State, State]]:
        pairs = [(before.get(tx_id, state), state) for tx_id, state in self._states().items()]
        return [(old, new) for old, new in pairs if old is not new]

    def open_funded(self) -> list[bytes]:
        """Ids of the transactions that hold money."""
        return [tx.id for tx in self.model.transactions.values() if tx.is_funded and tx.state not in FINAL]

    def fail(self, message: str) -> NoReturn:
        self._disagree(message)
