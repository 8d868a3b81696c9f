"""The record: programs, their calls, and the portal processes that write them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_instances",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.Column("seen_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_instances"),
    )
    op.create_table(
        "audit_programs",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("instance", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("client_name", sa.Text(), nullable=False),
        sa.Column("grant_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("source_sha256", sa.String(64), nullable=False),
        sa.Column("source_bytes", sa.BigInteger(), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(32), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("result_bytes", sa.BigInteger()),
        sa.Column("elapsed_ms", sa.Float(53)),
        sa.PrimaryKeyConstraint("id", name="pk_audit_programs"),
    )
    op.create_index("ix_audit_programs_principal", "audit_programs", ["issuer", "subject", "id"])
    running = sa.text("outcome = 'running'")
    op.create_index(
        "ix_audit_programs_running",
        "audit_programs",
        ["instance"],
        sqlite_where=running,
        postgresql_where=running,
    )
    op.create_table(
        "audit_calls",
        sa.Column("program_id", sa.String(32), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("server", sa.Text(), nullable=False),
        sa.Column("tool", sa.Text(), nullable=False),
        sa.Column("effect", sa.String(16), nullable=False),
        sa.Column("decision", sa.String(16), nullable=False),
        sa.Column("policy_ids", sa.Text(), nullable=False),
        sa.Column("argument_names", sa.Text(), nullable=False),
        sa.Column("arguments_sha256", sa.String(64), nullable=False),
        sa.Column("argument_bytes", sa.BigInteger(), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(32), nullable=False),
        sa.Column("result_bytes", sa.BigInteger()),
        sa.Column("elapsed_ms", sa.Float(53)),
        sa.ForeignKeyConstraint(["program_id"], ["audit_programs.id"], name="fk_audit_calls_program_id"),
        sa.PrimaryKeyConstraint("program_id", "position", name="pk_audit_calls"),
    )


def downgrade() -> None:
    op.drop_table("audit_calls")
    op.drop_table("audit_programs")
    op.drop_table("audit_instances")
