"""The tables. `migrations/` holds how a database of an earlier version gets them.

They lie in the engine's database, so that one commit may change both; the prefix keeps the names apart. Amounts are
decimal text: they outgrow the integers of SQL. Texts named after what they hold are canonical JSON.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

__all__ = [
    "HEAD",
    "VERSION_TABLE",
    "approvals",
    "breaches",
    "decisions",
    "escrows",
    "journal",
    "losses",
    "metadata",
    "operations",
    "pauses",
    "peaks",
    "points",
    "proofs",
    "verdicts",
    "wallets",
]

HEAD = "0005"
"""The newest revision in `migrations/versions`: what these tables are."""

VERSION_TABLE = "coordinator_version"

metadata = MetaData()

_ID = BigInteger().with_variant(Integer, "sqlite")


def _id() -> Column[Any]:
    return Column("id", _ID, primary_key=True, autoincrement=True)


def _account(*, key: bool = False) -> list[Column[Any]]:
    return [
        Column("chain_id", BigInteger, primary_key=key, nullable=False, autoincrement=False),
        Column("wallet", String(42), primary_key=key, nullable=False),
    ]


wallets = Table(
    "co_wallets",
    metadata,
    *_account(key=True),
    Column("decisions", BigInteger, nullable=False),
    Column("proof_seq", BigInteger, nullable=False),
    Column("proof_hash", String(66), nullable=False),
)
"""One row per wallet: how many times it was decided about, and where its chain of proofs ends. Who reads the one or the
other and writes because of it changes the row only if it still is as it was read."""

operations = Table(
    "co_operations",
    metadata,
    _id(),
    Column("trace_id", String(36), nullable=False),
    *_account(),
    Column("agent", String(200), nullable=False),
    Column("key", String(200), nullable=False),
    Column("type", String(40), nullable=False),
    Column("intent", Text, nullable=False),
    Column("body_hash", String(66), nullable=False),
    Column("stage", String(20), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("failed_at", String(20)),
    Column("code", String(60)),
    Column("reason", Text),
    Column("transaction_id", String(66)),
    Column("outbox_id", BigInteger),
    Column("tx_hash", String(66)),
    Column("block_number", BigInteger),
    Column("block_hash", String(66)),
    Column("confirmed_at", Float),
    Column("result", Text),
    # What the policy counts once it is decided; `draws` is how much of the vault's allowance it uses up.
    Column("decided_at", Float),
    Column("contract", String(42)),
    Column("asset", String(42)),
    Column("amount", String(78)),
    Column("counterparty", String(42)),
    Column("locks", Boolean),
    Column("draws", String(78)),
    Column("most_fee", String(78)),
    Column("final", Boolean, nullable=False),
    UniqueConstraint("chain_id", "wallet", "agent", "key"),
    UniqueConstraint("outbox_id"),
    Index("co_operations_by_stage", "chain_id", "wallet", "stage", "final", "id"),
    Index("co_operations_decided", "chain_id", "wallet", "decided_at"),
)
"""Every intent, once each, and how far it is. `final` says that nothing can change it any more."""

journal = Table(
    "co_journal",
    metadata,
    Column("seq", _ID, primary_key=True, autoincrement=True),
    Column("operation_id", BigInteger),
    *_account(),
    Column("agent", String(200), nullable=False),
    Column("at", Float, nullable=False),
    Column("event", String(40), nullable=False),
    Column("before", String(20)),
    Column("after", String(20)),
    Column("detail", Text, nullable=False),
    Column("reservation_id", BigInteger),
    Column("number", BigInteger),
    Column("hash", String(66)),
    Index("co_journal_of_operation", "operation_id", "seq"),
    Index("co_journal_of_reservation", "reservation_id", "seq"),
    Index(
        "co_journal_numbers",
        "chain_id",
        "wallet",
        "number",
        unique=True,
        sqlite_where=text("number IS NOT NULL"),
        postgresql_where=text("number IS NOT NULL"),
    ),
    Index(
        "co_journal_unsealed",
        "chain_id",
        "wallet",
        "seq",
        sqlite_where=text("number IS NULL"),
        postgresql_where=text("number IS NULL"),
    ),
)
"""Every change of stage or state, and whatever else somebody may ask for later. Rows are added and never changed, but
once: when `seals` gives each its place in the chain of its wallet, `number` and `hash`."""

decisions = Table(
    "co_decisions",
    metadata,
    _id(),
    Column("operation_id", BigInteger, nullable=False),
    Column("at", Float, nullable=False),
    Column("to", String(42)),
    Column("data", LargeBinary),
    Column("value", String(78)),
    Column("effects", Text, nullable=False),
    Column("texts", Text, nullable=False),
    Column("simulation", Text),
    Column("decision", Text),
    Column("approved_by", String(200)),
    Index("co_decisions_of_operation", "operation_id", "id"),
)
"""What an operation became when it was built, what its simulation showed and what the policy said. One that was
approved is built and decided again, and has another row."""

approvals = Table(
    "co_approvals",
    metadata,
    Column("operation_id", BigInteger, primary_key=True, autoincrement=False),
    *_account(),
    Column("state", String(10), nullable=False),
    Column("asked_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("by", String(200)),
    Column("reason", Text),
    Column("answered_at", Float),
    Index("co_approvals_waiting", "chain_id", "wallet", "state", "expires_at"),
)
"""Who was asked for a yes, and what the answer was."""

pauses = Table(
    "co_pauses",
    metadata,
    *_account(key=True),
    Column("agent", String(200), primary_key=True),
    Column("at", Float, nullable=False),
    Column("by", String(200), nullable=False),
    Column("reason", Text, nullable=False),
)
"""What is paused now: an agent, or the whole treasury under the name "". The journal has the earlier ones."""

verdicts = Table(
    "co_verdicts",
    metadata,
    _id(),
    *_account(),
    Column("operation_id", BigInteger),
    Column("nonce", BigInteger),
    Column("tx_hash", String(66)),
    Column("block_number", BigInteger),
    Column("block_hash", String(66)),
    Column("verdict", String(12), nullable=False),
    Column("variance_bps", BigInteger),
    Column("evidence", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("reopened_at", Float),
    Index("co_verdicts_of_operation", "operation_id", "id"),
    Index("co_verdicts_by_nonce", "chain_id", "wallet", "nonce"),
)
"""What the delta guard said about each eth transaction of the wallet, also about those that are no operation."""

points = Table(
    "co_points",
    metadata,
    *_account(key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("block_number", BigInteger, nullable=False),
    Column("block_hash", String(66), nullable=False),
    Column("point", Text, nullable=False),
    Column("at", Float, nullable=False),
)
"""Up to which block everything is explained, and what the accounts had there. Earlier points are kept for a while: a
reorganisation may take the newest one away."""

breaches = Table(
    "co_breaches",
    metadata,
    _id(),
    *_account(),
    Column("operation_id", BigInteger),
    Column("kind", String(60), nullable=False),
    Column("severity", String(12), nullable=False),
    Column("block_number", BigInteger),
    Column("block_hash", String(66)),
    Column("tx_hash", String(66)),
    Column("detail", Text, nullable=False),
    Column("at", Float, nullable=False),
    Index("co_breaches_of_wallet", "chain_id", "wallet", "id"),
)
"""What the delta guard found that nobody ordered: breaches, gifts, and what could not be told."""

proofs = Table(
    "co_proofs",
    metadata,
    *_account(key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(12), nullable=False),
    Column("operation_id", BigInteger),
    Column("head", LargeBinary, nullable=False),
    Column("parts", LargeBinary),
    Column("proof_hash", String(66), nullable=False),
    Column("previous", String(66), nullable=False),
    Column("signature", String(132), nullable=False),
    Column("at", Float, nullable=False),
    Index("co_proofs_of_operation", "operation_id", "seq"),
)
"""The chain of proofs of each wallet."""

escrows = Table(
    "co_escrows",
    metadata,
    *_account(key=True),
    Column("transaction_id", String(66), primary_key=True),
    Column("operation_id", BigInteger, nullable=False),
    Column("asset", String(42), nullable=False),
    Column("contract", String(42), nullable=False),
    Column("counterparty", String(42)),
    Column("amount", String(78), nullable=False),
    Column("locked", String(78), nullable=False),
    Column("open", Boolean, nullable=False),
    Column("checked_at", Float, nullable=False),
    Column("due_at", Float, nullable=False),
    Column("unanswered", Integer, nullable=False),
    Index("co_escrows_due", "chain_id", "wallet", "open", "due_at"),
)
"""What this wallet has put into escrow, how much of it still lies there, and when to ask the chain about it again. Both
parties of an escrow may be ours: each has a row of its own."""

losses = Table(
    "co_losses",
    metadata,
    _id(),
    *_account(),
    Column("kind", String(20), nullable=False),
    Column("reference", String(66), nullable=False),
    Column("operation_id", BigInteger),
    Column("asset", String(42), nullable=False),
    Column("amount", String(78), nullable=False),
    Column("at", Float, nullable=False),
    UniqueConstraint("chain_id", "wallet", "kind", "reference"),
    Index("co_losses_of_wallet", "chain_id", "wallet", "at"),
)
"""What is gone without anything in return: gas by eth transaction, bonds by ACTP transaction."""

peaks = Table(
    "co_peaks",
    metadata,
    *_account(key=True),
    Column("asset", String(42), primary_key=True),
    Column("amount", String(78), nullable=False),
    Column("at", Float, nullable=False),
)
"""The most that treasury and open escrows ever had together, by asset."""
