"""What the guard is told, what it remembers, and what it says: data without I/O.

Addresses carry their EIP-55 checksum, hashes are 0x hex in lower case. `as_json` gives plain data that
`coordinator.canonical` can write (amounts as decimal strings), `from_json` reads it back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from coordinator.types import BlockRef, Effects

__all__ = [
    "Allowance",
    "Due",
    "Examination",
    "Finding",
    "Holding",
    "Kind",
    "Place",
    "Point",
    "Rederive",
    "Scope",
    "Sent",
    "State",
    "TxVerdict",
    "Verdict",
    "Watched",
    "block_from_json",
    "block_json",
]

Holding = tuple[str, str]
"""(account, asset)"""
Allowance = tuple[str, str, str]
"""(token, owner, spender)"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an eth transaction was mined: as number `index` (from 0) of `block`, whose parent is `parent`."""

    parent: BlockRef
    block: BlockRef
    index: int


Rederive = Callable[[Place], Effects]
"""What an eth transaction that was mined there had to do, given the state of the parent and what those before it in the
block did. Raises RpcError or RpcUnavailable if it cannot tell.
"""
Due = Callable[[Place], Effects | None]
"""What somebody else's eth transaction that was mined there had to pay, by terms that others may carry out for us, such
as those of an escrow; None where there are none. Raises as Rederive.
"""


