"""Trackers: reservations of a fleet's calls, over scopes and cells of their own; scopes no longer name a parent."""

import sqlalchemy as sa
from alembic import op

from coordinator.store.functions import create_functions

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_column("co_scopes", "parent_id")
    _partial("co_scopes_tracked", "co_scopes", ["chain_id", "wallet", "key"], "kind = 'tracked'", unique=True)
    op.create_table(
        "co_trackers",
        sa.Column("chain_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("wallet", sa.String(42), primary_key=True),
        sa.Column("root", sa.Text, nullable=False),
        sa.Column("name", sa.String(40), nullable=False),
    )
    op.create_table(
        "co_tracked",
        sa.Column("scope_id", sa.BigInteger, sa.ForeignKey("co_scopes.id"), primary_key=True, autoincrement=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("overruns", sa.BigInteger, nullable=False),
        sa.Column("late", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "co_holds",
        sa.Column("token", sa.String(40), primary_key=True),
        sa.Column("chain_id", sa.BigInteger, nullable=False),
        sa.Column("wallet", sa.String(42), nullable=False),
        sa.Column("scope_ids", sa.Text, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("unit", sa.String(10), nullable=False),
        sa.Column("expires_at", sa.Float, nullable=False),
        sa.Column("over_at", sa.Float, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("actual", sa.BigInteger),
        sa.Column("late", sa.Boolean, nullable=False),
    )
    _partial("co_holds_open", "co_holds", ["chain_id", "wallet", "expires_at"], "state = 'open'")
    _partial("co_holds_ended", "co_holds", ["chain_id", "wallet", "over_at"], "state <> 'open'")
    create_functions(op.get_bind())


def _partial(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    op.create_index(name, table, columns, unique=unique, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
