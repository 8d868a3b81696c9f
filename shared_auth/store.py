"""The tables of the auth flow. STORAGE.md says for each what is hashed, what is sealed and how long it lives.

Times are integer epoch seconds. Whatever must happen once is one UPDATE whose WHERE is the condition and whose
row count is the answer: that is atomic on SQLite and PostgreSQL alike, where reading first is not.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Executable,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection

SILENT = (OperationalError, InterfaceError, PoolTimeoutError)
"""What a database that does not answer raises. Anything else is a fault of ours."""

metadata = MetaData()

keys = Table(
    "auth_keys",
    metadata,
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("kid", Text, nullable=False),
    Column("public", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("kid", name="uq_auth_keys_kid"),
)

people = Table(
    "auth_people",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("groups", Text, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

links = Table(
    "auth_links",
    metadata,
    Column("link_hash", Text, primary_key=True),
    Column("subject", Text, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
)

sessions = Table(
    "auth_sessions",
    metadata,
    Column("session_hash", Text, primary_key=True),
    Column("subject", Text, nullable=False, index=True),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("sid", Text, nullable=False, server_default=text("''")),
)

clients = Table(
    "auth_clients",
    metadata,
    Column("client_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("redirect_uris", Text, nullable=False),
    Column("auth_method", Text, nullable=False),
    Column("secret_hash", Text),
    Column("may_refresh", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
    Column("expires_at", BigInteger, nullable=False, index=True),
)

consents = Table(
    "auth_consents",
    metadata,
    Column("consent_hash", Text, primary_key=True),
    Column("session_hash", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("state", Text),
    Column("scope", Text, nullable=False),
    Column("challenge", Text, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
)

grants = Table(
    "auth_grants",
    metadata,
    Column("grant_id", Text, primary_key=True),
    Column("subject", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("client_name", Text, nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Column("revoked_at", BigInteger),
    Column("sid", Text, nullable=False, server_default=text("''")),
    Index("ix_auth_grants_subject_client", "subject", "client_id"),
)

logins = Table(
    "auth_logins",
    metadata,
    Column("login_hash", Text, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Column("used_at", BigInteger),
)

codes = Table(
    "auth_codes",
    metadata,
    Column("code_hash", Text, primary_key=True),
    Column("grant_id", Text, nullable=False),
    Column("challenge", Text, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Column("used_at", BigInteger),
)

refresh_tokens = Table(
    "auth_refresh_tokens",
    metadata,
    Column("token_hash", Text, primary_key=True),
    Column("grant_id", Text, nullable=False, index=True),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Column("used_at", BigInteger),
    Column("successor", LargeBinary),
)

devices = Table(
    "auth_devices",
    metadata,
    Column("device_hash", Text, primary_key=True),
    Column("user_code_hash", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("interval_s", Integer, nullable=False),
    Column("next_poll_at", BigInteger, nullable=False),
    Column("consent_hash", Text, index=True),
    Column("session_hash", Text),
    Column("decided_at", BigInteger),
    Column("grant_id", Text),
    Column("used_at", BigInteger),
    Column("expires_at", BigInteger, nullable=False, index=True),
    UniqueConstraint("user_code_hash", name="uq_auth_devices_user_code_hash"),
)

replays = Table(
    "auth_replays",
    metadata,
    Column("use_hash", Text, primary_key=True),
    Column("expires_at", BigInteger, nullable=False, index=True),
)

vault_keys = Table(
    "auth_vault_keys",
    metadata,
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("key_id", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("key_id", name="uq_auth_vault_keys_key_id"),
)

vendor_grants = Table(
    "auth_vendor_grants",
    metadata,
    Column("issuer", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("server", Text, primary_key=True),
    Column("version", Text, nullable=False),
    # The database itself keeps a key for as long as a row needs it, whatever two replicas do at the same moment.
    Column("key_id", Text, ForeignKey("auth_vault_keys.key_id", name="fk_auth_vendor_grants_key_id"), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("state", Text, nullable=False),
    Column("connected_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("lease", Text),
    Column("leased_until", BigInteger),
    Index("ix_auth_vendor_grants_key_id", "key_id"),
)

departures = Table(
    "auth_departures",
    metadata,
    Column("departure_hash", Text, primary_key=True),
    Column("session_hash", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Column("used_at", BigInteger),
)


tries = Table(
    "auth_tries",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("full_at", BigInteger, nullable=False),
)

revocations = Table(
    "auth_revocations",
    metadata,
    Column("position", Integer, primary_key=True),
    Column("revoked_at", BigInteger, nullable=False),
    Column("revoked_by", Text, nullable=False),
    Column("grant_id", Text),
    Column("subject", Text),
    Column("client_id", Text),
    Column("sid", Text),
    Column("ended", Integer, nullable=False),
)


async def changed(connection: AsyncConnection, statement: Executable) -> int:
    """Run a DELETE or UPDATE and return how many rows it changed."""
    result: CursorResult[Any] = await connection.execute(statement)
    return result.rowcount
