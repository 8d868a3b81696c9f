"""Who ended whose access; how long a grant may live at most; codes that were typed in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "auth_revocations",
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_by", sa.Text(), nullable=False),
        sa.Column("grant_id", sa.Text()),
        sa.Column("subject", sa.Text()),
        sa.Column("client_id", sa.Text()),
        sa.Column("ended", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("position", name="pk_auth_revocations"),
    )


def downgrade() -> None:
    op.drop_table("auth_revocations")
