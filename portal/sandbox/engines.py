"""Which Python runs a program: Monty, or jailed CPython for what Monty lacks.

Monty is tried first unless the program asks for CPython in its first line or is seen to need it (gaps.py). When Monty
fails for want of something before any call was made, nothing has happened yet, and the program runs again on CPython.
After a call it never does. Without every layer of CPython's jail there is no CPython.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Self

import structlog

from portal.sandbox import gaps
from portal.sandbox.contract import (
    Again,
    Diagnostic,
    Dispatch,
    Failure,
    Holding,
    Json,
    Layer,
    Limits,
    Module,
    Options,
    Outcome,
    Pause,
    Printed,
)
from portal.sandbox.cpython.sandbox import CPythonSandbox
from portal.sandbox.gaps import ASKED, INLINE_CHARS
from portal.sandbox.helpers import HOST, LOAD
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

_OWN_MISTAKE = re.compile(r"'coroutine' object|string indices must be|'dict' object has no attribute '([^']*)'")
"""What no other Python would take either, for it is about what a call returned."""

_ABOUT = re.compile(r"(?:type `|bound method )(\w+)[`.]")

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

    async def run(
        self,
        code: str,
        modules: Sequence[Module],
        dispatch: Dispatch,
        limits: Limits,
        printed: Printed | None = None,
        gap: str | None = None,
        holding: Holding | None = None,
    ) -> Outcome:
        """Run ``code`` once; see the contract. Raises SandboxUnavailable."""
        failure = refused(code, limits)
        if failure is not None:
            return Outcome(failure=failure)
        asked = ASKED.match(code) is not None
        if self._why_not:
            return (
                Outcome(failure=Failure("invalid", f"CPython is not available here: {self._why_not}", line=1))
                if asked
                else await self._monty.run(code, modules, dispatch, limits, printed)
            )
        if asked or (await _gap(code, modules) if gap is None else gap):
            return await self._cpython.run(code, modules, dispatch, limits, printed, holding=holding)
        return await self._try(code, modules, dispatch, limits, printed, holding)

    async def resume(
        self,
        pause: Pause,
        code: str,
        modules: Sequence[Module],
        dispatch: Dispatch,
        limits: Limits,
        again: Again,
        printed: Printed | None = None,
    ) -> Outcome:
        """Go on with a paused program, on Monty: on CPython it waits in its process. Raises SandboxUnavailable."""
        return await self._monty.resume(pause, code, modules, dispatch, limits, again, printed)

    async def check(self, code: str, modules: Sequence[Module]) -> list[Diagnostic]:
        """Type-check ``code`` without running it. Raises SandboxUnavailable."""
        findings = await self._monty.check(code, modules)
        if not findings or self._why_not or not (ASKED.match(code) or await _gap(code, modules)):
            return findings
        return [finding for finding in findings if finding.rule in _JUDGED or _of_servers(finding.message, modules)]

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

    async def _try(
        self,
        code: str,
        modules: Sequence[Module],
        dispatch: Dispatch,
        limits: Limits,
        printed: Printed | None,
        holding: Holding | None,
    ) -> Outcome:
        """Run on Monty, and again on CPython if Monty lacked something before the first call."""
        called = False
        started_s = time.monotonic()

        async def noted(module: str, function: str, arguments: dict[str, Json]) -> Json:
            nonlocal called
            # Reading back what was kept changes nothing anywhere.
            called = called or (module, function) != (HOST, LOAD)
            return await dispatch(module, function, arguments)

        outcome = await self._monty.run(code, modules, noted, limits, printed)
        if outcome.failure is None or not _lacks(outcome.failure):
            return outcome
        if called:
            return replace(outcome, failure=_advised(outcome.failure))
        left_s = limits.wall_s - (time.monotonic() - started_s)
        if left_s <= 0:
            return outcome
        again = None if printed is None else _without(len(outcome.printed), printed)
        rest = replace(limits, wall_s=left_s)
        return await self._cpython.run(code, modules, dispatch, rest, again, holding=holding)


async def _gap(code: str, modules: Sequence[Module]) -> str:
    servers = frozenset(module.name for module in modules)
    return gaps.gap(code, servers) if len(code) <= INLINE_CHARS else await asyncio.to_thread(gaps.gap, code, servers)


def _without(said: int, printed: Printed) -> Printed:
    """Return ``printed`` without the first ``said`` characters, which it was told already."""

    def rest(text: str) -> None:
        nonlocal said
        new, said = text[said:], max(said - len(text), 0)
        if new:
            printed(new)

    return rest


def _of_servers(message: str, modules: Sequence[Module]) -> bool:
    """Say whether a finding is about a server or about a record of its stubs: these are the same on both engines."""
    if any(f"odule `{module.name}`" in message for module in modules):
        return True
    found = _ABOUT.search(message)
    return found is not None and any(f"class {found.group(1)}(TypedDict" in module.stubs for module in modules)


def _advised(failure: Failure) -> Failure:
    """Return the failure with how to ask for CPython, unless CPython would say the same."""
    found = _OWN_MISTAKE.search(failure.message)
    if failure.hint or (found and not hasattr(dict, found.group(1) or "-")):
        return failure
    return replace(
        failure, hint="if it is this Python that lacks it, begin the program with the line `# engine: cpython`"
    )


def _lacks(failure: Failure) -> bool:
    if failure.kind == "invalid":
        # Its parser refused; whether that is the program's fault CPython's will say.
        return True
    # A wrong name for a parameter is our own finding, and the same on both.
    return (
        failure.kind == "raised" and failure.message.startswith(_GAPS) and "() has no parameter" not in failure.message
    )
