"""What all rules of the machine use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from hypothesis.stateful import RuleBasedStateMachine

from tests.model.governance_model import ECONOMIC_PARAM_DELAY
from tests.model.harness import Harness, Tally
from tests.model.kernel_model import (
    UNFUNDED,
    KernelModel,
    State,
    Transaction,
)
from tests.model.strategies import (
    MAX_TRANSACTIONS,
)
from tests.model.token_model import TOKEN, VAULT, Account
from tests.model.world import ACTORS, KERNEL, Call, World

MAX_OPEN = 2

Method = Callable[..., None]


class MachineBase(RuleBasedStateMachine):
    """Model and contracts side by side; `world` and `tally` are set by whoever runs the machine."""

    world: ClassVar[World]
    tally: ClassVar[Tally]

    def __init__(self) -> None:
        super().__init__()
        self.harness = Harness(self.world, self.tally)

    @property
    def model(self) -> KernelModel:
        return self.harness.model

    def have(self, *states: State) -> list[Transaction]:
        return [tx for tx in self.model.transactions.values() if tx.state in states]

    def in_time(self, *states: State) -> list[Transaction]:
        """Those whose deadline has not passed; a rule may let it pass just before its call."""
        return [tx for tx in self.have(*states) if self.harness.now <= tx.deadline]

    def has_room(self) -> bool:
        """Finished transactions cost time at every comparison, so a run has only a few."""
        going_on = len(self.in_time(*UNFUNDED)) + len(self.harness.open_funded())
        return len(self.model.transactions) < MAX_TRANSACTIONS and going_on <= MAX_OPEN

    def paid_out(self) -> list[Transaction]:
        return [tx for tx in self.have(State.IN_PROGRESS) if tx.held == 0]

    def kernel(self, caller: Account, function: str, method: Method, *arguments: Any) -> None:
        """A call whose arguments are the same on both sides; `method` is the model's."""
        name = method.__name__
        caller = someone(caller)
        apply = lambda model, now: getattr(model, name)(now, caller, *arguments)  # noqa: E731
        self.harness.call(Call(caller, KERNEL, function, arguments), apply)

    def transition(self, caller: Account, tx: Transaction, state: State, proof: bytes = b"") -> None:
        self.kernel(caller, "transitionState", KernelModel.transition, tx.id, int(state), proof)

    def travel(self, moment: int | None, offset: int | None) -> None:
        """To `offset` seconds after a moment, unless one of them is None or it lies in the past."""
        if moment is not None and offset is not None:
            self.harness.wait_until(moment + offset)

    def go_to(self, tx: Transaction, state: State, proof: bytes = b"") -> None:
        if state is not State.COMMITTED:
            self.transition(tx.provider, tx, state, proof)
            return
        # Whatever stops new money would stop this run.
        if self.model.paused:
            self.set_paused(self.model.admin, False)
        if not self.model.vault_approved:
            self.kernel(self.model.admin, "approveEscrowVault", KernelModel.approve_vault, VAULT, True)
        if self.model.token.paused:
            self.set_token_paused(False)
        self.kernel(tx.requester, "linkEscrow", KernelModel.link, tx.id, VAULT, tx.id)

    def open_dispute(self, tx: Transaction, kind: str) -> None:
        """The requester disputes: with its bond, with a bond for the other side as well, or frozen and so in debt."""
        if kind == "both bonds":
            self.kernel("stranger", "postBond", KernelModel.post_bond, tx.id, tx.provider)
        if kind == "debt":
            self.set_blocked("issuer", tx.requester, True)
        self.transition(tx.requester, tx, State.DISPUTED)
        if kind == "debt":
            self.set_blocked("issuer", tx.requester, False)

    def set_paused(self, caller: Account, paused: bool) -> None:
        call = Call(caller, KERNEL, "pause" if paused else "unpause")
        self.harness.call(call, lambda model, now: model.set_paused(now, caller, paused))

    def replace_rates(self, fee_bps: int, penalty_bps: int, bond_bps: int) -> None:
        """New rates for whatever is agreed from now on, timelock included."""
        admin = self.model.admin
        self.kernel(admin, "updateDisputeBondBps", KernelModel.set_bond_rate, bond_bps)
        self.kernel(admin, "scheduleEconomicParams", KernelModel.schedule_rates, fee_bps, penalty_bps)
        self.harness.wait_until(self.harness.now + ECONOMIC_PARAM_DELAY)
        self.kernel(admin, "executeEconomicParamsUpdate", KernelModel.execute_rates)

    def set_token_paused(self, paused: bool) -> None:
        call = Call("issuer", TOKEN, "pause" if paused else "unpause")
        self.harness.call(call, lambda model, now: model.token.pause("issuer", paused))

    def set_blocked(self, caller: Account, account: Account, blocked: bool) -> None:
        call = Call(caller, TOKEN, "blacklist" if blocked else "unBlacklist", (account,))
        self.harness.call(call, lambda model, now: model.token.blacklist(caller, account, blocked))


def nth(candidates: Sequence[Transaction], pick: int) -> Transaction:
    return candidates[pick % len(candidates)]


def someone(account: Account) -> Account:
    """An account that can send: contracts cannot."""
    return account if account in ACTORS else "stranger"
