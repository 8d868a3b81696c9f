"""The type check: a program is judged against the stubs of its modules, and nothing of it runs.

The program's body is put into a function that nobody calls, and its imports before that function, where the checker
follows them. A deliberate error is added at the end: a text with a finding is neither executed nor remembered by the
worker, so one session, warm with the stubs, serves many programs that cannot see one another. It remembers the stubs of
each module that a program has imported; a program that imports one of these by other stubs, or that must not know of
it, gets a new session.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from portal.sandbox import events, requests
from portal.sandbox.contract import Diagnostic, Module, SandboxUnavailable
from portal.sandbox.events import Event, Kind, System
from portal.sandbox.helpers import STUBS, STUBS_IMPORT
from portal.sandbox.pool import Lease, Pool
from portal.sandbox.wire import ProtocolError
from portal.sandbox.worker import FrameTooLarge, Worker, WorkerDied

CHECK_CPU_S = 10.0
CHECK_MEMORY_BYTES = 64 * 1024 * 1024
MAX_FINDINGS = 50
CACHED = 512
MAX_REMEMBERED = 64
"""Modules that one session holds: each costs memory until the next new session."""

_MAX_FRAME_BYTES = 4 * 1024 * 1024
_UNLISTED_NAMES = """
FileExistsError FileNotFoundError ImportError IsADirectoryError ModuleNotFoundError NotADirectoryError PermissionError
UnboundLocalError UnicodeDecodeError UnicodeEncodeError filter format map
"""
_UNLISTED = frozenset(f"Name `{name}` used when not defined" for name in _UNLISTED_NAMES.split())
"""What the checker misses and the interpreter has (measured, runtime 1.4.0). That it refuses ``getattr`` is welcome:
with it a program could reach a tool whose arguments nobody has checked.
"""

_SENTINEL = "__mcp_portal_end_of_program__"


@dataclass(frozen=True, slots=True)
class Wrapped:
    """The text that is checked. ``lines`` maps each of its lines, from 1, to a line of the program (0: none);
    ``imports`` are the modules that it names.
    """

    text: str
    lines: tuple[int, ...]
    imports: frozenset[str]


class Checker:
    """Checks programs on a pool of its own."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._known: OrderedDict[bytes, tuple[Diagnostic, ...]] = OrderedDict()

    async def check(self, code: str, modules: Sequence[Module]) -> list[Diagnostic]:
        """Return the findings, in order of lines. Raises SandboxUnavailable."""
        key = _digest([code, *_stub_parts(modules)])
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
            return list(known)
        try:
            wrapped = wrap(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = getattr(error, "lineno", None) or 1
            return [Diagnostic(line, f"SyntaxError: {getattr(error, 'msg', None) or error}", "invalid-syntax")]
        async with self._pool.lease() as lease:
            findings = await self._judge(lease, wrapped, modules)
        self._known[key] = tuple(findings)
        if len(self._known) > CACHED:
            self._known.popitem(last=False)
        return findings

    async def _judge(self, lease: Lease, wrapped: Wrapped, modules: Sequence[Module]) -> list[Diagnostic]:
        worker = lease.worker
        stubs = {module.name: module.stubs for module in modules}
        try:
            if not _serves(worker.session, wrapped.imports, stubs):
                if worker.session is not None:
                    await worker.ask(requests.RESET)
                await worker.ask(_OPEN)
                worker.session = {}
            event = await self._feed(worker, wrapped.text, stubs)
            found = _findings(event, wrapped)
            lease.clean = True
            return found
        except (WorkerDied, FrameTooLarge, ProtocolError) as error:
            raise SandboxUnavailable(f"the type check failed: {error}") from error

    async def _feed(self, worker: Worker, text: str, stubs: dict[str, str]) -> Event:
        event = await worker.ask(requests.feed(text), _MAX_FRAME_BYTES)
        while event.kind is Kind.SYSTEM:
            call = events.system(event.body)
            if call.operation != System.STUBS:
                raise ProtocolError("a checker wanted to run something")
            names = events.names(call.body)
            worker.session |= {name: _digest_of(name, stubs) for name in names}
            wanted = {name: stubs[name] for name in names if name in stubs}
            result, nodes = requests.stubs_result(wanted)
            event = await worker.ask(requests.resume(call.call_id, result, nodes), _MAX_FRAME_BYTES)
        return event


def _serves(session: dict[str, bytes] | None, imports: frozenset[str], stubs: dict[str, str]) -> bool:
    """Say whether what a session remembers of the program's imports is what the program is to see."""
    if session is None or len(session) > MAX_REMEMBERED:
        return False
    return all(_digest_of(name, stubs) == session[name] for name in imports & session.keys())


def _digest_of(name: str, stubs: dict[str, str]) -> bytes:
    """Return what a session remembers by: the stubs of a module, or that there is none of this name."""
    return _digest([stubs[name]]) if name in stubs else b""


_OPEN = requests.configure(
    cpu_s=CHECK_CPU_S, memory_bytes=CHECK_MEMORY_BYTES, recursion=100, suspensions=1_000, check=True
)


def wrap(code: str) -> Wrapped:
    """Return the text to check. Raises SyntaxError, ValueError (NUL), RecursionError."""
    tree = _parse(code)
    imports = _imports(tree)
    body = _blank(code, imports)
    head = [(line, 0) for line in _helpers(tree)] + [(ast.unparse(node), node.lineno) for node in imports]
    text = "".join(f"{line}\n" for line, _ in head)
    text += "async def __program__():\n" + _indented(body) + f"\n pass\n{_SENTINEL}: int = ''\n"
    count = body.count("\n") + 1
    lines = (*(line for _, line in head), 0, *range(1, count + 1), 0, 0)
    return Wrapped(text, lines, frozenset(name for node in imports for name in _named(node)))


def _named(node: ast.Import | ast.ImportFrom) -> list[str]:
    """Return the modules that an import may mean, each with the packages that it is in."""
    found = [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        # ``from . import x`` means a module x, or else a name that is no module.
        found.append(node.module or "")
    return [".".join(parts[: end + 1]) for name in found for parts in [name.split(".")] for end in range(len(parts))]


def _parse(code: str) -> ast.Module:
    return ast.parse(code, "program.py", feature_version=(3, 14))


def _findings(event: Event, wrapped: Wrapped) -> list[Diagnostic]:
    if event.kind is Kind.ERROR:
        # What the worker's own parser does not know is reported when the program runs; it has nothing to type-check.
        return []
    if event.kind is not Kind.FINDINGS:
        raise ProtocolError("a check that found nothing, not even the deliberate error")
    try:
        reported = json.loads("".join(events.names(event.body)))
        rows = [(int(item["location"]["row"]), str(item["message"]), str(item["name"] or "")) for item in reported]
    except (ValueError, TypeError, KeyError):
        raise ProtocolError("findings in an unknown form") from None
    found = {
        Diagnostic(wrapped.lines[row - 1], message[:1_000], rule)
        for row, message, rule in rows
        if 1 <= row <= len(wrapped.lines) and wrapped.lines[row - 1] and message not in _UNLISTED
    }
    return sorted(found, key=lambda finding: (finding.line, finding.message))[:MAX_FINDINGS]


def _imports(tree: ast.Module) -> list[ast.Import | ast.ImportFrom]:
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    return sorted(found, key=lambda node: (node.lineno, node.col_offset))


def _helpers(tree: ast.Module) -> list[str]:
    """Return the stubs of the helpers that the program uses, as far as they are not its own names at the top."""
    used: set[str] = set()
    own: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            used.add(node.id)
        elif isinstance(node, ast.Global):
            own.update(node.names)
        elif isinstance(node, ast.alias):
            own.add(node.asname or node.name)
    found = [stub for name, stub in STUBS.items() if name in used and name not in own]
    return [STUBS_IMPORT, *found] if found else []


def _blank(code: str, imports: Sequence[ast.Import | ast.ImportFrom]) -> str:
    """Return the program with each import replaced by ``pass``, on as many lines as before."""
    lines = [line.encode() for line in code.split("\n")]
    for node in reversed(imports):
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        before, after = lines[first][: node.col_offset], lines[last][node.end_col_offset or 0 :]
        lines[first : last + 1] = [before + b"pass" + after, *[b""] * (last - first)]
    return b"\n".join(lines).decode()


def _indented(code: str) -> str:
    return "\n".join(f" {line}" for line in code.split("\n"))


def _stub_parts(modules: Sequence[Module]) -> list[str]:
    return [part for module in sorted(modules, key=lambda m: m.name) for part in (module.name, module.stubs)]


def _digest(parts: Sequence[str]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.digest()
