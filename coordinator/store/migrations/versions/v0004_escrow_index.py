"""The escrow index: every escrow of a kernel from its events, credits, how far they were read, and who acts on what."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    _kernels()
    _escrows()
    _records()


def _kernels() -> None:
    op.create_table(
        "co_index_kernels",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("chain_id", sa.BigInteger, nullable=False),
        sa.Column("genesis", sa.String(66), nullable=False),
        sa.Column("kernel", sa.String(42), nullable=False),
        sa.Column("vault", sa.String(42), nullable=False),
        sa.Column("token", sa.String(42), nullable=False),
        sa.Column("version", sa.String(60), nullable=False),
        sa.Column("grace_seconds", sa.BigInteger),
        sa.Column("timeout_seconds", sa.BigInteger),
        sa.Column("start_block", sa.BigInteger, nullable=False),
        sa.Column("block_number", sa.BigInteger, nullable=False),
        sa.Column("block_hash", sa.String(66), nullable=False),
        sa.Column("final_block", sa.BigInteger, nullable=False),
        sa.Column("commits", sa.BigInteger, nullable=False),
        sa.Column("fees", sa.String(78), nullable=False),
        sa.UniqueConstraint("chain_id", "kernel"),
    )
    op.create_table(
        "co_index_credits",
        sa.Column("payee", sa.String(42), primary_key=True),
        sa.Column("kernel_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("amount", sa.String(78), nullable=False),
    )
    _partial("co_index_credits_open", "co_index_credits", ["kernel_id", "payee"], "amount <> '0'")
    op.create_table(
        "co_index_points",
        sa.Column("kernel_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("block_number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("block_hash", sa.String(66), nullable=False),
        sa.Column("fees", sa.String(78), nullable=False),
    )
    op.create_table(
        "co_index_undo",
        sa.Column("kernel_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("block_number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(10), primary_key=True),
        sa.Column("key", sa.String(66), primary_key=True),
        sa.Column("before", sa.Text),
    )


def _escrows() -> None:
    op.create_table(
        "co_index_escrows",
        sa.Column("kernel_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("transaction_id", sa.String(66), primary_key=True),
        sa.Column("escrow_id", sa.String(66)),
        sa.Column("requester", sa.String(42), nullable=False),
        sa.Column("provider", sa.String(42), nullable=False),
        sa.Column("state", sa.Integer, nullable=False),
        sa.Column("open", sa.Boolean, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("deadline", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("created_block", sa.BigInteger, nullable=False),
        sa.Column("funded", sa.BigInteger, nullable=False),
        sa.Column("remaining", sa.BigInteger, nullable=False),
        sa.Column("paid_provider", sa.BigInteger, nullable=False),
        sa.Column("paid_requester", sa.BigInteger, nullable=False),
        sa.Column("paid_fee", sa.BigInteger, nullable=False),
        sa.Column("paid_mediator", sa.BigInteger, nullable=False),
        sa.Column("operation", sa.String(40), nullable=False),
        sa.Column("last_event", sa.String(60), nullable=False),
        sa.Column("last_block", sa.BigInteger, nullable=False),
        sa.Column("last_tx", sa.String(66), nullable=False),
        sa.Column("last_at", sa.BigInteger),
        sa.Column("delivered_at", sa.BigInteger),
        sa.Column("window_ends_at", sa.BigInteger),
        sa.Column("disputed_at", sa.BigInteger),
        sa.Column("dispute_initiator", sa.String(42)),
        sa.Column("dispute_ends_at", sa.BigInteger),
        sa.Column("arbiter", sa.String(42)),
        sa.Column("timeout_requester_bps", sa.Integer, nullable=False),
        sa.Column("bond_requester", sa.BigInteger, nullable=False),
        sa.Column("bond_requester_poster", sa.String(42)),
        sa.Column("bond_provider", sa.BigInteger, nullable=False),
        sa.Column("bond_provider_poster", sa.String(42)),
        sa.Column("bond_owed", sa.BigInteger, nullable=False),
        sa.Column("bond_paid", sa.BigInteger, nullable=False),
        sa.Column("parts", sa.Integer, nullable=False),
        sa.Column("parts_paid", sa.Integer, nullable=False),
        sa.Column("parts_paid_amount", sa.BigInteger, nullable=False),
        sa.Column("parts_refunded", sa.Integer, nullable=False),
        sa.Column("parts_refunded_amount", sa.BigInteger, nullable=False),
        sa.Column("cancellation_at", sa.BigInteger),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("ending", sa.String(20)),
        sa.Column("due_kind", sa.String(10)),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("known_block", sa.BigInteger),
        sa.Column("look", sa.Boolean, nullable=False),
        sa.Column("repaired", sa.Boolean, nullable=False),
        sa.Column("checked_at", sa.Float, nullable=False),
    )
    _partial("co_index_escrows_bond_provider", "co_index_escrows", ["bond_provider_poster"], "bond_provider > 0")
    _partial("co_index_escrows_bond_requester", "co_index_escrows", ["bond_requester_poster"], "bond_requester > 0")
    op.create_index("co_index_escrows_changed", "co_index_escrows", ["kernel_id", "last_block", "transaction_id"])
    _partial("co_index_escrows_checked", "co_index_escrows", ["kernel_id", "checked_at"], "open")
    _partial("co_index_escrows_due", "co_index_escrows", ["kernel_id", "due_kind", "due_at"], "due_kind IS NOT NULL")
    op.create_index("co_index_escrows_newest", "co_index_escrows", ["created_at", "kernel_id", "transaction_id"])
    op.create_index("co_index_escrows_of_provider", "co_index_escrows", ["provider", "open", "created_at"])
    op.create_index("co_index_escrows_of_requester", "co_index_escrows", ["requester", "open", "created_at"])


def _records() -> None:
    op.create_table(
        "co_index_unknown",
        sa.Column("kernel_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("topic", sa.String(66), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("first_block", sa.BigInteger, nullable=False),
        sa.Column("first_tx", sa.String(66), nullable=False),
    )
    op.create_table(
        "co_index_repairs",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("kernel_id", sa.BigInteger, nullable=False),
        sa.Column("transaction_id", sa.String(66), nullable=False),
        sa.Column("block_number", sa.BigInteger, nullable=False),
        sa.Column("differences", sa.Text, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.create_index("co_index_repairs_of_kernel", "co_index_repairs", ["kernel_id", "id"])
    op.create_table(
        "co_index_actions",
        sa.Column("kernel_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("transaction_id", sa.String(66), primary_key=True),
        sa.Column("kind", sa.String(10), primary_key=True),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("operation_id", sa.BigInteger),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", sa.Float, nullable=False),
        sa.Column("code", sa.String(60)),
        sa.Column("reason", sa.Text),
        sa.Column("updated_at", sa.Float, nullable=False),
    )
    op.create_index("co_index_actions_by_state", "co_index_actions", ["kernel_id", "state", "next_at"])
    op.create_index("co_index_actions_of_operation", "co_index_actions", ["operation_id"])


def _partial(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
