"""What a run reports, in the order in which it happens: Opening, then Moments with Steps and vault lines, then Report.

Amounts are base units of USDC, times are unix seconds of the chain, names are those that the scenario gives.
"""

from __future__ import annotations

from dataclasses import dataclass

from actp.types import State
from coordinator.crew.outcome import Rates
from coordinator.crew.plan import Action

__all__ = [
    "Account",
    "BalanceLine",
    "Event",
    "Moment",
    "Opening",
    "PurchaseLine",
    "Report",
    "Step",
    "VaultLine",
]


@dataclass(frozen=True, slots=True)
class Account:
    """An address that takes part. `role` is treasury, provider, bot, arbiter, fee_recipient or vault."""

    name: str
    role: str
    address: str


@dataclass(frozen=True, slots=True)
class Opening:
    """Who takes part, where and on which terms, before anything is bought. `minted` is all the USDC that there is."""

    title: str
    chain_id: int
    kernel: str
    vault: str
    token: str
    rates: Rates
    accounts: tuple[Account, ...]
    agents: tuple[str, ...]
    purchase_ids: tuple[str, ...]
    started_at: int
    minted: int


@dataclass(frozen=True, slots=True)
class Moment:
    """The chain's clock has moved on: `passed_seconds` since the moment before, 0 at the start."""

    at: int
    passed_seconds: int


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that someone did, as the chain shows it afterwards.

    `amount` is what the step is about, `text` the purpose of an order or the reason of a dispute. `paid_to_treasury`,
    `paid_to_provider` and `credited` are changes of balances and of the provider's credit, measured around a step that
    pays out of an escrow; `fee` is what the platform accrued in it. A step of a batch is about all its `copies`, and
    `transaction_id` is that of the first.
    """

    at: int
    action: Action
    actor: str
    amount: int | None = None
    purchase_id: str | None = None
    agent: str | None = None
    provider: str | None = None
    state: State | None = None
    transaction_id: str | None = None
    text: str = ""
    window_ends_at: int | None = None
    provider_at_fault: bool | None = None
    fee: int = 0
    paid_to_treasury: int = 0
    paid_to_provider: int = 0
    credited: int = 0
    copies: int = 1


@dataclass(frozen=True, slots=True)
class VaultLine:
    """What the vault holds and what it owes, both read from the chain."""

    balance: int
    escrows: int
    bonds: int
    credits: int
    fees: int

    @property
    def liabilities(self) -> int:
        """All that the vault owes."""
        return self.escrows + self.bonds + self.credits + self.fees

    @property
    def ok(self) -> bool:
        """Whether it holds that, no more and no less."""
        return self.balance == self.liabilities


@dataclass(frozen=True, slots=True)
class PurchaseLine:
    """How one purchase ended."""

    purchase_id: str
    agent: str
    provider: str
    amount: int
    state: State
    transaction_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BalanceLine:
    """An account's balance before the run, what the scenario says it must be, and what it is."""

    account: Account
    before: int
    expected: int
    after: int

    @property
    def difference(self) -> int:
        """How far the chain is from the scenario, in base units."""
        return self.after - self.expected


@dataclass(frozen=True, slots=True)
class Report:
    """The whole run."""

    opening: Opening
    steps: tuple[Step, ...]
    vault_lines: tuple[VaultLine, ...]
    purchases: tuple[PurchaseLine, ...]
    balances: tuple[BalanceLine, ...]

    @property
    def total_after(self) -> int:
        """All balances together."""
        return sum(line.after for line in self.balances)

    @property
    def nothing_lost(self) -> bool:
        """Whether all balances together are what was minted."""
        return self.total_after == self.opening.minted

    @property
    def ok(self) -> bool:
        """Whether every balance is what the scenario says, none is missing, and the vault was never short or over."""
        return (
            self.nothing_lost
            and all(line.difference == 0 for line in self.balances)
            and all(line.ok for line in self.vault_lines)
        )


Event = Opening | Moment | Step | VaultLine | Report
