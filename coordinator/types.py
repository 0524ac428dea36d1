"""Data that flows between the coordinator's rooms: frozen, typed, no I/O.

Amounts are ints in base units of their asset (wei, USDC with 6 decimals), addresses carry their EIP-55 checksum, hashes
are 0x hex of 66 characters, times are unix seconds: chain times by the chain's clock, `*_at` by the store's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

__all__ = [
    "ETH",
    "TRANSITIONS",
    "AllowanceChange",
    "BlockRef",
    "Call",
    "Decision",
    "Effects",
    "IntentType",
    "Movement",
    "Operation",
    "Reason",
    "RiskTier",
    "Ruling",
    "Simulation",
    "Stage",
    "Subject",
    "may_move",
]

ETH = "ETH"
"""The asset that is the chain's own coin; every other asset is the address of its token."""


class Stage(StrEnum):
    """How far an operation is. CONFIRMED and FAILED end it, unless a reorganisation takes its block back."""

    PENDING = "pending"
    """Recorded and valid in itself."""
    SIMULATING = "simulating"
    """Built, and run against the newest state without being sent."""
    POLICY_EVAL = "policy_eval"
    """The rules look at it."""
    APPROVAL_GATE = "approval_gate"
    """Waits for somebody's yes."""
    SIGNING = "signing"
    """Handed to the engine, which chooses nonce and fees and signs it."""
    SUBMITTING = "submitting"
    """Signed bytes are stored and may be mined."""
    CONFIRMED = "confirmed"
    """Mined, succeeded, and every balance is explained."""
    FAILED = "failed"
    """Ended at the stage `failed_at`, for the reason `code`."""


TRANSITIONS: Mapping[Stage, frozenset[Stage]] = MappingProxyType(
    {
        # Queries need no simulation, no policy and no signature.
        Stage.PENDING: frozenset({Stage.SIMULATING, Stage.CONFIRMED, Stage.FAILED}),
        Stage.SIMULATING: frozenset({Stage.POLICY_EVAL, Stage.FAILED}),
        Stage.POLICY_EVAL: frozenset({Stage.APPROVAL_GATE, Stage.SIGNING, Stage.FAILED}),
        # What was approved is simulated and evaluated again, against what is true by then.
        Stage.APPROVAL_GATE: frozenset({Stage.SIMULATING, Stage.FAILED}),
        # What had to wait before it was signed is simulated and evaluated again too.
        Stage.SIGNING: frozenset({Stage.SUBMITTING, Stage.SIMULATING, Stage.FAILED}),
        Stage.SUBMITTING: frozenset({Stage.CONFIRMED, Stage.FAILED}),
        # Only when the block that decided it is gone.
        Stage.CONFIRMED: frozenset({Stage.SUBMITTING}),
        Stage.FAILED: frozenset({Stage.SUBMITTING}),
    }
)
"""Every change of stage that there is."""


def may_move(before: Stage, after: Stage) -> bool:
    """Whether an operation may go from one stage to the other."""
    return after in TRANSITIONS[before]


class IntentType(StrEnum):
    """What can be asked for."""

    TRANSFER_ETH = "transfer_eth"
    TRANSFER_ERC20 = "transfer_erc20"
    APPROVE_ERC20 = "approve_erc20"
    """The vault's standing allowance: what funding an escrow draws on."""
    CREATE_ESCROW = "create_escrow"
    CREATE_ESCROW_BATCH = "create_escrow_batch"
    """Several escrows in one eth transaction, all of them or none."""
    ACCEPT_ESCROW = "accept_escrow"
    DELIVER_ESCROW = "deliver_escrow"
    RELEASE_ESCROW = "release_escrow"
    REFUND_ESCROW = "refund_escrow"
    DISPUTE_ESCROW = "dispute_escrow"
    RESOLVE_DISPUTE = "resolve_dispute"
    SETTLE_BY_CONSENT = "settle_by_consent"
    """Ended by a split that both parties want."""
    CREATE_MILESTONE_ESCROW = "create_milestone_escrow"
    RELEASE_MILESTONE = "release_milestone"
    SETTLE_ESCROW_BATCH = "settle_escrow_batch"
    """Whatever is due of several escrows, in one eth transaction, each provider paid once."""
    CLOSE_DISPUTE = "close_dispute"
    """Ended by its time-out, as nobody ruled on it."""
    WITHDRAW_CREDIT = "withdraw_credit"
    """What the token once refused to pay somebody, or a bond that was not needed, to its owner."""
    WITHDRAW_FEES = "withdraw_fees"
    QUERY_BALANCE = "query_balance"
    QUERY_POSITIONS = "query_positions"

    @property
    def query(self) -> bool:
        """Whether it only reads."""
        return self in (IntentType.QUERY_BALANCE, IntentType.QUERY_POSITIONS)


