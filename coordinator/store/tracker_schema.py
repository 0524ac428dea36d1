"""The tables of trackers, beside the scopes and cells that they share with the budgets of treasuries."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, Index, String, Table, Text, text

from coordinator.store.index_schema import metadata
from coordinator.store.schema import _account

__all__ = ["holds", "metadata", "tracked", "trackers"]

trackers = Table(
    "co_trackers",
    metadata,
    *_account(key=True),
    Column("root", Text, nullable=False),
    Column("name", String(40), nullable=False),
)
"""The roots of budgets, and what tokens call them. A root owns its scopes as a wallet does: under the hash of its name,
on no chain (0)."""

tracked = Table(
    "co_tracked",
    metadata,
    Column("scope_id", BigInteger, ForeignKey("co_scopes.id"), primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("overruns", BigInteger, nullable=False),
    Column("late", BigInteger, nullable=False),
)
"""The scopes that have a limit or a history. `co_scopes` has the hash of a name, which may be longer than a key."""

holds = Table(
    "co_holds",
    metadata,
    Column("token", String(40), primary_key=True),
    *_account(),
    Column("scope_ids", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("unit", String(10), nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("over_at", Float, nullable=False),
    Column("state", String(10), nullable=False),
    Column("actual", BigInteger),
    Column("late", Boolean, nullable=False),
    Index(
        "co_holds_open",
        "chain_id",
        "wallet",
        "expires_at",
        sqlite_where=text("state = 'open'"),
        postgresql_where=text("state = 'open'"),
    ),
    Index(
        "co_holds_ended",
        "chain_id",
        "wallet",
        "over_at",
        sqlite_where=text("state <> 'open'"),
        postgresql_where=text("state <> 'open'"),
    ),
)
"""Reservations of trackers: open, expired, committed, released. `scope_ids` are JSON, outermost first. `over_at`
is when it expires, or was ended if that was later. A row changes only while the cells of its scopes are locked."""
