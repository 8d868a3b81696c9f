"""The record as a chain: each program's digest covers its row, its calls and the digest before it, in the order in
which the programs of one process ended. Whoever changes, removes, adds or reorders a row breaks it from there on.

It is a chain for each ``instance``, so that replicas never wait for one another. The digests are plain SHA-256: they
prove nothing against somebody who rewrites a whole chain, which is why its head goes to the log every hour.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from portal.store.tables import audit_anchors, audit_calls, audit_programs

RUNNING, PAUSED = "running", "paused"
_program = itemgetter(*(column.name for column in audit_programs.c if column.name not in {"sequence", "digest"}))
_call = itemgetter(*(column.name for column in audit_calls.c))
_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


class Link(NamedTuple):
    """How far a chain goes: the number of its last program, counted from 1, and that program's digest."""

    sequence: int
    digest: str


GENESIS = Link(0, "0" * 64)


@dataclass(slots=True)
class Chained:
    """What the chain must know of one program until it has ended: the digest of each call, by its position."""

    calls: dict[int, bytes] = field(default_factory=dict)

    def note(self, call: Mapping[str, Any]) -> None:
        """Note a call as it was written last."""
        self.calls[call["position"]] = call_digest(call)


def call_digest(call: Mapping[str, Any]) -> bytes:
    """Return the digest of one call's row."""
    if call["outcome"] == "interrupted":
        # A program whose process was taken for dead, and lived: nobody saw this call end, as its own record says too.
        call = {**call, "outcome": RUNNING}
    return hashlib.sha256(_encode(_call(call)).encode()).digest()


def link(before: Link, program: Mapping[str, Any], calls: Iterable[bytes]) -> Link:
    """Return the chain after one more program; ``calls`` are the digests of its calls in their order."""
    sequence = before.sequence + 1
    row = _encode((before.digest, sequence, *_program(program)))
    digest = hashlib.sha256(row.encode() + b"".join(calls))
    return Link(sequence, digest.hexdigest())


def head_of(connection: Connection, instance: str) -> Link:
    """Return where the chain of ``instance`` ends. Raises SQLAlchemyError."""
    last = select(audit_programs.c.sequence, audit_programs.c.digest)
    last = last.where(audit_programs.c.instance == instance, audit_programs.c.sequence.is_not(None))
    found = connection.execute(last.order_by(audit_programs.c.sequence.desc()).limit(1)).first()
    if found is None:
        anchor = select(audit_anchors.c.sequence, audit_anchors.c.digest)
        found = connection.execute(anchor.where(audit_anchors.c.instance == instance)).first()
    return GENESIS if found is None else Link(*found)
