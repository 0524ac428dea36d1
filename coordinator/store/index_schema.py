"""The tables of the escrow index: what the events of kernels say about every escrow, and how far they were read.

Amounts are 64-bit integers, so that the database can sum them: no kernel of this protocol takes more than 10^15 base
units into one escrow. Sums that nothing bounds, of credits and fees, are decimal text. Times are the chain's, in unix
seconds, unless their name ends in `_at` and the comment says that they are the store's.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, String, Table, Text, UniqueConstraint, text

from coordinator.store.budget_schema import metadata
from coordinator.store.schema import _id

__all__ = [
    "actions",
    "credits",
    "escrows",
    "kernels",
    "metadata",
    "points",
    "repairs",
    "undo",
    "unknown",
]


def _partial(name: str, *columns: str, where: str) -> Index:
    return Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))


def _kernel() -> Column[int]:
    return Column("kernel_id", BigInteger, primary_key=True, autoincrement=False)


kernels = Table(
    "co_index_kernels",
    metadata,
    _id(),
    Column("chain_id", BigInteger, nullable=False),
    Column("genesis", String(66), nullable=False),
    Column("kernel", String(42), nullable=False),
    Column("vault", String(42), nullable=False),
    Column("token", String(42), nullable=False),
    Column("version", String(60), nullable=False),
    Column("grace_seconds", BigInteger),
    Column("timeout_seconds", BigInteger),
    Column("start_block", BigInteger, nullable=False),
    Column("block_number", BigInteger, nullable=False),
    Column("block_hash", String(66), nullable=False),
    Column("final_block", BigInteger, nullable=False),
    Column("commits", BigInteger, nullable=False),
    Column("fees", String(78), nullable=False),
    UniqueConstraint("chain_id", "kernel"),
)
"""One row per kernel: from which block on and up to which its events are folded into the other tables, the newest block
that was final then, the fees that have accrued in it, and how many commits that took: whoever writes because of what it
has read changes the row only if that number is still the same. `grace_seconds` and `timeout_seconds` are the kernel's
own constants, NULL where it has no such exit."""

escrows = Table(
    "co_index_escrows",
    metadata,
    _kernel(),
    Column("transaction_id", String(66), primary_key=True),
    Column("escrow_id", String(66)),
    Column("requester", String(42), nullable=False),
    Column("provider", String(42), nullable=False),
    Column("state", Integer, nullable=False),
    Column("open", Boolean, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("deadline", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("created_block", BigInteger, nullable=False),
    Column("funded", BigInteger, nullable=False),
    Column("remaining", BigInteger, nullable=False),
    Column("paid_provider", BigInteger, nullable=False),
    Column("paid_requester", BigInteger, nullable=False),
    Column("paid_fee", BigInteger, nullable=False),
    Column("paid_mediator", BigInteger, nullable=False),
    Column("operation", String(40), nullable=False),
    Column("last_event", String(60), nullable=False),
    Column("last_block", BigInteger, nullable=False),
    Column("last_tx", String(66), nullable=False),
    Column("last_at", BigInteger),
    Column("delivered_at", BigInteger),
    Column("window_ends_at", BigInteger),
    Column("disputed_at", BigInteger),
    Column("dispute_initiator", String(42)),
    Column("dispute_ends_at", BigInteger),
    Column("arbiter", String(42)),
    Column("timeout_requester_bps", Integer, nullable=False),
    Column("bond_requester", BigInteger, nullable=False),
    Column("bond_requester_poster", String(42)),
    Column("bond_provider", BigInteger, nullable=False),
    Column("bond_provider_poster", String(42)),
    Column("bond_owed", BigInteger, nullable=False),
    Column("bond_paid", BigInteger, nullable=False),
    Column("parts", Integer, nullable=False),
    Column("parts_paid", Integer, nullable=False),
    Column("parts_paid_amount", BigInteger, nullable=False),
    Column("parts_refunded", Integer, nullable=False),
    Column("parts_refunded_amount", BigInteger, nullable=False),
    Column("cancellation_at", BigInteger),
    Column("ended_at", BigInteger),
    Column("ending", String(20)),
    Column("due_kind", String(10)),
    Column("due_at", BigInteger),
    Column("known_block", BigInteger),
    Column("look", Boolean, nullable=False),
    Column("repaired", Boolean, nullable=False),
    Column("checked_at", Float, nullable=False),
    Index("co_index_escrows_newest", "created_at", "kernel_id", "transaction_id"),
    Index("co_index_escrows_changed", "kernel_id", "last_block", "transaction_id"),
    Index("co_index_escrows_of_requester", "requester", "open", "created_at"),
    Index("co_index_escrows_of_provider", "provider", "open", "created_at"),
    _partial("co_index_escrows_due", "kernel_id", "due_kind", "due_at", where="due_kind IS NOT NULL"),
    _partial("co_index_escrows_checked", "kernel_id", "checked_at", where="open"),
    _partial("co_index_escrows_bond_requester", "bond_requester_poster", where="bond_requester > 0"),
    _partial("co_index_escrows_bond_provider", "bond_provider_poster", where="bond_provider > 0"),
)
"""Every escrow of every kernel that is indexed, ended ones too. `remaining` is what of the price still lies in the
vault; bonds are apart. `due_kind` and `due_at`: what anybody may do about it, and the first second in which it is
possible. `known_block`: the state of that block was read, so no event up to it counts. `look`: events do not tell what
it is now, its state has to be read. `checked_at` (the store's clock): when it was last compared with its state."""

credits = Table(
    "co_index_credits",
    metadata,
    Column("payee", String(42), primary_key=True),
    _kernel(),
    Column("amount", String(78), nullable=False),
    _partial("co_index_credits_open", "kernel_id", "payee", where="amount <> '0'"),
)
"""What each kernel owes to whom: payments that the token refused, and bonds that were not needed."""

points = Table(
    "co_index_points",
    metadata,
    _kernel(),
    Column("block_number", BigInteger, primary_key=True, autoincrement=False),
    Column("block_hash", String(66), nullable=False),
    Column("fees", String(78), nullable=False),
)
"""Where pages ended, as far back as a reorganisation may reach: what the index can go back to."""

undo = Table(
    "co_index_undo",
    metadata,
    _kernel(),
    Column("block_number", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(10), primary_key=True),
    Column("key", String(66), primary_key=True),
    Column("before", Text),
)
"""What a row was before the page that ends at this block (JSON), or NULL if that page has made it."""

unknown = Table(
    "co_index_unknown",
    metadata,
    _kernel(),
    Column("topic", String(66), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("first_block", BigInteger, nullable=False),
    Column("first_tx", String(66), nullable=False),
)
"""Events of kernels that this program does not know, counted by their first topic."""

repairs = Table(
    "co_index_repairs",
    metadata,
    _id(),
    Column("kernel_id", BigInteger, nullable=False),
    Column("transaction_id", String(66), nullable=False),
    Column("block_number", BigInteger, nullable=False),
    Column("differences", Text, nullable=False),
    Column("at", Float, nullable=False),
    Index("co_index_repairs_of_kernel", "kernel_id", "id"),
)
"""Rows that were not what the chain's state said, what differed (JSON: column to [row, state]), and when (the store's
clock) that was put right."""

actions = Table(
    "co_index_actions",
    metadata,
    _kernel(),
    Column("transaction_id", String(66), primary_key=True),
    Column("kind", String(10), primary_key=True),
    Column("state", String(10), nullable=False),
    Column("operation_id", BigInteger),
    Column("attempts", Integer, nullable=False),
    Column("next_at", Float, nullable=False),
    Column("code", String(60)),
    Column("reason", Text),
    Column("updated_at", Float, nullable=False),
    Index("co_index_actions_by_state", "kernel_id", "state", "next_at"),
    Index("co_index_actions_of_operation", "operation_id"),
)
"""Who does what about an escrow that is due: one row for each, so that two who look at the same time never both do it.
Times are the store's."""
