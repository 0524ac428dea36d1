"""What is to be sent, and what became of it: the data that the engine's parts hand to one another."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum

from actp.engine.store.schema import AttemptState, IntentStatus
from actp.types import EthTransaction

__all__ = ["TRANSFER_GAS", "Attempt", "Intent", "Job", "Kind", "Settled", "Submission"]

TRANSFER_GAS = 21_000
"""What a transfer of nothing to oneself takes."""


class Kind(StrEnum):
    """Why there is an intent."""

    CALL = "call"
    """Somebody wants it."""
    FILL = "fill"
    """A nonce that nobody uses holds up those after it: a transfer of nothing to oneself uses it."""


@dataclass(frozen=True, slots=True)
class Intent:
    """A call to be sent once. `to` is None to create a contract, `value` is in wei; without `gas` the call is simulated
    just before it is signed, and not sent if it would revert.

    The account that signs pays for the gas and is the caller; for whom the call acts is for `data` to say.
    """

    to: str | None
    data: bytes = field(default=b"", repr=False)
    value: int = 0
    gas: int | None = None

    @property
    def body_hash(self) -> str:
        """The same for the same call, and for no other."""
        parts = (self.to or "", str(self.value), "" if self.gas is None else str(self.gas))
        return "0x" + hashlib.sha256("|".join(parts).lower().encode() + b"|" + self.data).hexdigest()


@dataclass(frozen=True, slots=True)
class Job:
    """A row of the outbox. `nonce` is set while it is OPEN and from then on, `tx_hash` once it is mined."""

    id: int
    lane_id: int
    key: str
    body_hash: str
    kind: Kind
    intent: Intent
    status: IntentStatus
    nonce: int | None
    tries: int
    due_at: float
    created_at: float
    updated_at: float
    code: str | None
    reason: str | None
    tx_hash: str | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One signature of an intent, as it is stored."""

    id: int
    intent_id: int
    nonce: int
    tx_hash: str
    raw: bytes = field(repr=False)
    gas: int
    max_fee: int
    tip: int
    state: AttemptState
    block_number: int | None
    block_hash: str | None
    signed_at: float


@dataclass(frozen=True, slots=True)
class Submission:
    """A signed eth transaction that was handed to a node, or is about to be. `raw` can be broadcast any number of
    times: the chain takes it once.

    `earlier` are the signatures of the same call with the same nonce that a node found too cheap: at most one of them
    all is ever mined, and it may be any. `genesis` is the chain they were signed for, `intent_id` the outbox row.
    `cancels`: these bytes are no call, but a transfer of nothing that takes its nonce back. `signed_at` is by the
    store's clock.
    """

    sender: str
    nonce: int
    tx_hash: str
    fields: EthTransaction
    raw: bytes = field(repr=False)
    genesis: str = field(repr=False)
    earlier: tuple[Submission, ...] = ()
    intent_id: int = 0
    cancels: bool = False
    signed_at: float = field(default=0.0, compare=False)

    @property
    def first_signed_at(self) -> float:
        """When the first of these signatures was made."""
        return self.earlier[0].signed_at if self.earlier else self.signed_at

    @property
    def hashes(self) -> tuple[str, ...]:
        """The hash of every signature with this nonce, the newest first: one of them may be mined."""
        return (self.tx_hash, *(one.tx_hash for one in reversed(self.earlier)))

    @property
    def call_hashes(self) -> tuple[str, ...]:
        """Those of `hashes` under which the call itself may be mined."""
        return tuple(one.tx_hash for one in (self, *reversed(self.earlier)) if not one.cancels)


@dataclass(frozen=True, slots=True)
class Settled:
    """A job that was found in a block, under this hash."""

    intent_id: int
    nonce: int
    tx_hash: str
    block_number: int
    block_hash: str
    succeeded: bool