class Ruling(StrEnum):
    """What the policy says."""

    ALLOW = "allow"
    REQUIRE_APPROVAL = "require_approval"
    DENY = "deny"


class RiskTier(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a rule did not simply allow it: the rule's name, a sentence, and where there are numbers the limit and what
    this operation would make of it.
    """

    rule: str
    message: str
    ruling: Ruling
    limit: int | None = None
    used: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What the policy of this version says, and every reason for it."""

    ruling: Ruling
    risk_tier: RiskTier
    reasons: tuple[Reason, ...]
    policy_version: str


@dataclass(frozen=True, slots=True)
class Call:
    """What is sent: `value` in wei."""

    to: str
    data: bytes = field(default=b"", repr=False)
    value: int = 0

    @property
    def selector(self) -> str:
        """The first four bytes as 0x hex; "0x" for a plain transfer."""
        return "0x" + self.data[:4].hex()


@dataclass(frozen=True, slots=True)
class Movement:
    """So many base units of an asset go from one account to another.

    `creditable`: the token may refuse it, and the kernel notes a debt instead: a payment's payee gets a credit at the
    vault, and who should post a bond owes it, which uses up no allowance either.
    """

    asset: str
    source: str
    target: str
    amount: int
    creditable: bool = False


@dataclass(frozen=True, slots=True)
class AllowanceChange:
    """An owner's allowance to a spender: set to `to`, or, if that is None, used up by `used`."""

    token: str
    owner: str
    spender: str
    to: int | None = None
    used: int = 0


@dataclass(frozen=True, slots=True)
class Effects:
    """What must happen, to the last unit, besides the fee of the eth transaction."""

    movements: tuple[Movement, ...] = ()
    allowances: tuple[AllowanceChange, ...] = ()


@dataclass(frozen=True, slots=True)
class Subject:
    """What an operation is about, for policy and index: the asset and amount that leave the wallet (0 if none does),
    to whom they go in the end, and the ACTP transaction.

    `locks`: the amount goes into an escrow first, out of which some of it may come back.
    """

    asset: str
    amount: int
    counterparty: str | None = None
    transaction_id: str | None = None
    locks: bool = False


@dataclass(frozen=True, slots=True)
class Simulation:
    """What a call did when it was run on the state of `block` without being sent.

    `logs` are (address, topics, data) as the node tells them; empty, and `has_logs` false, where it tells none.
    """

    ok: bool
    block: BlockRef
    gas: int | None = None
    has_logs: bool = False
    logs: tuple[tuple[str, tuple[str, ...], str], ...] = ()
    code: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class BlockRef:
    """A block, by number and hash."""

    number: int
    hash: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One intent on its way through the stages: a row of the store.

    `wallet` is the account that signs, `key` the caller's idempotency key within (wallet, agent). `code` and `reason`
    say why it failed, or what it waits for; `outbox_id` is the engine's number for it, `transaction_id` the ACTP
    transaction that it is about. `decided_at` is when it was last allowed.
    """

    id: int
    trace_id: str
    chain_id: int
    wallet: str
    agent: str
    key: str
    type: IntentType
    intent: Mapping[str, Any] = field(repr=False)
    body_hash: str
    stage: Stage
    created_at: float
    updated_at: float
    failed_at: Stage | None = None
    code: str | None = None
    reason: str | None = None
    transaction_id: str | None = None
    outbox_id: int | None = None
    tx_hash: str | None = None
    block: BlockRef | None = None
    confirmed_at: float | None = None
    result: Mapping[str, Any] | None = field(default=None, repr=False)
    decided_at: float | None = None
