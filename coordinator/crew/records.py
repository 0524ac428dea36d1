"""What a run reports, in the order in which it happens: Opening, then Moments with Steps and vault lines, then Report.

Amounts are base units of USDC, times are unix seconds of the chain, names are those that the scenario gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from actp.types import State
from coordinator.crew.outcome import Rates
from coordinator.crew.plan import Action
from coordinator.crew.statements import Books
from coordinator.types import IntentType
from coordinator.types import Stage as OperationStage

__all__ = [
    "Account",
    "Audit",
    "BalanceLine",
    "Decision",
    "Event",
    "Moment",
    "Opening",
    "OperationLine",
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
    denied_ids: tuple[str, ...]
    started_at: int
    minted: int


@dataclass(frozen=True, slots=True)
class Moment:
    """The chain's clock has moved on: `passed_seconds` since the moment before, 0 at the start."""

    at: int
    passed_seconds: int


class Decision(StrEnum):
    """What the coordinator has answered, or has come to."""

    GRANTED = "granted"
    WAITING = "waiting"
    DENIED = "denied"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that someone did, as the chain or the coordinator shows it afterwards.

    `amount` is what the step is about, `text` the purpose of a request or the reason of a dispute or of a no.
    `decision` is the coordinator's, and of a denial `rule` names the rule and `reason` is its sentence; `category` is
    that of a request. `purchase_id` may be that of a request that is denied. `paid_to_treasury`,
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
    category: str | None = None
    decision: Decision | None = None
    rule: str | None = None
    reason: str = ""


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
class OperationLine:
    """One operation of the treasury: how it ended, the delta guard's verdict, and what verifying its proof told.

    `purchase_id` is None for what the lifecycle asked for itself. `change` is what the eth transaction did to the
    treasury's USDC, `proof` the link's number in the chain of proofs, `checks` how many were right; `mined_as_proved`
    says that the proof is about this operation and that the blockchain has the same receipt.
    """

    id: int
    purchase_id: str | None
    type: IntentType
    agent: str
    key: str
    stage: OperationStage
    tx_hash: str | None
    verdict: str | None
    change: int
    proof: int | None
    proof_hash: str | None
    checks: int
    mined_as_proved: bool
    wrong: tuple[str, ...] = ()
    not_checked: tuple[str, ...] = ()

    @property
    def guarded(self) -> bool:
        """Whether it did what was signed and nothing else, to the last unit."""
        return self.stage is OperationStage.CONFIRMED and self.verdict == "ok"

    @property
    def proved(self) -> bool:
        """Whether its proof says what the blockchain says."""
        return self.mined_as_proved and not self.wrong


@dataclass(frozen=True, slots=True)
class Audit:
    """What the treasury's ledger says at the end, and whether the blockchain agrees.

    The proofs are one chain, signed by `signer` and verified from its first link to its last: what is in `wrong` is not
    so, and what is in `not_checked` nobody could tell. `breaches` are the delta guard's findings, `received` is what
    others paid to the treasury, `guarded_to` the block up to which it has examined everything. `store` is the ledger's
    file, None if it was in memory.
    """

    operations: tuple[OperationLine, ...]
    signer: str
    wrong: tuple[str, ...]
    not_checked: tuple[str, ...]
    breaches: tuple[str, ...]
    received: int
    guarded_to: int
    newest_block: int
    store: Path | None = None

    @property
    def checks(self) -> int:
        """How many checks of the operations' proofs were right."""
        return sum(line.checks for line in self.operations)

    @property
    def explained(self) -> int:
        """The change of the treasury's USDC that verdicts and findings add up to."""
        return sum(line.change for line in self.operations) + self.received

    @property
    def guarded(self) -> bool:
        """Whether every operation did what was signed, and nothing else happened to the treasury."""
        return (
            all(line.guarded for line in self.operations) and not self.breaches and self.guarded_to == self.newest_block
        )

    @property
    def proved(self) -> bool:
        """Whether every proof was verified against the blockchain."""
        return not self.wrong and all(line.proved for line in self.operations)

    def of(self, purchase_id: str | None) -> tuple[OperationLine, ...]:
        """The operations of a purchase, or those of none."""
        return tuple(line for line in self.operations if line.purchase_id == purchase_id)


@dataclass(frozen=True, slots=True)
class Report:
    """The whole run."""

    opening: Opening
    steps: tuple[Step, ...]
    vault_lines: tuple[VaultLine, ...]
    purchases: tuple[PurchaseLine, ...]
    balances: tuple[BalanceLine, ...]
    books: Books
    audit: Audit

    @property
    def total_after(self) -> int:
        """All balances together."""
        return sum(line.after for line in self.balances)

    @property
    def nothing_lost(self) -> bool:
        """Whether all balances together are what was minted."""
        return self.total_after == self.opening.minted

    @property
    def unexplained(self) -> int:
        """What the treasury has beyond what verdicts and findings add up to, in base units."""
        (line,) = (line for line in self.balances if line.account.role == "treasury")
        return line.after - line.before - self.audit.explained

    @property
    def unproved(self) -> tuple[str, ...]:
        """The ids of purchases without an operation, or with one that is not guarded or not proved."""
        return tuple(
            line.purchase_id
            for line in self.purchases
            if not (of := self.audit.of(line.purchase_id)) or not all(one.guarded and one.proved for one in of)
        )

    @property
    def ok(self) -> bool:
        """Whether every balance and every budget is what the scenario says, none is missing, the vault was never short
        or over, ledger and chain agree, and every operation of the treasury is guarded and proved.
        """
        return (
            self.nothing_lost
            and self.books.ok
            and self.audit.guarded
            and self.audit.proved
            and not self.unexplained
            and not self.unproved
            and all(line.difference == 0 for line in self.balances)
            and all(line.ok for line in self.vault_lines)
        )


Event = Opening | Moment | Step | VaultLine | Report
