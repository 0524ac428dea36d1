"""Escrows by wallet, as both parties of one may be ours, and when to ask the chain about each."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_KEPT = (
    "chain_id, wallet, transaction_id, operation_id, asset, contract, counterparty, amount, locked, open, checked_at"
)


def upgrade() -> None:
    # SQLite cannot change the key of a table.
    op.drop_index("co_escrows_open", "co_escrows")
    op.rename_table("co_escrows", "co_escrows_before")
    op.create_table(
        "co_escrows",
        sa.Column("chain_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("wallet", sa.String(42), primary_key=True),
        sa.Column("transaction_id", sa.String(66), primary_key=True),
        sa.Column("operation_id", sa.BigInteger, nullable=False),
        sa.Column("asset", sa.String(42), nullable=False),
        sa.Column("contract", sa.String(42), nullable=False),
        sa.Column("counterparty", sa.String(42)),
        sa.Column("amount", sa.String(78), nullable=False),
        sa.Column("locked", sa.String(78), nullable=False),
        sa.Column("open", sa.Boolean, nullable=False),
        sa.Column("checked_at", sa.Float, nullable=False),
        sa.Column("due_at", sa.Float, nullable=False),
        sa.Column("unanswered", sa.Integer, nullable=False),
    )
    op.create_index("co_escrows_due", "co_escrows", ["chain_id", "wallet", "open", "due_at"])
    op.execute(
        f"INSERT INTO co_escrows ({_KEPT}, due_at, unanswered) SELECT {_KEPT}, checked_at, 0 FROM co_escrows_before"
    )
    op.drop_table("co_escrows_before")
