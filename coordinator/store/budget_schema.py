"""The tables of budgets, requests, approvals and alerts: part of the same database as those in `schema.py`.

Amounts in cells are 64-bit integers, so that the database itself can refuse to overspend: USDC has 9.2 * 10^12 of them,
ETH 9.2 whole ones.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from coordinator.store.schema import _account, _id, metadata

__all__ = [
    "alerts",
    "asks",
    "cells",
    "dispatches",
    "metadata",
    "reconciliations",
    "reservations",
    "rulebooks",
    "scopes",
    "seals",
    "treasuries",
    "votes",
    "writers",
]

treasuries = Table(
    "co_treasuries",
    metadata,
    *_account(key=True),
    Column("token", String(42), nullable=False),
    Column("rulebook", BigInteger, nullable=False),
    Column("gas_estimate", BigInteger, nullable=False),
    Column("block_number", BigInteger),
    Column("block_hash", String(66)),
    Column("observed_at", Float),
)
"""One row per wallet: the version of the rules that hold, what one funding costs in gas at most (wei), and the block
whose balances the cells of kind `treasury` show."""

rulebooks = Table(
    "co_rulebooks",
    metadata,
    *_account(key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("content", Text, nullable=False),
    Column("content_hash", String(66), nullable=False),
    Column("at", Float, nullable=False),
    Column("by", String(200), nullable=False),
)
"""Every version of the rules that ever held, as canonical JSON."""

scopes = Table(
    "co_scopes",
    metadata,
    _id(),
    *_account(),
    Column("kind", String(20), nullable=False),
    Column("key", String(200), nullable=False),
    Column("period", String(20), nullable=False),
    Column("unit", String(42), nullable=False),
    Column("frozen", Text),
    UniqueConstraint("chain_id", "wallet", "kind", "key", "period", "unit"),
    Index(
        "co_scopes_tracked",
        "chain_id",
        "wallet",
        "key",
        unique=True,
        sqlite_where=text("kind = 'tracked'"),
        postgresql_where=text("kind = 'tracked'"),
    ),
)
"""What limits apply to. `frozen` says why nothing more may be charged to it, until somebody looks.
Those of trackers are of kind `tracked` (`tracker_schema.py`), and each counts one unit at a time."""

cells = Table(
    "co_cells",
    metadata,
    Column("scope_id", BigInteger, ForeignKey("co_scopes.id"), primary_key=True, autoincrement=False),
    Column("window_start", BigInteger, primary_key=True, autoincrement=False),
    Column("lim", BigInteger),
    Column("cap", BigInteger, nullable=False),
    Column("spent", BigInteger, nullable=False),
    Column("reserved", BigInteger, nullable=False),
    Column("buckets", Text),
    CheckConstraint("spent >= 0 AND reserved >= 0", name="co_cells_not_negative"),
    CheckConstraint("spent + reserved <= cap", name="co_cells_within_cap"),
)
"""The only hot rows. `lim` is what new requests are compared with (null: only counted), `cap` what can never be passed:
the larger one of the limit and what was in use when it was lowered. `buckets` is {hour: [spent, reserved]} of a rolling
window, whose sums `spent` and `reserved` are."""

reservations = Table(
    "co_reservations",
    metadata,
    _id(),
    *_account(),
    Column("agent", String(200), nullable=False),
    Column("key", String(200), nullable=False),
    Column("body_hash", String(66), nullable=False),
    Column("provider", String(42), nullable=False),
    Column("category", String(200), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("purpose", Text),
    Column("purpose_salt", String(32), nullable=False),
    Column("purpose_hash", String(66), nullable=False),
    Column("terms", Text, nullable=False),
    Column("number", String(78), nullable=False),
    Column("transaction_id", String(66), nullable=False),
    Column("rulebook", BigInteger, nullable=False),
    Column("state", String(20), nullable=False),
    Column("placed", Text, nullable=False),
    Column("gas", BigInteger, nullable=False),
    Column("promised", Boolean, nullable=False),
    Column("rule", String(60)),
    Column("message", Text),
    Column("lim", BigInteger),
    Column("used", BigInteger),
    Column("actual", BigInteger),
    Column("returned", BigInteger, nullable=False),
    Column("operation_id", BigInteger),
    Column("settled", Boolean, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    UniqueConstraint("chain_id", "wallet", "agent", "key"),
    Index("co_reservations_by_state", "chain_id", "wallet", "state", "id"),
    Index("co_reservations_of_operation", "operation_id"),
    Index("co_reservations_of_transaction", "transaction_id"),
    Index(
        "co_reservations_unsettled",
        "chain_id",
        "wallet",
        "id",
        sqlite_where=text("state = 'committed' AND NOT settled"),
        postgresql_where=text("state = 'committed' AND NOT settled"),
    ),
    Index(
        "co_reservations_promised",
        "chain_id",
        "wallet",
        "id",
        sqlite_where=text("promised"),
        postgresql_where=text("promised"),
    ),
)
"""Every request, once per key of an agent, and the budget that it holds. `placed` is [[scope, window, amount, bucket]].
`promised` says that cells of kind `treasury` are among them: the balance that was observed last does not show it yet.
`message` is null where the numbers say it all (`budget.wording`).
`purpose` may be erased: the journal has only its salted hash."""

asks = Table(
    "co_asks",
    metadata,
    Column("reservation_id", BigInteger, primary_key=True, autoincrement=False),
    *_account(),
    Column("approval_id", String(60), nullable=False, unique=True),
    Column("required", Integer, nullable=False),
    Column("state", String(10), nullable=False),
    Column("asked_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Index("co_asks_waiting", "chain_id", "wallet", "state", "expires_at"),
)
"""Who was asked for how many yeses: waiting, approved, rejected, expired."""

votes = Table(
    "co_votes",
    metadata,
    Column("reservation_id", BigInteger, primary_key=True, autoincrement=False),
    Column("approver", String(200), primary_key=True),
    Column("yes", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Float, nullable=False),
)
"""One answer per approver."""

dispatches = Table(
    "co_dispatches",
    metadata,
    _id(),
    Column("reservation_id", BigInteger, nullable=False),
    *_account(),
    Column("agent", String(200), nullable=False),
    Column("state", String(10), nullable=False),
    Column("alone", Boolean, nullable=False),
    Column("operation_id", BigInteger),
    Column("created_at", Float, nullable=False),
    UniqueConstraint("reservation_id"),
    Index(
        "co_dispatches_waiting",
        "chain_id",
        "wallet",
        "id",
        sqlite_where=text("state = 'waiting'"),
        postgresql_where=text("state = 'waiting'"),
    ),
)
"""What was granted and has to be handed to the lifecycle: written in the commit of the grant. waiting, handed, dropped.
`alone`: not together with others, as one of them may be what failed."""

alerts = Table(
    "co_alerts",
    metadata,
    _id(),
    *_account(),
    Column("kind", String(40), nullable=False),
    Column("reference", String(200), nullable=False),
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("state", String(10), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("at", Float, nullable=False),
    Column("next_at", Float, nullable=False),
    Column("sent_at", Float),
    Column("sent_to", Text, nullable=False),
    Column("error", Text),
    UniqueConstraint("chain_id", "wallet", "kind", "reference"),
    Index("co_alerts_due", "state", "next_at"),
)
"""What people are to be told, once each: waiting, sent, dead. `next_at` is when to try (again), and is
moved on by whoever sends. `sent_to` lists digests of the addresses that have it, as those are secrets."""

reconciliations = Table(
    "co_reconciliations",
    metadata,
    _id(),
    *_account(),
    Column("block_number", BigInteger, nullable=False),
    Column("block_hash", String(66), nullable=False),
    Column("ledger", Text, nullable=False),
    Column("chain", Text, nullable=False),
    Column("drift", String(78), nullable=False),
    Column("action", String(20), nullable=False),
    Column("at", Float, nullable=False),
    Index("co_reconciliations_of_wallet", "chain_id", "wallet", "id"),
)
"""What ledger and chain said about the same block."""

writers = Table(
    "co_writers",
    metadata,
    *_account(key=True),
    Column("epoch", BigInteger, nullable=False),
)
"""Fences writers of batches: one whose epoch is over writes nothing."""

seals = Table(
    "co_seals",
    metadata,
    *_account(key=True),
    Column("number", BigInteger, nullable=False),
    Column("hash", String(66), nullable=False),
    Column("alerted", BigInteger, nullable=False),
)
"""Where the journal's chain of a wallet ends, and up to which number alerts were made of it."""
