"""What the budget's parts say to one another: frozen, typed, no I/O.

Amounts are ints in base units of their `unit`: the address of a token, ETH (then wei), or REQUESTS (then a number of
requests). All of them fit a signed 64-bit integer, as the cells' columns do. Times are unix seconds by the database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

__all__ = [
    "FOR_EVER",
    "LARGEST",
    "OPEN_STATES",
    "REQUESTS",
    "STATE_CHANGES",
    "Answer",
    "Ask",
    "Charge",
    "Denial",
    "Period",
    "Placed",
    "Reservation",
    "ReservationState",
    "Ruled",
    "Scope",
    "ScopeKind",
]

LARGEST = 2**63 - 1
"""The largest amount of anything; what is not limited has it as its cap."""

FOR_EVER = 0
"""The start of the only window of a scope that never starts again."""

REQUESTS = "requests"
"""The unit of scopes that count requests."""


class Period(StrEnum):
    """How often a limit starts again. All calendar periods are UTC."""

    EVER = "ever"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    """From Monday."""
    MONTH = "month"
    ROLLING_DAY = "rolling_day"
    """The last 24 hours, in hourly buckets, of which the oldest counts in full."""


class ScopeKind(StrEnum):
    """What a limit applies to. `key` names which one of its kind."""

    TOTAL = "total"
    AGENT = "agent"
    CATEGORY = "category"
    TREASURY = "treasury"
    """What lies in the wallet and is not promised yet: its limit is the balance that was seen last."""
    GAS = "gas"
    """The chain's own coin, as a budget."""


class Scope(NamedTuple):
    """What a limit applies to: unique within a wallet of a chain."""

    kind: ScopeKind
    key: str
    period: Period
    unit: str


class Charge(NamedTuple):
    """So much of a scope's budget. `limit` is what applies now, None if it is only counted; `rule` is what a denial
    names.
    """

    scope: Scope
    amount: int
    limit: int | None
    rule: str


class Placed(NamedTuple):
    """A charge on its cell: which a reservation remembers, so that whatever becomes of it lands where it came from.

    `bucket` is the hour of a rolling window, else 0.
    """

    scope_id: int
    window_start: int
    amount: int
    bucket: int = 0


@dataclass(frozen=True, slots=True)
class Denial:
    """Why not: the rule, a sentence, and where there are numbers the limit and what is used of it already."""

    rule: str
    message: str
    limit: int | None = None
    used: int | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """A request that is well-formed: what an agent wants to buy.

    `key` is the agent's idempotency key, `body_hash` stands for everything that must be equal when it is used again.
    `number` is the escrow's number derived from the key, `transaction_id` the ACTP transaction that it will have.
    `terms` is what else was asked for: deadline_seconds, dispute_window, terms, quoted_amount, quoted_at, service and
    require_approval.
    """

    agent: str
    key: str
    provider: str
    amount: int
    category: str
    purpose: str
    body_hash: str
    number: int
    transaction_id: str
    terms: Mapping[str, Any] = field(default_factory=dict)
    approval_demanded: bool = False


@dataclass(frozen=True, slots=True)
class Ruled:
    """What the rules say that need no cell: a denial, or what is to be charged and how many must say yes first."""

    rulebook: int
    """The version of the rules."""
    denial: Denial | None = None
    charges: tuple[Charge, ...] = ()
    approvals: int = 0
    approval_seconds: float = 0.0


class ReservationState(StrEnum):
    """How far a request is. What is DENIED holds nothing."""

    DENIED = "denied"
    PENDING_APPROVAL = "pending_approval"
    HELD = "held"
    """Granted; nothing is signed."""
    SUBMITTING = "submitting"
    """Signed: only the chain can say what becomes of it."""
    ON_CHAIN = "on_chain"
    """In a block that is not final."""
    COMMITTED = "committed"
    """Spent, finally. What the escrow gives back later returns to the budget."""
    RELEASED = "released"
    """Nothing was spent, finally, and nothing is held."""
    EXPIRED = "expired"
    """Nobody has answered in time; nothing is held."""


_S = ReservationState

OPEN_STATES = frozenset({_S.PENDING_APPROVAL, _S.HELD, _S.SUBMITTING, _S.ON_CHAIN})
"""States that hold budget."""

STATE_CHANGES: Mapping[ReservationState, frozenset[ReservationState]] = MappingProxyType(
    {
        _S.DENIED: frozenset(),
        # RELEASED: somebody said no, or today's limits do.
        _S.PENDING_APPROVAL: frozenset({_S.HELD, _S.RELEASED, _S.EXPIRED}),
        _S.HELD: frozenset({_S.SUBMITTING, _S.ON_CHAIN, _S.COMMITTED, _S.RELEASED, _S.EXPIRED}),
        # HELD: what was signed has ended in vain, and it is tried again.
        _S.SUBMITTING: frozenset({_S.HELD, _S.ON_CHAIN, _S.COMMITTED, _S.RELEASED}),
        # SUBMITTING: its block is gone.
        _S.ON_CHAIN: frozenset({_S.SUBMITTING, _S.COMMITTED, _S.RELEASED}),
        _S.COMMITTED: frozenset(),
        _S.RELEASED: frozenset(),
        _S.EXPIRED: frozenset(),
    }
)
"""Every change of state that there is."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one request when it was decided, or of the first one with its key (`replayed`)."""

    reservation_id: int
    state: ReservationState
    transaction_id: str
    denial: Denial | None = None
    approval_id: str | None = None
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Reservation:
    """A request and the budget that it holds: a row of the store. `actual` is what was spent at finality, `returned`
    what came back later, `gas` what was reserved for fees in wei, `placed` the cells that it is charged to.
    """

    id: int
    chain_id: int
    wallet: str
    agent: str
    key: str
    body_hash: str
    provider: str
    category: str
    amount: int
    purpose: str | None
    terms: Mapping[str, Any] = field(repr=False)
    number: int
    transaction_id: str
    rulebook: int
    state: ReservationState
    created_at: float
    updated_at: float
    placed: tuple[Placed, ...] = field(default=(), repr=False)
    denial: Denial | None = None
    actual: int | None = None
    returned: int = 0
    gas: int = 0
    promised: bool = False
    """The treasury's balance that was observed last does not show its funding yet: cells of the treasury hold it."""
    operation_id: int | None = None
    settled: bool = False
    """Nothing more will come back out of its escrow."""
