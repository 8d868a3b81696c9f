"""What we ask of a worker: the protocol of pydantic-monty-runtime 1.4.0 (schema monty.v1, version 6).

Strictly alternating: one request, then any number of prints and one event (events.py). A worker of another version
refuses the first request, so the sandbox does not open with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from portal.sandbox.contract import Json
from portal.sandbox.encode import Nodes, pair_fields
from portal.sandbox.wire import put_bytes, put_text, put_varint

RUNTIME_VERSION = "1.4.0"
PROTOCOL_VERSION = 6
DUMP = put_bytes(7, b"")
RESET = put_bytes(9, b"")
UNDEFINED_NAME = put_bytes(5, put_bytes(3, b""))
_ASSERT_OPERAND_BYTES = 120
_JSON_FINDINGS = 4
_PROTOCOL_SLEEP_CAP_US = 3_600_000_000
"""The worker shortens a longer sleep to this, without a word; a program's wall clock is what bounds its sleep."""

# Clock and entropy are the worker's own; sleeps come to us as suspensions; the local zone is UTC.
_OS_POLICY = (
    put_bytes(1, b"")
    + put_bytes(4, put_bytes(1, b""))
    + put_bytes(5, put_bytes(1, put_varint(1, _PROTOCOL_SLEEP_CAP_US)))
    + put_bytes(6, b"")
    + put_bytes(9, b"")
)


@lru_cache(maxsize=16)
def configure(*, cpu_s: float, memory_bytes: int, recursion: int, suspensions: int, check: bool = False) -> bytes:
    """Return the request that opens a session. ``check`` type-checks what is fed and answers findings as JSON."""
    bounds = (
        put_varint(2, memory_bytes)
        + put_varint(4, recursion)
        + put_varint(5, suspensions)
        + put_varint(6, int(cpu_s * 1_000_000))
    )
    return put_bytes(
        1,
        put_text(1, "program.py")
        + put_bytes(2, bounds)
        + (put_varint(3, 1) if check else b"")
        + put_text(5, RUNTIME_VERSION)
        + put_varint(6, _ASSERT_OPERAND_BYTES)
        + (put_varint(7, _JSON_FINDINGS) if check else b"")
        + put_varint(9, PROTOCOL_VERSION)
        + put_bytes(11, _OS_POLICY),
    )


def feed(code: str) -> bytes:
    """Return the request that runs a program."""
    return put_bytes(3, put_text(1, code) + put_bytes(3, b"") + put_text(5, "/"))


def load(state: bytes) -> bytes:
    """Return the request that opens a session where a dump left it; its event is the one that the dump followed."""
    return put_bytes(8, put_bytes(1, state))


def value_result(value: Json, nodes: Nodes) -> bytes:
    """Return a call's result. Raises TypeError when the value is not JSON."""
    return put_varint(1, nodes.add(value))


def error_result(error: str, message: str) -> bytes:
    """Return a call's result: this exception is raised in the program."""
    return put_bytes(2, put_text(1, error) + put_text(2, message))


def resume(call_id: int, result: bytes, nodes: Nodes | None = None) -> bytes:
    """Return the answer to a call: its result."""
    return put_bytes(4, put_varint(1, call_id) + put_bytes(2, result) + _arena(3, nodes))


def later(call_id: int) -> bytes:
    """Return the answer to a call: the result follows when the program has nothing else to do."""
    return resume(call_id, put_varint(3, call_id))


def unknown_module(call_id: int) -> bytes:
    """Return the answer to an import: there is no such module."""
    return resume(call_id, put_text(4, "import"))


def not_handled(call_id: int) -> bytes:
    """Return the answer to a system call: the worker raises what it raises without a host."""
    return resume(call_id, put_bytes(5, b""))


def module_result(name: str, identity: bytes, functions: Iterable[str]) -> tuple[bytes, Nodes]:
    """Return an import's result: a module of functions. ``identity`` is 16 bytes, the same at every import."""
    nodes = Nodes()
    pairs = [
        (nodes.key(function), nodes.node(put_bytes(25, put_text(1, f"{name}.{function}")))) for function in functions
    ]
    body = put_text(1, name) + put_bytes(2, put_bytes(1, identity)) + put_bytes(3, pair_fields(1, pairs))
    return put_varint(1, nodes.node(put_bytes(32, body))), nodes


def stubs_result(stubs: Mapping[str, str]) -> tuple[bytes, Nodes]:
    """Return the answer to a request for stubs: module name to .pyi text."""
    nodes = Nodes()
    return value_result(dict(stubs), nodes), nodes


def settled(results: Iterable[tuple[int, bytes]], nodes: Nodes) -> bytes:
    """Return the results of calls that were answered with ``later`` (or may be awaited eagerly)."""
    body = b"".join(put_bytes(1, put_varint(1, call_id) + put_bytes(2, result)) for call_id, result in results)
    return put_bytes(6, body + put_bytes(2, nodes.message()))


def _arena(number: int, nodes: Nodes | None) -> bytes:
    return b"" if nodes is None else put_bytes(number, nodes.message())
