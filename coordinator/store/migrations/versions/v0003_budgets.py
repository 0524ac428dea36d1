"""Budgets: scopes, cells, reservations, approvals and what is to be told; the journal is numbered and chained."""

import sqlalchemy as sa
from alembic import op

from coordinator.store.functions import create_functions

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.add_column("co_journal", sa.Column("reservation_id", sa.BigInteger))
    op.add_column("co_journal", sa.Column("number", sa.BigInteger))
    op.add_column("co_journal", sa.Column("hash", sa.String(66)))
    op.create_index("co_journal_of_reservation", "co_journal", ["reservation_id", "seq"])
    numbered = sa.text("number IS NOT NULL")
    op.create_index(
        "co_journal_numbers",
        "co_journal",
        ["chain_id", "wallet", "number"],
        unique=True,
        sqlite_where=numbered,
        postgresql_where=numbered,
    )
    _partial("co_journal_unsealed", "co_journal", ["chain_id", "wallet", "seq"], "number IS NULL")
    op.create_table(
        "co_treasuries",
        sa.Column("chain_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("wallet", sa.String(42), primary_key=True),
        sa.Column("token", sa.String(42), nullable=False),
        sa.Column("rulebook", sa.BigInteger, nullable=False),
        sa.Column("gas_estimate", sa.BigInteger, nullable=False),
        sa.Column("block_number", sa.BigInteger),
        sa.Column("block_hash", sa.String(66)),
        sa.Column("observed_at", sa.Float),
    )
    op.create_table(
        "co_rulebooks",
        sa.Column("chain_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("wallet", sa.String(42), primary_key=True),
        sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("content_hash", sa.String(66), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
    )
    op.create_table(
        "co_scopes",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("chain_id", sa.BigInteger, nullable=False),
        sa.Column("wallet", sa.String(42), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("period", sa.String(20), nullable=False),
        sa.Column("unit", sa.String(42), nullable=False),
        sa.Column("parent_id", sa.BigInteger),
        sa.Column("frozen", sa.Text),
        sa.UniqueConstraint("chain_id", "wallet", "kind", "key", "period", "unit"),
    )
    op.create_table(
        "co_cells",
        sa.Column("scope_id", sa.BigInteger, sa.ForeignKey("co_scopes.id"), primary_key=True, autoincrement=False),
        sa.Column("window_start", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("lim", sa.BigInteger),
        sa.Column("cap", sa.BigInteger, nullable=False),
        sa.Column("spent", sa.BigInteger, nullable=False),
        sa.Column("reserved", sa.BigInteger, nullable=False),
        sa.Column("buckets", sa.Text),
        sa.CheckConstraint("spent >= 0 AND reserved >= 0", name="co_cells_not_negative"),
        sa.CheckConstraint("spent + reserved <= cap", name="co_cells_within_cap"),
    )
    _reservations()
    op.create_table(
        "co_asks",
        sa.Column("reservation_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("chain_id", sa.BigInteger, nullable=False),
        sa.Column("wallet", sa.String(42), nullable=False),
        sa.Column("approval_id", sa.String(60), nullable=False),
        sa.Column("required", sa.Integer, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("asked_at", sa.Float, nullable=False),
        sa.Column("expires_at", sa.Float, nullable=False),
        sa.UniqueConstraint("approval_id"),
    )
    op.create_index("co_asks_waiting", "co_asks", ["chain_id", "wallet", "state", "expires_at"])
    op.create_table(
        "co_votes",
        sa.Column("reservation_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("approver", sa.String(200), primary_key=True),
        sa.Column("yes", sa.Boolean, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
    _outboxes()
    op.create_table(
        "co_writers",
        sa.Column("chain_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("wallet", sa.String(42), primary_key=True),
        sa.Column("epoch", sa.BigInteger, nullable=False),
    )
    create_functions(op.get_bind())


def _reservations() -> None:
    op.create_table(
        "co_reservations",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("chain_id", sa.BigInteger, nullable=False),
        sa.Column("wallet", sa.String(42), nullable=False),
        sa.Column("agent", sa.String(200), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("body_hash", sa.String(66), nullable=False),
        sa.Column("provider", sa.String(42), nullable=False),
        sa.Column("category", sa.String(200), nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("purpose", sa.Text),
        sa.Column("purpose_salt", sa.String(32), nullable=False),
        sa.Column("purpose_hash", sa.String(66), nullable=False),
        sa.Column("terms", sa.Text, nullable=False),
        sa.Column("number", sa.String(78), nullable=False),
        sa.Column("transaction_id", sa.String(66), nullable=False),
        sa.Column("rulebook", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("placed", sa.Text, nullable=False),
        sa.Column("gas", sa.BigInteger, nullable=False),
        sa.Column("promised", sa.Boolean, nullable=False),
        sa.Column("rule", sa.String(60)),
        sa.Column("message", sa.Text),
        sa.Column("lim", sa.BigInteger),
        sa.Column("used", sa.BigInteger),
        sa.Column("actual", sa.BigInteger),
        sa.Column("returned", sa.BigInteger, nullable=False),
        sa.Column("operation_id", sa.BigInteger),
        sa.Column("settled", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
        sa.UniqueConstraint("chain_id", "wallet", "agent", "key"),
    )
    op.create_index("co_reservations_by_state", "co_reservations", ["chain_id", "wallet", "state", "id"])
    op.create_index("co_reservations_of_operation", "co_reservations", ["operation_id"])
    op.create_index("co_reservations_of_transaction", "co_reservations", ["transaction_id"])
    unsettled = "state = 'committed' AND NOT settled"
    _partial("co_reservations_unsettled", "co_reservations", ["chain_id", "wallet", "id"], unsettled)
    _partial("co_reservations_promised", "co_reservations", ["chain_id", "wallet", "id"], "promised")


def _outboxes() -> None:
    op.create_table(
        "co_dispatches",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("reservation_id", sa.BigInteger, nullable=False),
        sa.Column("chain_id", sa.BigInteger, nullable=False),
        sa.Column("wallet", sa.String(42), nullable=False),
        sa.Column("agent", sa.String(200), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("alone", sa.Boolean, nullable=False),
        sa.Column("operation_id", sa.BigInteger),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.UniqueConstraint("reservation_id"),
    )
    _partial("co_dispatches_waiting", "co_dispatches", ["chain_id", "wallet", "id"], "state = 'waiting'")
    op.create_table(
        "co_alerts",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("chain_id", sa.BigInteger, nullable=False),
        sa.Column("wallet", sa.String(42), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("reference", sa.String(200), nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("next_at", sa.Float, nullable=False),
        sa.Column("sent_at", sa.Float),
        sa.Column("sent_to", sa.Text, nullable=False),
        sa.Column("error", sa.Text),
        sa.UniqueConstraint("chain_id", "wallet", "kind", "reference"),
    )
    op.create_index("co_alerts_due", "co_alerts", ["state", "next_at"])
    op.create_table(
        "co_seals",
        sa.Column("chain_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("wallet", sa.String(42), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.String(66), nullable=False),
        sa.Column("alerted", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "co_reconciliations",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("chain_id", sa.BigInteger, nullable=False),
        sa.Column("wallet", sa.String(42), nullable=False),
        sa.Column("block_number", sa.BigInteger, nullable=False),
        sa.Column("block_hash", sa.String(66), nullable=False),
        sa.Column("ledger", sa.Text, nullable=False),
        sa.Column("chain", sa.Text, nullable=False),
        sa.Column("drift", sa.String(78), nullable=False),
        sa.Column("action", sa.String(20), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.create_index("co_reconciliations_of_wallet", "co_reconciliations", ["chain_id", "wallet", "id"])


def _partial(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
