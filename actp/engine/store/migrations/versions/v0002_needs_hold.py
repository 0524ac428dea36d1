"""Lanes on which nobody may sign without a hold."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("lanes", sa.Column("needs_hold", sa.Boolean, nullable=False, server_default=sa.false()))