@dataclass(frozen=True, slots=True)
class Watched:
    """What is guarded: accounts, for ETH and each of the tokens, and their allowances to each of the spenders."""

    accounts: tuple[str, ...]
    tokens: tuple[str, ...] = ()
    spenders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sent:
    """What an account of ours has signed and nobody has verified yet.

    An eth transaction has a nonce, and `tx_hashes` has every signature of that nonce: whichever is mined, counts.
    Effects() is one that costs its fee and does nothing else, as a fill does.
    With nonce None it is a signature that others may carry out once (a permit, an authorization): its effects must be
    all that the eth transaction which uses it does to the accounts that it names.
    `rederive` is asked when the receipt shows other effects than these: somebody else may have changed, before it was
    mined, what this call does.
    `values` is the wei that each signature carries, by its hash, as far as its bytes are at hand: they say it for sure.
    """

    operation_id: int | None
    sender: str
    nonce: int | None
    tx_hashes: tuple[str, ...]
    effects: Effects = field(default_factory=Effects)
    rederive: Rederive | None = field(default=None, compare=False, repr=False)
    values: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class State:
    """What the chain says about what is guarded, after one block. Missing entries are not known.

    `codes` are "0x" for a plain account, the whole code while it is a delegation (EIP-7702), else its Keccak-256.
    """

    balances: Mapping[Holding, int] = field(default_factory=dict)
    nonces: Mapping[str, int] = field(default_factory=dict)
    allowances: Mapping[Allowance, int] = field(default_factory=dict)
    codes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Point:
    """How far everything is verified: up to and including this block, which left this state."""

    block: BlockRef
    state: State

    def as_json(self) -> dict[str, Any]:
        state = self.state
        return {
            "block": block_json(self.block),
            "balances": [[*key, str(value)] for key, value in sorted(state.balances.items())],
            "nonces": dict(state.nonces),
            "allowances": [[*key, str(value)] for key, value in sorted(state.allowances.items())],
            "codes": dict(state.codes),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Point:
        """The point of which this is the JSON. Raises KeyError, ValueError or TypeError for anything else."""
        return cls(
            block_from_json(value["block"]),
            State(
                {(account, asset): int(amount) for account, asset, amount in value["balances"]},
                {account: int(nonce) for account, nonce in value["nonces"].items()},
                {(token, owner, spender): int(left) for token, owner, spender, left in value["allowances"]},
                dict(value["codes"]),
            ),
        )


class Verdict(StrEnum):
    """What is true of one eth transaction."""

    OK = "ok"
    """Everything that it did is known, and is what was signed."""
    BREACH = "breach"
    """It did something else, or what it cost is more than can be explained."""
    INCOMPLETE = "incomplete"
    """The node did not tell enough to say either: this is not ok."""


class Scope(StrEnum):
    """Between which states the balances were compared."""

    BLOCK = "block"
    """Those before and after the block that mined it."""
    SPAN = "span"
    """Those around several blocks, because states in between are gone."""


class Kind(StrEnum):
    """What was found."""

    EFFECTS_DIFFER = "effects_differ"
    """Our eth transaction moved something else than its intent says."""
    UNEXPLAINED_LOSS = "unexplained_loss"
    """An account of ours has less than all that is known to have happened leaves it."""
    RECEIVED_LESS = "received_less"
    """Whom we paid has less than the token says it moved."""
    OUTFLOW = "outflow"
    """Somebody else's eth transaction took tokens from an account of ours, and nothing that we signed allows it."""
    KEY_USED = "key_used"
    """A nonce of ours was used by something that the engine did not sign."""
    APPROVAL = "approval"
    """An allowance of ours was granted by something that the engine did not sign, or not as signed."""
    ALLOWANCE_CHANGED = "allowance_changed"
    """An allowance is not what it was, changed by what we signed."""
    CODE_CHANGED = "code_changed"
    """An account of ours runs other code than before: of a plain account, a delegation (EIP-7702)."""
    TERMS_DIFFER = "terms_differ"
    """Somebody else's eth transaction paid us less than the terms say that it carries out."""
    RECEIVED = "received"
    """Somebody else's eth transaction paid us: a settlement, a transfer, dust."""
    GIFT = "gift"
    """An account of ours has more than can be explained."""
    INCOMPLETE = "incomplete"
    """The node did not tell something that is needed to judge."""

    @property
    def breach(self) -> bool:
        """Whether the account must not sign anything more until a person has looked."""
        return self not in (Kind.RECEIVED, Kind.GIFT, Kind.INCOMPLETE)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was found in the blocks after `since` up to and including `block`.

    `account` is ours; `amount` is how much of `asset` (never negative), `tx_hash` the eth transaction if one is known
    (of several, the first), `operation_id` ours.
    """

    kind: Kind
    message: str
    account: str | None
    block: BlockRef
    since: int
    asset: str | None = None
    amount: int | None = None
    tx_hash: str | None = None
    operation_id: int | None = None

    @property
    def breach(self) -> bool:
        return self.kind.breach

    def as_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind.value,
            "message": self.message,
            "account": self.account,
            "block": block_json(self.block),
            "since": self.since,
            "asset": self.asset,
            "amount": None if self.amount is None else str(self.amount),
            "tx_hash": self.tx_hash,
            "operation_id": self.operation_id,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Finding:
        """The finding of which this is the JSON."""
        return cls(
            Kind(value["kind"]),
            value["message"],
            value["account"],
            block_from_json(value["block"]),
            value["since"],
            value["asset"],
            None if value["amount"] is None else int(value["amount"]),
            value["tx_hash"],
            value["operation_id"],
        )


@dataclass(frozen=True, slots=True)
class TxVerdict:
    """The verdict on one eth transaction, mined in `block`, and its evidence as JSON data.

    `expected` (E): {"deltas": {asset: {account: change}}, "allowances": [...]} of the signed intent, without the fee.
    `receipt` (R): status, fee (null where the node does not tell all of it), l1_fee, operator_fee, and deltas of the
    same form.
    `balances` (B): the numbers of the blocks `before` and `after`, the deltas of our accounts and of those we paid
    between them, and as `residual` what of that is not explained by anything known to have happened.
    `variance_bps` is how far R or B is from E, in basis points of E: for people, no rule looks at it.
    """

    operation_id: int | None
    sender: str
    nonce: int | None
    tx_hash: str
    block: BlockRef
    verdict: Verdict
    scope: Scope
    succeeded: bool
    expected: Mapping[str, Any] = field(repr=False)
    receipt: Mapping[str, Any] = field(repr=False)
    balances: Mapping[str, Any] = field(repr=False)
    variance_bps: int = 0
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "operation_id": self.operation_id,
            "sender": self.sender,
            "nonce": self.nonce,
            "tx_hash": self.tx_hash,
            "block": block_json(self.block),
            "verdict": self.verdict.value,
            "scope": self.scope.value,
            "succeeded": self.succeeded,
            "expected": self.expected,
            "receipt": self.receipt,
            "balances": self.balances,
            "variance_bps": self.variance_bps,
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TxVerdict:
        """The verdict of which this is the JSON."""
        return cls(
            value["operation_id"],
            value["sender"],
            value["nonce"],
            value["tx_hash"],
            block_from_json(value["block"]),
            Verdict(value["verdict"]),
            Scope(value["scope"]),
            value["succeeded"],
            value["expected"],
            value["receipt"],
            value["balances"],
            value["variance_bps"],
            tuple(value["notes"]),
        )


@dataclass(frozen=True, slots=True)
class Examination:
    """What came of a look at the chain: store `point` in the same commit as all the rest.

    `reorged`: the block of the point that was handed over is no longer on the chain; nothing was examined. Ask again
    with an older one, and with all that was sent since: verdicts after it are void.
    """

    point: Point
    verdicts: tuple[TxVerdict, ...] = ()
    findings: tuple[Finding, ...] = ()
    reorged: bool = False

    @property
    def breached(self) -> tuple[Finding, ...]:
        """The findings for which to pause: there is one behind every verdict that is a breach, too."""
        return tuple(finding for finding in self.findings if finding.kind.breach)


def block_json(block: BlockRef) -> dict[str, Any]:
    """A block as JSON data."""
    return {"number": block.number, "hash": block.hash}


def block_from_json(value: Mapping[str, Any]) -> BlockRef:
    """The block of which this is the JSON."""
    return BlockRef(int(value["number"]), str(value["hash"]))
