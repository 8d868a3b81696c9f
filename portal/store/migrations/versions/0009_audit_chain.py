"""The record as a chain: each program's place and digest, and where a pruned chain goes on.

Programs that were recorded before have neither, and are not claimed to be unchanged.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("audit_programs", sa.Column("sequence", sa.BigInteger()))
    op.add_column("audit_programs", sa.Column("digest", sa.String(64)))
    chained = sa.text("sequence IS NOT NULL")
    op.create_index(
        "ix_audit_programs_chain",
        "audit_programs",
        ["instance", "sequence"],
        sqlite_where=chained,
        postgresql_where=chained,
    )
    op.create_table(
        "audit_anchors",
        sa.Column("instance", sa.String(64), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("instance", name="pk_audit_anchors"),
    )


def downgrade() -> None:
    op.drop_table("audit_anchors")
    op.drop_index("ix_audit_programs_chain", table_name="audit_programs")
    op.drop_column("audit_programs", "digest")
    op.drop_column("audit_programs", "sequence")
