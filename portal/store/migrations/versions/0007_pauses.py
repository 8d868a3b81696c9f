"""Programs that wait for a person."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "paused_programs",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("program_id", sa.String(32), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("grant_id", sa.Text(), nullable=False),
        sa.Column("runtime", sa.String(32), nullable=False),
        sa.Column("asks", sa.Integer(), nullable=False),
        sa.Column("pending", sa.LargeBinary(), nullable=False),
        sa.Column("snapshot", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("agreed", sa.Text(), nullable=False),
        sa.Column("decided_ms", sa.BigInteger()),
        sa.Column("decided_how", sa.String(16), nullable=False),
        sa.Column("ended_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_paused_programs"),
        sa.ForeignKeyConstraint(["program_id"], ["audit_programs.id"], name="fk_paused_programs_program_id"),
    )
    op.create_index("ix_paused_programs_person", "paused_programs", ["issuer", "subject", "state"])
    op.create_index("ix_paused_programs_program", "paused_programs", ["program_id"])
    op.create_index("ix_paused_programs_expires_ms", "paused_programs", ["state", "expires_ms"])


def downgrade() -> None:
    op.drop_table("paused_programs")
