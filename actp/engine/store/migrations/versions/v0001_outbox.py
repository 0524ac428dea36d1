"""Chains, lanes, intents and attempts."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "chains",
        sa.Column("chain_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("genesis", sa.String(66), nullable=False),
        sa.Column("kernel", sa.String(42)),
        sa.Column("kernel_code_hash", sa.String(66)),
    )
    op.create_table(
        "lanes",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("chain_id", sa.BigInteger, nullable=False),
        sa.Column("address", sa.String(42), nullable=False),
        sa.Column("holder", sa.String(120)),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("beats", sa.BigInteger, nullable=False),
        sa.Column("beat_at", sa.Float, nullable=False),
        sa.UniqueConstraint("chain_id", "address"),
    )
    op.create_table(
        "intents",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("lane_id", _ID, sa.ForeignKey("lanes.id"), nullable=False),
        sa.Column("idempotency_key", sa.String(200), nullable=False),
        sa.Column("body_hash", sa.String(66), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("to", sa.String(42)),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.Column("value", sa.String(78), nullable=False),
        sa.Column("gas", sa.BigInteger),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("nonce", sa.BigInteger),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("due_at", sa.Float, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
        sa.Column("code", sa.String(40)),
        sa.Column("reason", sa.Text),
        sa.Column("tx_hash", sa.String(66)),
        sa.UniqueConstraint("lane_id", "idempotency_key"),
        sa.UniqueConstraint("lane_id", "nonce"),
    )
    op.create_index("intents_due", "intents", ["lane_id", "status", "due_at"])
    op.create_table(
        "attempts",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("intent_id", _ID, sa.ForeignKey("intents.id"), nullable=False),
        sa.Column("lane_id", _ID, sa.ForeignKey("lanes.id"), nullable=False),
        sa.Column("nonce", sa.BigInteger, nullable=False),
        sa.Column("tx_hash", sa.String(66), nullable=False),
        sa.Column("raw", sa.LargeBinary, nullable=False),
        sa.Column("gas", sa.BigInteger, nullable=False),
        sa.Column("max_fee", sa.BigInteger, nullable=False),
        sa.Column("tip", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("block_number", sa.BigInteger),
        sa.Column("block_hash", sa.String(66)),
        sa.Column("signed_at", sa.Float, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
        sa.UniqueConstraint("lane_id", "tx_hash"),
    )
    op.create_index("attempts_of_intent", "attempts", ["intent_id"])
    op.create_index("attempts_by_state", "attempts", ["lane_id", "state", "nonce"])
