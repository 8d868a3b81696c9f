"""The other grants: machines that wait for a person, and client assertions that were used."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "auth_devices",
        sa.Column("device_hash", sa.Text(), nullable=False),
        sa.Column("user_code_hash", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("interval_s", sa.Integer(), nullable=False),
        sa.Column("next_poll_at", sa.BigInteger(), nullable=False),
        sa.Column("consent_hash", sa.Text()),
        sa.Column("session_hash", sa.Text()),
        sa.Column("decided_at", sa.BigInteger()),
        sa.Column("grant_id", sa.Text()),
        sa.Column("used_at", sa.BigInteger()),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("device_hash", name="pk_auth_devices"),
        sa.UniqueConstraint("user_code_hash", name="uq_auth_devices_user_code_hash"),
    )
    op.create_index("ix_auth_devices_consent_hash", "auth_devices", ["consent_hash"])
    op.create_index("ix_auth_devices_expires_at", "auth_devices", ["expires_at"])
    op.create_table(
        "auth_replays",
        sa.Column("use_hash", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("use_hash", name="pk_auth_replays"),
    )
    op.create_index("ix_auth_replays_expires_at", "auth_replays", ["expires_at"])


def downgrade() -> None:
    op.drop_table("auth_replays")
    op.drop_table("auth_devices")
