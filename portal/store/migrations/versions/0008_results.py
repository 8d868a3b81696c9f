"""Results that are kept under a handle for the person whose program made them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "results",
        sa.Column("handle", sa.String(32), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("media_type", sa.String(128), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("handle", name="pk_results"),
    )
    op.create_index("ix_results_owner", "results", ["issuer", "subject", "created_ms"])
    op.create_index("ix_results_expires_ms", "results", ["expires_ms"])
    op.create_table(
        "result_parts",
        sa.Column("handle", sa.String(32), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["handle"], ["results.handle"], name="fk_result_parts_handle_results", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("handle", "position", name="pk_result_parts"),
    )


def downgrade() -> None:
    op.drop_table("result_parts")
    op.drop_table("results")
