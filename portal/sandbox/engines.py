"""Which Python runs a program: Monty, or jailed CPython for what Monty lacks.

Monty is tried first unless the program asks for CPython in its first line or is seen to need it (gaps.py). When Monty
fails for want of something before any call was made, nothing has happened yet, and the program runs again on CPython.
After a call it never does. Without every layer of CPython's jail there is no CPython.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Self

import structlog

from portal.sandbox.contract import (
    Again,
    Diagnostic,
    Dispatch,
    Failure,
    Json,
    Layer,
    Limits,
    Module,
    Options,
    Outcome,
    Pause,
)
from portal.sandbox.cpython.sandbox import CPythonSandbox
from portal.sandbox.gaps import ASKED, INLINE_CHARS, gap
from portal.sandbox.monty import MontySandbox, refused

FALLBACK = "cpython fallback"
_GAPS = (
    "AttributeError",
    "ImportError",
    "LookupError: unknown encoding",
    "ModuleNotFoundError",
    "NameError",
    "NotImplementedError",
    "TypeError",
)
"""Errors by which Monty says that it lacks something. A program's own mistakes look the same, and fail again."""

_JUDGED = frozenset(
    {
        "invalid-argument-type",
        "invalid-key",
        "missing-argument",
        "missing-typed-dict-key",
        "parameter-already-assigned",
        "too-many-positional-arguments",
        "unknown-argument",
    }
)
"""Findings that hold on CPython too: the checker knows the servers there, but not the whole standard library."""

_log = structlog.get_logger(__name__)


class Engines:
    """Implements portal.sandbox.contract.Sandbox; an async context manager. Entering raises SandboxUnavailable."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._monty = MontySandbox(options)
        self._cpython = CPythonSandbox(options)
        self._why_not = ""

    async def __aenter__(self) -> Self:
        """Open Monty, then CPython if it is wanted and its jail is whole."""
        await self._monty.__aenter__()
        try:
            self._why_not = await self._open_cpython()
        except BaseException:
            await self._monty.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(self, *_error: object) -> None:
        try:
            await self._cpython.__aexit__(None, None, None)
        finally:
            await self._monty.__aexit__(None, None, None)

    async def run(self, code: str, modules: Sequence[Module], dispatch: Dispatch, limits: Limits) -> Outcome:
        """Run ``code`` once; see the contract. Raises SandboxUnavailable."""
        failure = refused(code, limits)
        if failure is not None:
            return Outcome(failure=failure)
        asked = ASKED.match(code) is not None
        if self._why_not:
            return (
                Outcome(failure=Failure("invalid", f"CPython is not available here: {self._why_not}", line=1))
                if asked
                else await self._monty.run(code, modules, dispatch, limits)
            )
        if asked or await _gap(code, modules):
            return await self._cpython.run(code, modules, dispatch, limits)
        return await self._try(code, modules, dispatch, limits)

    async def resume(
        self, pause: Pause, code: str, modules: Sequence[Module], dispatch: Dispatch, limits: Limits, again: Again
    ) -> Outcome:
        """Go on with a paused program, on Monty: CPython pauses none. Raises SandboxUnavailable."""
        return await self._monty.resume(pause, code, modules, dispatch, limits, again)

    async def check(self, code: str, modules: Sequence[Module]) -> list[Diagnostic]:
        """Type-check ``code`` without running it. Raises SandboxUnavailable."""
        findings = await self._monty.check(code, modules)
        if not findings or self._why_not or not (ASKED.match(code) or await _gap(code, modules)):
            return findings
        servers = [f"`{module.name}`" for module in modules]
        return [
            finding
            for finding in findings
            if finding.rule in _JUDGED or any(f"odule {server}" in finding.message for server in servers)
        ]

    def layers(self) -> list[Layer]:
        """Return which layers of the jail are in force; and, where it is wanted, whether CPython is on."""
        layers = self._monty.layers()
        if self._options.engine == "monty":
            return layers
        return [*layers, Layer(FALLBACK, not self._why_not, self._why_not)]

    async def _open_cpython(self) -> str:
        if self._options.engine == "monty":
            return "sandbox.engine is monty"
        await self._cpython.__aenter__()
        missing = [layer.name for layer in self._cpython.missing()]
        if not missing:
            return ""
        _log.warning("cpython_off", missing=", ".join(missing))
        return f"its jail lacks {', '.join(missing)}"

    async def _try(self, code: str, modules: Sequence[Module], dispatch: Dispatch, limits: Limits) -> Outcome:
        """Run on Monty, and again on CPython if Monty lacked something before the first call."""
        called = False
        started_s = time.monotonic()

        async def noted(module: str, function: str, arguments: dict[str, Json]) -> Json:
            nonlocal called
            called = True
            return await dispatch(module, function, arguments)

        outcome = await self._monty.run(code, modules, noted, limits)
        if outcome.failure is None or not _lacks(outcome.failure):
            return outcome
        if called:
            hint = "if it is this Python that lacks it, begin the program with the line `# engine: cpython`"
            return replace(outcome, failure=replace(outcome.failure, message=f"{outcome.failure.message}; {hint}"))
        left_s = limits.wall_s - (time.monotonic() - started_s)
        if left_s <= 0:
            return outcome
        return await self._cpython.run(code, modules, dispatch, replace(limits, wall_s=left_s))


async def _gap(code: str, modules: Sequence[Module]) -> str:
    servers = frozenset(module.name for module in modules)
    return gap(code, servers) if len(code) <= INLINE_CHARS else await asyncio.to_thread(gap, code, servers)


def _lacks(failure: Failure) -> bool:
    if failure.kind == "invalid":
        # Its parser refused; whether that is the program's fault CPython's will say.
        return True
    return failure.kind == "raised" and failure.message.startswith(_GAPS)
