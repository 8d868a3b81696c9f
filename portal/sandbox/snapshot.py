"""A paused program as bytes: what the worker says it is, and what the program has used up by then.

Whoever reads one has made sure that it is unchanged since it was written. What the worker put in it is for a worker.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass, field
from typing import Self

_HEADER = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """``state`` is the worker's dump; the rest goes on being counted when the program goes on."""

    state: bytes = field(repr=False)
    calls: int
    suspensions: int
    cpu_us: int
    wall_s: float
    printed: str
    cut: bool

    def to_bytes(self) -> bytes:
        """Return the bytes from which ``of`` makes an equal snapshot."""
        used = asdict(self)
        state: bytes = used.pop("state")
        head = json.dumps(used).encode()
        return _HEADER.pack(len(head)) + head + state

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Return what ``to_bytes`` wrote."""
        (size,) = _HEADER.unpack_from(data)
        at = _HEADER.size + size
        return cls(state=data[at:], **json.loads(data[_HEADER.size : at]))
