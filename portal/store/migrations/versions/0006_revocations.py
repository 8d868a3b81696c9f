"""Who ended whose access, which sign-in at the provider a session and a grant come from, and codes that were tried."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
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
        sa.Column("sid", sa.Text()),
        sa.Column("ended", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("position", name="pk_auth_revocations"),
    )
    op.create_table(
        "auth_tries",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("full_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject", name="pk_auth_tries"),
    )
    for table in ("auth_sessions", "auth_grants"):
        op.add_column(table, sa.Column("sid", sa.Text(), nullable=False, server_default=sa.text("''")))


def downgrade() -> None:
    for table in ("auth_sessions", "auth_grants"):
        with op.batch_alter_table(table) as changed:
            changed.drop_column("sid")
    op.drop_table("auth_tries")
    op.drop_table("auth_revocations")
