"""Sign-ins on their way through the company's provider."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "auth_logins",
        sa.Column("login_hash", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("login_hash", name="pk_auth_logins"),
    )
    op.create_index("ix_auth_logins_expires_at", "auth_logins", ["expires_at"])


def downgrade() -> None:
    op.drop_table("auth_logins")
