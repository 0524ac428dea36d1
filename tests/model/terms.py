"""What a requester may agree on beyond generation G1, as the calls carry it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.model.kernel_core import USUAL_TIMEOUT_BPS, Id
from tests.model.token_model import ZERO, Account


@dataclass(frozen=True)
class Order:
    provider: Account
    amount: int
    deadline: int
    window: int
    service_hash: Id
    salt: Id

    def words(self) -> tuple[Any, ...]:
        """In the order of the struct."""
        return (self.provider, self.amount, self.deadline, self.window, self.service_hash, self.salt)


@dataclass(frozen=True)
class Milestone:
    amount: int
    deadline: int
    condition_hash: Id

    def words(self) -> tuple[Any, ...]:
        return (self.amount, self.deadline, self.condition_hash)


@dataclass(frozen=True)
class Clauses:
    arbiter: Account = ZERO
    timeout_requester_bps: int = USUAL_TIMEOUT_BPS
    agents: tuple[int, int] = (0, 0)
    milestones: tuple[Milestone, ...] = ()

    def words(self) -> tuple[Any, ...]:
        milestones = [milestone.words() for milestone in self.milestones]
        return (self.arbiter, self.timeout_requester_bps, *self.agents, milestones)


@dataclass(frozen=True)
class Permit:
    """An allowance for the vault, and who signed it over which nonce of the token."""

    value: int
    deadline: int
    signer: Account
    nonce: int


@dataclass(frozen=True)
class Authorization:
    """A transfer to the vault and who signed it for exactly these terms; None for nobody."""

    valid_after: int
    valid_before: int
    signer: Account | None


@dataclass
class BatchOutcome:
    """What a batch has to report."""

    done: int = 0
    skipped: list[tuple[Id, int, frozenset[str]]] = field(default_factory=list)
    """Item, its index, and the errors that it alone could meet."""
    sent: dict[Account, int] = field(default_factory=dict)
    """What left the vault in one transfer each."""
