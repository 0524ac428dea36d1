"""Operations, their journal, decisions, approvals, verdicts and proofs, and what the policy counts."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "co_wallets",
        sa.Column("chain_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("wallet", sa.String(42), primary_key=True),
        sa.Column("decisions", sa.BigInteger, nullable=False),
        sa.Column("proof_seq", sa.BigInteger, nullable=False),
        sa.Column("proof_hash", sa.String(66), nullable=False),
    )
    op.create_table(
        "co_operations",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("trace_id", sa.String(36), nullable=False),
        sa.Column("chain_id", sa.BigInteger, nullable=False),
        sa.Column("wallet", sa.String(42), nullable=False),
        sa.Column("agent", sa.String(200), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("type", sa.String(40), nullable=False),
        sa.Column("intent", sa.Text, nullable=False),
        sa.Column("body_hash", sa.String(66), nullable=False),
        sa.Column("stage", sa.String(20), nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
        sa.Column("failed_at", sa.String(20)),
        sa.Column("code", sa.String(60)),
        sa.Column("reason", sa.Text),
        sa.Column("transaction_id", sa.String(66)),
        sa.Column("outbox_id", sa.BigInteger),
        sa.Column("tx_hash", sa.String(66)),
        sa.Column("block_number", sa.BigInteger),
        sa.Column("block_hash", sa.String(66)),
        sa.Column("confirmed_at", sa.Float),
        sa.Column("result", sa.Text),
        sa.Column("decided_at", sa.Float),
        sa.Column("contract", sa.String(42)),
        sa.Column("asset", sa.String(42)),
        sa.Column("amount", sa.String(78)),
        sa.Column("counterparty", sa.String(42)),
        sa.Column("locks", sa.Boolean),
        sa.Column("draws", sa.String(78)),
        sa.Column("most_fee", sa.String(78)),
        sa.Column("final", sa.Boolean, nullable=False),
        sa.UniqueConstraint("outbox_id"),
        sa.UniqueConstraint("chain_id", "wallet", "agent", "key"),
    )
    op.create_index("co_operations_by_stage", "co_operations", ["chain_id", "wallet", "stage", "final", "id"])
    op.create_index("co_operations_decided", "co_operations", ["chain_id", "wallet", "decided_at"])
    op.create_table(
        "co_journal",
        sa.Column("seq", _ID, primary_key=True, autoincrement=True),
        sa.Column("operation_id", sa.BigInteger),
        sa.Column("chain_id", sa.BigInteger, nullable=False),
        sa.Column("wallet", sa.String(42), nullable=False),
        sa.Column("agent", sa.String(200), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("event", sa.String(40), nullable=False),
        sa.Column("before", sa.String(20)),
        sa.Column("after", sa.String(20)),
        sa.Column("detail", sa.Text, nullable=False),
    )
    op.create_index("co_journal_of_operation", "co_journal", ["operation_id", "seq"])
    op.create_table(
        "co_decisions",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("operation_id", sa.BigInteger, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("to", sa.String(42)),
        sa.Column("data", sa.LargeBinary),
        sa.Column("value", sa.String(78)),
        sa.Column("effects", sa.Text, nullable=False),
        sa.Column("texts", sa.Text, nullable=False),
        sa.Column("simulation", sa.Text),
        sa.Column("decision", sa.Text),
        sa.Column("approved_by", sa.String(200)),
    )
    op.create_index("co_decisions_of_operation", "co_decisions", ["operation_id", "id"])
    op.create_table(
        "co_approvals",
        sa.Column("operation_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("chain_id", sa.BigInteger, nullable=False),
        sa.Column("wallet", sa.String(42), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("asked_at", sa.Float, nullable=False),
        sa.Column("expires_at", sa.Float, nullable=False),
        sa.Column("by", sa.String(200)),
        sa.Column("reason", sa.Text),
        sa.Column("answered_at", sa.Float),
    )
    op.create_index("co_approvals_waiting", "co_approvals", ["chain_id", "wallet", "state", "expires_at"])
    op.create_table(
        "co_pauses",
        sa.Column("chain_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("wallet", sa.String(42), primary_key=True),
        sa.Column("agent", sa.String(200), primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_table(
        "co_verdicts",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("chain_id", sa.BigInteger, nullable=False),
        sa.Column("wallet", sa.String(42), nullable=False),
        sa.Column("operation_id", sa.BigInteger),
        sa.Column("nonce", sa.BigInteger),
        sa.Column("tx_hash", sa.String(66)),
        sa.Column("block_number", sa.BigInteger),
        sa.Column("block_hash", sa.String(66)),
        sa.Column("verdict", sa.String(12), nullable=False),
        sa.Column("variance_bps", sa.BigInteger),
        sa.Column("evidence", sa.Text, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("reopened_at", sa.Float),
    )
    op.create_index("co_verdicts_by_nonce", "co_verdicts", ["chain_id", "wallet", "nonce"])
    op.create_index("co_verdicts_of_operation", "co_verdicts", ["operation_id", "id"])
    op.create_table(
        "co_points",
        sa.Column("chain_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("wallet", sa.String(42), primary_key=True),
        sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("block_number", sa.BigInteger, nullable=False),
        sa.Column("block_hash", sa.String(66), nullable=False),
        sa.Column("point", sa.Text, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.create_table(
        "co_breaches",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("chain_id", sa.BigInteger, nullable=False),
        sa.Column("wallet", sa.String(42), nullable=False),
        sa.Column("operation_id", sa.BigInteger),
        sa.Column("kind", sa.String(60), nullable=False),
        sa.Column("severity", sa.String(12), nullable=False),
        sa.Column("block_number", sa.BigInteger),
        sa.Column("block_hash", sa.String(66)),
        sa.Column("tx_hash", sa.String(66)),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.create_index("co_breaches_of_wallet", "co_breaches", ["chain_id", "wallet", "id"])
    op.create_table(
        "co_proofs",
        sa.Column("chain_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("wallet", sa.String(42), primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("operation_id", sa.BigInteger),
        sa.Column("head", sa.LargeBinary, nullable=False),
        sa.Column("parts", sa.LargeBinary),
        sa.Column("proof_hash", sa.String(66), nullable=False),
        sa.Column("previous", sa.String(66), nullable=False),
        sa.Column("signature", sa.String(132), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.create_index("co_proofs_of_operation", "co_proofs", ["operation_id", "seq"])
    op.create_table(
        "co_escrows",
        sa.Column("chain_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("transaction_id", sa.String(66), primary_key=True),
        sa.Column("wallet", sa.String(42), nullable=False),
        sa.Column("operation_id", sa.BigInteger, nullable=False),
        sa.Column("asset", sa.String(42), nullable=False),
        sa.Column("contract", sa.String(42), nullable=False),
        sa.Column("counterparty", sa.String(42)),
        sa.Column("amount", sa.String(78), nullable=False),
        sa.Column("locked", sa.String(78), nullable=False),
        sa.Column("open", sa.Boolean, nullable=False),
        sa.Column("checked_at", sa.Float, nullable=False),
    )
    op.create_index("co_escrows_open", "co_escrows", ["chain_id", "wallet", "open", "checked_at"])
    op.create_table(
        "co_losses",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("chain_id", sa.BigInteger, nullable=False),
        sa.Column("wallet", sa.String(42), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("reference", sa.String(66), nullable=False),
        sa.Column("operation_id", sa.BigInteger),
        sa.Column("asset", sa.String(42), nullable=False),
        sa.Column("amount", sa.String(78), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.UniqueConstraint("chain_id", "wallet", "kind", "reference"),
    )
    op.create_index("co_losses_of_wallet", "co_losses", ["chain_id", "wallet", "at"])
    op.create_table(
        "co_peaks",
        sa.Column("chain_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("wallet", sa.String(42), primary_key=True),
        sa.Column("asset", sa.String(42), primary_key=True),
        sa.Column("amount", sa.String(78), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
