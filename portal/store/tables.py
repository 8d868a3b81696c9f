"""The portal's own tables. Times are epoch milliseconds, sizes are bytes; ids are lower-case hexadecimal.

``audit_*`` is the record: arguments and results of calls are not in it, only their digests and sizes. A paused program
needs them to go on: they are sealed, and emptied as soon as it does or cannot any more. ``results`` holds for a while
what a person's programs have kept, sealed (portal/programs/handles.py).
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

RUNNING = text("outcome = 'running'")
CHAINED = text("sequence IS NOT NULL")

audit_instances = Table(
    "audit_instances",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("started_ms", BigInteger, nullable=False),
    Column("seen_ms", BigInteger, nullable=False),
)

audit_programs = Table(
    "audit_programs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("instance", String(64), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("client_name", Text, nullable=False),
    Column("grant_id", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("source_sha256", String(64), nullable=False),
    Column("source_bytes", BigInteger, nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("outcome", String(32), nullable=False),
    Column("detail", Text, nullable=False),
    Column("result_bytes", BigInteger),
    Column("elapsed_ms", Float(53)),
    # Where it stands in its instance's chain (portal/audit/chain.py); nothing of a row may change once it has a digest.
    Column("sequence", BigInteger),
    Column("digest", String(64)),
    Index("ix_audit_programs_principal", "issuer", "subject", "id"),
    Index("ix_audit_programs_chain", "instance", "sequence", sqlite_where=CHAINED, postgresql_where=CHAINED),
    Index("ix_audit_programs_running", "instance", sqlite_where=RUNNING, postgresql_where=RUNNING),
)

# The last of the programs that were pruned from the beginning of a chain.
audit_anchors = Table(
    "audit_anchors",
    metadata,
    Column("instance", String(64), primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
)

audit_calls = Table(
    "audit_calls",
    metadata,
    Column("program_id", String(32), ForeignKey("audit_programs.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("server", Text, nullable=False),
    Column("tool", Text, nullable=False),
    Column("effect", String(16), nullable=False),
    Column("decision", String(16), nullable=False),
    Column("policy_ids", Text, nullable=False),
    Column("argument_names", Text, nullable=False),
    Column("arguments_sha256", String(64), nullable=False),
    Column("argument_bytes", BigInteger, nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("outcome", String(32), nullable=False),
    Column("result_bytes", BigInteger),
    Column("elapsed_ms", Float(53)),
)

results = Table(
    "results",
    metadata,
    Column("handle", String(32), primary_key=True),
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("media_type", String(128), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Index("ix_results_owner", "issuer", "subject", "created_ms"),
    Index("ix_results_expires_ms", "expires_ms"),
)

result_parts = Table(
    "result_parts",
    metadata,
    Column(
        "handle",
        String(32),
        ForeignKey("results.handle", name="fk_result_parts_handle_results", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("position", Integer, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
)

paused_programs = Table(
    "paused_programs",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("program_id", String(32), ForeignKey("audit_programs.id"), nullable=False),
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("grant_id", Text, nullable=False),
    Column("runtime", String(32), nullable=False),
    Column("asks", Integer, nullable=False),
    Column("pending", LargeBinary, nullable=False),
    Column("snapshot", LargeBinary, nullable=False),
    Column("state", String(16), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("agreed", Text, nullable=False),
    Column("decided_ms", BigInteger),
    Column("decided_how", String(16), nullable=False),
    Column("ended_ms", BigInteger),
    Index("ix_paused_programs_person", "issuer", "subject", "state"),
    Index("ix_paused_programs_program", "program_id"),
    Index("ix_paused_programs_expires_ms", "state", "expires_ms"),
)
