"""What every process of a run knows: where chain and ledger are, the rules, and what is asked for, by its number."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from actp.client import ACTPClient
from actp.engine import Policy as EnginePolicy
from actp.engine import open_store
from actp.engine.store.errors import StoreBusy
from actp.networks import connect
from actp.rpc import HttpTransport
from actp.signers import LocalSigner
from coordinator.authority import Authority
from coordinator.budget.requests import Payer, SpendingRequest
from coordinator.budget.rulebook import AgentRules, CategoryRules, RuleBook
from coordinator.budget.rules import ApprovalRules
from coordinator.store import open_ledger
from coordinator.store.accounts import Account

__all__ = ["CHAIN_ID", "ENGINE", "USDC", "Market", "Plan", "patiently"]

_T = TypeVar("_T")

CHAIN_ID = 31_337
USDC = 10**6
ENGINE = EnginePolicy(
    most_open=400, poll=0.1, resend_after=1.0, stuck_after=20.0, first_pause=0.1, final_check=0.5, wait_for=1.0
)

_CATEGORIES = ("data", "compute", "api", "other")
_KINDS = ((8, 250, 6), (16, 500, 12), (30, 1_000, 25))
"""USDC per purchase, per day, and above which somebody is asked."""
_USUAL_REQUESTS = 100
_TRIES, _PAUSE = 10, 1.0
_AGAIN = 0.1
"""How many requests ask for an earlier purchase again."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One run of `count` requests by `agents` agents. `providers` may be paid, `stranger` may not."""

    url: str
    folder: str
    seed: int
    count: int
    agents: int
    providers: tuple[str, ...]
    stranger: str

    def write(self) -> Path:
        """The file that `read` takes."""
        path = Path(self.folder) / "plan.json"
        path.write_text(json.dumps(asdict(self)))
        return path

    @classmethod
    def read(cls, path: Path) -> Plan:
        fields = json.loads(path.read_text())
        return cls(**{**fields, "providers": tuple(fields["providers"])})

    def answers(self, part: int) -> Path:
        """Where the process that asks for one part of the requests writes down what it was told."""
        return Path(self.folder) / f"answers-{part}.txt"

    def rules(self) -> RuleBook:
        """Limits that a good part of the requests passes."""
        scale = self.count / (self.agents * _USUAL_REQUESTS)
        agents = {}
        for index in range(self.agents):
            most, daily, asked = _KINDS[index % len(_KINDS)]
            name = _agent(index)
            daily_limit = max(int(daily * scale * USDC), most * USDC)
            agents[name] = AgentRules(
                name,
                name,
                spending_limit=most * USDC,
                daily_limit=daily_limit,
                requires_approval=asked * USDC,
            )
        total = self.count * USDC * 4
        categories = {name: CategoryRules(total // 4) for name in _CATEGORIES}
        return RuleBook(
            total_budget=total,
            agents=agents,
            categories=categories | {"other": CategoryRules()},
            providers=frozenset(self.providers),
            approvals=ApprovalRules(seconds=20),
        )

    def wanted(self, number: int) -> SpendingRequest:
        """The request of this number: always the same one."""
        dice = random.Random(f"{self.seed}/{number}")
        if number >= self.agents and dice.random() < _AGAIN:
            return self.wanted(number - self.agents)  # the same agent's
        most = _KINDS[number % self.agents % len(_KINDS)][0]
        amount = dice.randint(50_000, int(most * USDC * 1.05))
        category = dice.choices((*_CATEGORIES, None, "gifts"), (30, 30, 20, 15, 4, 1))[0]
        provider = self.stranger if dice.random() < 0.02 else dice.choice(self.providers)
        return SpendingRequest(_agent(number % self.agents), amount, provider, "soak", category, f"k{number}")


def _agent(index: int) -> str:
    return f"agent-{index:03d}"


def patiently(work: Callable[[], _T]) -> _T:
    """What `work` returns, which is tried again while the store is too busy: with many processes on one file, and few
    processors, somebody waits too long now and then.
    """
    for _ in range(_TRIES):
        try:
            return work()
        except StoreBusy:
            time.sleep(_PAUSE)
    return work()


class Market:
    """The treasury of a plan, as one process has it: with its key, or only to decide and look."""

    def __init__(self, plan: Plan, private_key: str) -> None:
        self.plan = plan
        self.store = open_store(Path(plan.folder) / "ledger.db")
        node = HttpTransport(plan.url)
        self.client = ACTPClient(connect(node, CHAIN_ID), LocalSigner(private_key), store=self.store)
        self.store.bind(CHAIN_ID, self.client.genesis)
        self.account = Account(CHAIN_ID, self.client.address)
        self.ledger = open_ledger(self.store)
        self.authority = Authority(self.ledger, self.account, token=self.client.token.address)

    @cached_property
    def payer(self) -> Payer:
        kernel = self.client.kernel
        return Payer(CHAIN_ID, self.client.address, kernel.address, kernel.limits)
