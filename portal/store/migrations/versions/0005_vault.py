"""What people's accounts at vendors let the portal do, the keys that seal it, and the ways to a vendor and back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "auth_vault_keys",
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("position", name="pk_auth_vault_keys"),
        sa.UniqueConstraint("key_id", name="uq_auth_vault_keys_key_id"),
    )
    op.create_table(
        "auth_vendor_grants",
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("server", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("connected_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("lease", sa.Text()),
        sa.Column("leased_until", sa.BigInteger()),
        sa.PrimaryKeyConstraint("issuer", "subject", "server", name="pk_auth_vendor_grants"),
        sa.ForeignKeyConstraint(["key_id"], ["auth_vault_keys.key_id"], name="fk_auth_vendor_grants_key_id"),
    )
    op.create_index("ix_auth_vendor_grants_key_id", "auth_vendor_grants", ["key_id"])
    op.create_table(
        "auth_departures",
        sa.Column("departure_hash", sa.Text(), nullable=False),
        sa.Column("session_hash", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("departure_hash", name="pk_auth_departures"),
    )
    op.create_index("ix_auth_departures_expires_at", "auth_departures", ["expires_at"])


def downgrade() -> None:
    op.drop_table("auth_departures")
    op.drop_table("auth_vendor_grants")
    op.drop_table("auth_vault_keys")
