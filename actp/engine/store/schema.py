"""The tables. `migrations/` holds how a store of an earlier version gets them.

Amounts of wei are decimal text: they outgrow the integers of SQL. Times are seconds since 1970, written for people.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    or_,
)

__all__ = ["HEAD", "AttemptState", "IntentStatus", "attempts", "chains", "intents", "lanes", "metadata", "one_of"]

HEAD = "0002"
"""The newest revision in `migrations/versions`: what these tables are."""

_ID = BigInteger().with_variant(Integer, "sqlite")


class IntentStatus(StrEnum):
    """Where an intent stands. The chain alone moves one out of OPEN."""

    QUEUED = "queued"
    """Nothing is signed: its turn will come at `due_at`."""
    HELD = "held"
    """A gate wants somebody's approval first."""
    OPEN = "open"
    """It has a nonce, and bytes that may be mined."""
    MINED = "mined"
    """Mined in a sealed block, and succeeded."""
    FAILED = "failed"
    """Mined in a sealed block, and reverted."""
    DEAD = "dead"
    """Given up with nothing sent; `reason` says why. Can be driven again."""
    CANCELLED = "cancelled"
    """Taken back before anything was signed."""
    UNDONE = "undone"
    """Was mined on a development chain that was set back to before it."""
    UNKNOWN = "unknown"
    """Its nonce was used so long ago that no node says by whom: it may have been paid. A person has to look."""


class AttemptState(StrEnum):
    """What became of one signature."""

    SIGNED = "signed"
    """Stored. Unless a crash came between, a node has it."""
    HANDED = "handed"
    """Given to a node that did not say what became of it."""
    ACCEPTED = "accepted"
    """A node has it."""
    SEALED = "sealed"
    """In a block. A reorganisation of the chain may take it back."""
    SAFE = "safe"
    """In a block that the chain calls safe."""
    FINALIZED = "finalized"
    """In a block that is final."""
    REPLACED = "replaced"
    """Another signature of this nonce is mined: this one never will be."""
    REFUSED = "refused"
    """Every node that saw it refused it in words that prove that none took it."""


metadata = MetaData()

chains = Table(
    "chains",
    metadata,
    Column("chain_id", BigInteger, primary_key=True, autoincrement=False),
    Column("genesis", String(66), nullable=False),
    Column("kernel", String(42)),
    Column("kernel_code_hash", String(66)),
)
"""Which chain is meant by an id. A development chain that is started again has another first block."""

lanes = Table(
    "lanes",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("chain_id", BigInteger, nullable=False),
    Column("address", String(42), nullable=False),
    Column("holder", String(120)),
    Column("token", BigInteger, nullable=False),
    Column("beats", BigInteger, nullable=False),
    Column("beat_at", Float, nullable=False),
    Column("needs_hold", Boolean, nullable=False, server_default=false()),
    UniqueConstraint("chain_id", "address"),
)
"""One row per (chain, key): who writes, and with which fencing token. Where it `needs_hold`, nobody signs who does not
ask a `Hold`."""

intents = Table(
    "intents",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("lane_id", _ID, ForeignKey("lanes.id"), nullable=False),
    Column("idempotency_key", String(200), nullable=False),
    Column("body_hash", String(66), nullable=False),
    Column("kind", String(10), nullable=False),
    Column("to", String(42)),
    Column("data", LargeBinary, nullable=False),
    Column("value", String(78), nullable=False),
    Column("gas", BigInteger),
    Column("status", String(10), nullable=False),
    Column("nonce", BigInteger),
    Column("tries", Integer, nullable=False),
    Column("due_at", Float, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("code", String(40)),
    Column("reason", Text),
    Column("tx_hash", String(66)),
    UniqueConstraint("lane_id", "idempotency_key"),
    UniqueConstraint("lane_id", "nonce"),
    Index("intents_due", "lane_id", "status", "due_at"),
)
"""The outbox: what is to happen, once each."""

attempts = Table(
    "attempts",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("intent_id", _ID, ForeignKey("intents.id"), nullable=False),
    Column("lane_id", _ID, ForeignKey("lanes.id"), nullable=False),
    Column("nonce", BigInteger, nullable=False),
    Column("tx_hash", String(66), nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("gas", BigInteger, nullable=False),
    Column("max_fee", BigInteger, nullable=False),
    Column("tip", BigInteger, nullable=False),
    Column("state", String(10), nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("block_number", BigInteger),
    Column("block_hash", String(66)),
    Column("signed_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    UniqueConstraint("lane_id", "tx_hash"),
    Index("attempts_of_intent", "intent_id"),
    Index("attempts_by_state", "lane_id", "state", "nonce"),
)
"""Every signature ever made, with the token of the writer that made it."""


def one_of(column: Column[Any], values: Iterable[StrEnum]) -> ColumnElement[bool]:
    """Whether a column holds one of these; unlike SQL's IN it may stand in a statement that runs for many rows."""
    return or_(*(column == value.value for value in values))
