"""A program in the sandbox: checked first when a write is named, run or gone on with, and a failure explained."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from portal.catalogue.records import Tool
from portal.catalogue.snapshot import Catalogue
from portal.gate import Gate
from portal.programs.checking import faults
from portal.programs.going import Going
from portal.programs.source import Source, read
from portal.programs.work import Holder, Work
from portal.sandbox.contract import (
    Diagnostic,
    Dispatch,
    Failure,
    Json,
    Limits,
    Module,
    Outcome,
    PendingCall,
    Printed,
    Sandbox,
    SandboxUnavailable,
)

Allowed = Callable[[Tool], bool]

INLINE_SOURCE_CHARS = 2_000
"""Longer programs are parsed in a thread: parsing 64 KB takes longer than the event loop may be held."""

EXPLAINED = ("TypeError", "AttributeError", "NameError", "KeyError", "ImportError", "ModuleNotFoundError")
"""Python errors that a type check may explain better than the traceback alone."""

_UNREAD = Source("", frozenset(), frozenset(), unresolved=False)


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program ended, as far as it was read, and what a type check says of it where that may explain why."""

    outcome: Outcome
    source: Source = _UNREAD
    findings: Sequence[Diagnostic] = ()


async def parsed(code: str, servers: Collection[str]) -> Source:
    """Return the program as read, off the event loop when it is long. Raises SourceError."""
    return read(code, servers) if len(code) <= INLINE_SOURCE_CHARS else await asyncio.to_thread(read, code, servers)


class Running:
    """Runs programs in ``sandbox``, each within ``limits``."""

    def __init__(self, sandbox: Sandbox, gate: Gate, limits: Limits) -> None:
        self._sandbox = sandbox
        self._gate = gate
        self._limits = limits

    async def go_on(self, work: Work, going: Going) -> Ran:
        """Go on with a program that ``going`` has taken. Raises SandboxUnavailable before its first call."""
        claimed, allowed = going.claimed, self._gate.allowed(work.principal)
        source = await parsed(claimed.before.source, work.catalogue.servers(allowed))
        modules = [work.catalogue.module(server, allowed) for server in sorted(source.servers)]
        wide = partial(_wide, work.catalogue, allowed, modules)

        async def again(call: PendingCall) -> Json:
            with work.audience.call(f"{call.module}.{call.function}"):
                return await work.keeping.stowed(await going.again(work.session, call))

        async def run(dispatch: Dispatch, printed: Printed) -> Outcome:
            return await self._sandbox.resume(
                claimed.pause, source.code, modules, dispatch, self._limits, again, printed
            )

        try:
            outcome = await self._reported(work, run)
        except SandboxUnavailable as error:
            if not going.begun:
                raise
            outcome = Outcome(failure=Failure("crashed", f"{error}; it is not run again"))
        return await self._explained(outcome, source, modules, wide)

    async def run(self, work: Work, source: Source, holder: Holder) -> Ran:
        """Check and run a program from its beginning. Raises SandboxUnavailable."""
        catalogue, allowed = work.catalogue, self._gate.allowed(work.principal)
        modules = [catalogue.module(server, allowed) for server in sorted(source.servers)]
        wide = partial(_wide, catalogue, allowed, modules)
        if modules and not _reads_only(source, catalogue, allowed):
            findings = await faults(self._sandbox, source.code, modules, wide)
            if findings:
                failure = Failure("invalid", "The type check failed; nothing ran.")
                return Ran(Outcome(failure=failure), source, findings)

        async def run(dispatch: Dispatch, printed: Printed) -> Outcome:
            return await self._sandbox.run(source.code, modules, dispatch, self._limits, printed, source.gap, holder)

        outcome = await self._reported(work, run)
        return await self._explained(outcome, source, modules, wide)

    async def _explained(
        self, outcome: Outcome, source: Source, modules: Sequence[Module], wide: Callable[[], Sequence[Module]]
    ) -> Ran:
        if not modules or not _explainable(outcome):
            return Ran(outcome, source)
        try:
            return Ran(outcome, source, await faults(self._sandbox, source.code, modules, wide))
        except SandboxUnavailable:
            return Ran(outcome, source)  # The check would only explain; the program's own failure is known already.

    async def _reported(
        self,
        work: Work,
        run: Callable[[Dispatch, Printed], Awaitable[Outcome]],
    ) -> Outcome:
        """Note calls and prints even while nobody listens: a request that goes on with the program may ask to."""
        call, audience = work.keeping.around(work.session.call), work.audience

        async def reported(server: str, function: str, arguments: dict[str, Any]) -> Any:
            with audience.call(f"{server}.{function}".lstrip(".")):
                return await call(server, function, arguments)

        async with audience.listening():
            return await run(reported, audience.printed)


def _wide(catalogue: Catalogue, allowed: Allowed, modules: Sequence[Module]) -> list[Module]:
    """Return the same modules for a check that refuses only what cannot fit."""
    return [catalogue.module(module.name, allowed, wide=True) for module in modules]


def _reads_only(source: Source, catalogue: Catalogue, allowed: Allowed) -> bool:
    """Say whether every tool that the program can reach is known to be a read (DESIGN: then it need not be checked)."""
    if source.unresolved:
        return False
    for server, name in source.tools:
        tool = catalogue.find(server, name)
        if tool is None or tool.effect != "read" or not allowed(tool):
            return False
    return True


def _explainable(outcome: Outcome) -> bool:
    failure = outcome.failure
    if failure is None or failure.kind not in {"raised", "invalid"}:
        return False
    return any(name in failure.message or name in failure.traceback for name in EXPLAINED)
