"""What the tests of the worker share: a treasury with an authority, workers for it, and what is left of it."""

from __future__ import annotations

from typing import Any

from actp.chain import DevAccount, EmbeddedChain, dev_accounts
from actp.deployments import Deployment
from actp.engine.store import Store
from actp.rpc import Transport
from actp.types import State
from coordinator.authority import Authority
from coordinator.authority.verifying import verify
from coordinator.budget.requests import Payer, SpendingRequest, ask_of
from coordinator.budget.rulebook import AgentRules, CategoryRules, RuleBook
from coordinator.budget.words import Answer, Period, Reservation, ReservationState, Scope, ScopeKind
from coordinator.store import Ledger, escrows, open_ledger, operations, reservations, seals
from coordinator.types import ETH, Operation
from coordinator.worker import Worker
from tests.coordinator.lifecycle.support import HASTY, House

USDC = 10**6
NEVER = float("-inf")
PURSE = 1_000 * USDC
HELD, SUBMITTING = ReservationState.HELD, ReservationState.SUBMITTING
ON_CHAIN, COMMITTED, RELEASED = ReservationState.ON_CHAIN, ReservationState.COMMITTED, ReservationState.RELEASED


def agent(name: str, **other: Any) -> AgentRules:
    limits = {"spending_limit": 500 * USDC, "daily_limit": 2_000 * USDC} | other
    return AgentRules(name, name.title(), **limits)


def book(total: int = 2_000 * USDC, *agents: AgentRules, **other: Any) -> RuleBook:
    each = agents or (agent("ann"), agent("bob", requires_approval=50 * USDC))
    return RuleBook(
        total_budget=total, agents={one.id: one for one in each}, categories={"data": CategoryRules()}, **other
    )


class Firm(House):
    """A treasury with PURSE base units of USDC, its ledger, and an authority with rules for ann and bob."""

    def __init__(
        self, chain: EmbeddedChain, node: Transport, deployed: Deployment, account: DevAccount, store: Store
    ) -> None:
        super().__init__(chain, node, deployed, account, store)
        self._open(store)
        self.authority.apply(book(), "test")

    @classmethod
    def again(cls, chain: EmbeddedChain, deployed: Deployment, account: DevAccount, store: Store) -> Firm:
        """The firm of another process, as it was left: no money is added, and no rule is changed."""
        firm = cls.__new__(cls)
        firm.prepare(chain, chain, deployed, account, store)
        firm._open(store)
        return firm

    def _open(self, store: Store) -> None:
        self.minter = self.client_of(dev_accounts()[4])
        self.provider = self.client_of(dev_accounts()[6])
        store.bind(self.client.chain_id, self.client.genesis)
        self.ledger: Ledger = open_ledger(store)
        self.authority = self.new_authority()

    def new_authority(self) -> Authority:
        """An authority as another process would have it."""
        return Authority(self.ledger, self.key, token=self.usdc)

    def worker(self, *, authority: Authority | None = None, reconcile_seconds: float = 0.0, **options: Any) -> Worker:
        """A worker of the firm, with a lifecycle of its own."""
        lifecycle = self.lifecycle(**options)
        return Worker(self.client, authority or self.authority, lifecycle, reconcile_seconds=reconcile_seconds)

    def request(self, amount: int = 10 * USDC, *, who: str = "ann", key: str | None = None, **more: Any) -> Answer:
        """Asks for a purchase at the provider."""
        wanted = SpendingRequest(
            who, amount, more.pop("provider", self.provider.address), "a thing", "data", key, **more
        )
        return self.authority.request(ask_of(wanted, self.payer))

    @property
    def payer(self) -> Payer:
        return Payer(self.chain.chain_id, self.wallet, self.client.kernel.address, self.client.kernel.limits)

    def all(self) -> list[Reservation]:
        """Every reservation, the newest first."""
        with self.ledger.read() as connection:
            return reservations.listed(connection, self.key, limit=10_000)

    def find(self, answer: Answer) -> Reservation:
        found = self.authority.find(answer.reservation_id)
        assert found is not None
        return found

    def operations(self) -> list[Operation]:
        """Every operation, the newest first."""
        with self.ledger.read() as connection:
            return operations.listed(connection, self.key, limit=1_000)

    def cell(self, kind: ScopeKind = ScopeKind.TOTAL, key: str = "", unit: str | None = None) -> tuple[int, int]:
        """(spent, reserved) of the scope's only window."""
        scope = Scope(kind, key, Period.EVER, unit or self.usdc)
        found = [one.cell for one in self.authority.usage() if one.scope == scope]
        return (found[0].spent, found[0].reserved) if found else (0, 0)

    def treasury(self, unit: str | None = None) -> tuple[int, int]:
        """(what it held when it was looked at, what is promised of it)."""
        scope = Scope(ScopeKind.TREASURY, "", Period.EVER, unit or self.usdc)
        (found,) = [one.cell for one in self.authority.usage() if one.scope == scope]
        return found.lim or 0, found.reserved

    def frozen(self) -> dict[str, str]:
        """Why nothing is granted, by kind and key of the scope."""
        return {
            f"{one.scope.kind.value}:{one.scope.key}": one.row.frozen
            for one in self.authority.usage()
            if one.row.frozen is not None
        }

    def escrow(self, answer: Answer) -> State:
        return self.provider.kernel.get_transaction(answer.transaction_id).state

    def rounds(self, worker: Worker, count: int = 4) -> None:
        """Works, and looks in each round at all that it otherwise looks at now and then."""
        keeping = worker._lifecycle._keeping
        for _ in range(count):
            keeping._final_at = keeping._escrows_at = NEVER
            worker._returns._at = worker._disputes._at = worker._chores_at = NEVER
            with self.ledger.write() as connection:
                escrows.look_again_at_all(connection, self.key, self.ledger.now())
            worker.step()

    def funded(self, worker: Worker, *answers: Answer) -> list[Reservation]:
        """Works until these are spent for good."""
        for _ in range(8):
            self.rounds(worker, 1)
            found = [self.find(one) for one in answers]
            if all(one.state in (COMMITTED, RELEASED) for one in found):
                return found
        raise AssertionError([one.state for one in found])

    def sound(self) -> None:
        """The journal rebuilds every cell, and open reservations are what is reserved."""
        seals.seal_all(self.ledger, self.key)
        found = verify(self.ledger, self.key)
        assert found.ok, found.findings
        rows = self.all()
        open_amounts = sum(one.amount for one in rows if one.state in (HELD, SUBMITTING, ON_CHAIN))
        open_amounts += sum(one.amount for one in rows if one.state is ReservationState.PENDING_APPROVAL)
        spent = sum((one.actual or 0) - one.returned for one in rows if one.state is COMMITTED)
        assert self.cell() == (spent, open_amounts)


__all__ = [
    "COMMITTED", "ETH", "HASTY", "HELD", "ON_CHAIN", "PURSE", "RELEASED", "SUBMITTING", "USDC", "Firm", "State",
    "agent", "book",
]  # fmt: skip
