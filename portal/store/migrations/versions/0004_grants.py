"""The other grants: client assertions that were used."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "auth_replays",
        sa.Column("use_hash", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("use_hash", name="pk_auth_replays"),
    )
    op.create_index("ix_auth_replays_expires_at", "auth_replays", ["expires_at"])


def downgrade() -> None:
    op.drop_table("auth_replays")
