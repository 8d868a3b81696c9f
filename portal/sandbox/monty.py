"""The sandbox: programs on jailed Monty workers, type checks on workers of their own.

Starting proves the jail: a hostile probe tries to break out of the very jail that the workers get, and what it could do
decides whether the sandbox opens at all (``jail="require"``) or says what is missing (``"degrade"``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

import structlog

from portal.sandbox import failures
from portal.sandbox.checker import Checker
from portal.sandbox.contract import (
    Again,
    Diagnostic,
    Dispatch,
    Failure,
    Holding,
    Layer,
    Limits,
    Module,
    Options,
    Outcome,
    Pause,
    Printed,
    SandboxUnavailable,
)
from portal.sandbox.helpers import prelude
from portal.sandbox.jail import Jail, open_jail
from portal.sandbox.owned import Owned
from portal.sandbox.pool import Pool
from portal.sandbox.program import Program
from portal.sandbox.worker import Worker

CHECKS_PER_WORKER = 200
_SPAWNERS = 2

_log = structlog.get_logger(__name__)


class MontySandbox:
    """Implements portal.sandbox.contract.Sandbox; an async context manager.

    Entering raises SandboxUnavailable when no worker starts or, with ``jail="require"``, when a layer is missing.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._spawners: ThreadPoolExecutor | None = None
        self._jail: Jail | None = None
        self._runners: Pool | None = None
        self._checkers: Pool | None = None
        self._checker: Checker | None = None
        self._owned = Owned()

    async def __aenter__(self) -> Self:
        options = self._options
        self._jail = await asyncio.to_thread(open_jail, options)
        missing = [layer for layer in self._jail.layers if not layer.active]
        if missing and options.jail == "require":
            raise SandboxUnavailable(f"the sandbox is not safe here; missing: {_named(missing)}")
        if missing and options.jail == "degrade":
            _log.warning("sandbox_degraded", missing=_named(missing))
        self._spawners = ThreadPoolExecutor(_SPAWNERS, thread_name_prefix="sandbox-spawn")
        self._runners = Pool(
            self._start,
            warm=options.min_workers,
            most=options.max_workers,
            uses=options.checkouts_per_worker,
            wait_s=options.checkout_timeout_s,
            reset=True,
        )
        self._checkers = Pool(
            self._start,
            warm=options.checkers,
            most=options.checkers,
            uses=CHECKS_PER_WORKER,
            wait_s=options.checkout_timeout_s,
            reset=False,
        )
        self._checker = Checker(self._checkers)
        try:
            await self._runners.open()
            await self._checkers.open()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def run(
        self,
        code: str,
        modules: Sequence[Module],
        dispatch: Dispatch,
        limits: Limits,
        printed: Printed | None = None,
        gap: str | None = None,  # noqa: ARG002 - there is but one engine here
        holding: Holding | None = None,  # noqa: ARG002 - a snapshot can be taken of every program
    ) -> Outcome:
        """Run ``code`` once; see the contract. Raises SandboxUnavailable."""
        if self._runners is None:
            raise SandboxUnavailable("the sandbox is not open")
        failure = refused(code, limits)
        if failure is not None:
            return Outcome(failure=failure)
        return await self._owned.run(self._run(self._runners, code, modules, dispatch, limits, printed))

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
        """Go on with a paused program; see the contract. Raises SandboxUnavailable."""
        if self._runners is None:
            raise SandboxUnavailable("the sandbox is not open")
        return await self._owned.run(
            self._resume(self._runners, pause, code, modules, dispatch, limits, again, printed)
        )

    async def check(self, code: str, modules: Sequence[Module]) -> list[Diagnostic]:
        """Type-check ``code`` without running it. Raises SandboxUnavailable."""
        if self._checker is None:
            raise SandboxUnavailable("the sandbox is not open")
        return await self._owned.run(self._checker.check(code, modules))

    def layers(self) -> list[Layer]:
        """Return which layers of the jail are in force, as the start-up self-test saw them."""
        return [] if self._jail is None else list(self._jail.layers)

    async def _run(
        self,
        pool: Pool,
        code: str,
        modules: Sequence[Module],
        dispatch: Dispatch,
        limits: Limits,
        printed: Printed | None,
    ) -> Outcome:
        async with pool.lease() as lease:
            program = Program(lease.worker, code, modules, dispatch, limits, printed, prelude=prelude(code))
            try:
                return await program.run()
            finally:
                lease.clean = program.clean

    async def _resume(
        self,
        pool: Pool,
        pause: Pause,
        code: str,
        modules: Sequence[Module],
        dispatch: Dispatch,
        limits: Limits,
        again: Again,
        printed: Printed | None,
    ) -> Outcome:
        async with pool.lease() as lease:
            program = Program(lease.worker, code, modules, dispatch, limits, printed, prelude=prelude(code))
            # Not ``clean``: a worker that has read another's memory serves nobody else.
            return await program.resume(pause, again)

    async def _start(self) -> Worker:
        if self._jail is None or self._spawners is None:
            raise SandboxUnavailable("the sandbox is not open")
        return await Worker.start(self._jail.command, self._spawners, launcher=self._jail.launcher)

    async def _close(self) -> None:
        await self._owned.end()
        for pool in (self._runners, self._checkers):
            if pool is not None:
                await pool.close()
        self._runners = self._checkers = self._checker = None
        if self._spawners is not None:
            self._spawners.shutdown()


def _named(layers: Sequence[Layer]) -> str:
    """Return the layers by name, each reason once."""
    reasons: dict[str, list[str]] = {}
    for layer in layers:
        reasons.setdefault(layer.detail, []).append(layer.name)
    return "; ".join(f"{', '.join(names)} ({why})" for why, names in reasons.items())


def refused(code: str, limits: Limits) -> Failure | None:
    """Return why ``code`` is no program at all, None when it may be one."""
    try:
        size = len(code.encode())
    except UnicodeEncodeError:
        return Failure("invalid", "SyntaxError: the program contains half of a surrogate pair")
    if size > limits.source_bytes:
        return failures.over_limit("source_bytes", limits)
    if "\0" in code:
        return Failure("invalid", "SyntaxError: the program contains a NUL character")
    return None
