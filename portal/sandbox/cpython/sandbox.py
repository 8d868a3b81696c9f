"""Programs on jailed CPython: each on a process of its own, forked before it is asked for, killed after it has served.

The kernel's layers are all there is between a program and the machine, so unless every one of them is in force this
sandbox does not open, whatever ``Options.jail`` says.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Self

from portal.sandbox.contract import (
    Dispatch,
    Failure,
    Holding,
    Layer,
    Limits,
    Module,
    Options,
    Outcome,
    Printed,
    SandboxUnavailable,
)
from portal.sandbox.cpython.forks import Zygote
from portal.sandbox.cpython.jail import open_zygote_jail
from portal.sandbox.cpython.unpausable import unpausable
from portal.sandbox.events import Kind
from portal.sandbox.jail import Jail
from portal.sandbox.owned import Owned
from portal.sandbox.pool import Pool
from portal.sandbox.program import Program
from portal.sandbox.wire import ProtocolError
from portal.sandbox.worker import FrameTooLarge, Worker, WorkerDied

START_TIMEOUT_S = 15.0


class CPythonSandbox:
    """Runs programs; an async context manager whose entering never fails for want of a jail: see ``missing``."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._thread: ThreadPoolExecutor | None = None
        self._zygote: Zygote | None = None
        self._jail: Jail | None = None
        self._pool: Pool | None = None
        self._owned = Owned()

    async def __aenter__(self) -> Self:
        """Prove the jail and fork the first children. Raises SandboxUnavailable when that fails in a whole jail."""
        self._jail = await asyncio.to_thread(open_zygote_jail, self._options)
        if self.missing():
            return self
        self._zygote = Zygote(self._jail)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sandbox-zygote")
        self._pool = Pool(
            self._start,
            warm=self._options.warm_children,
            most=self._options.max_workers,
            uses=1,
            wait_s=self._options.checkout_timeout_s,
            reset=False,
        )
        try:
            await self._pool.open()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._close()

    def missing(self) -> list[Layer]:
        """Return the layers that are not in force. With any, no program runs here."""
        return [] if self._jail is None else [layer for layer in self._jail.layers if not layer.active]

    @property
    def zygote_pid(self) -> int | None:
        """The process that children are forked from."""
        return None if self._zygote is None else self._zygote.pid

    @property
    def idle(self) -> int:
        """How many children wait for a program."""
        return 0 if self._pool is None else self._pool.idle

    async def run(
        self,
        code: str,
        modules: Sequence[Module],
        dispatch: Dispatch,
        limits: Limits,
        printed: Printed | None = None,
        gap: str | None = None,  # noqa: ARG002 - there is but one engine here
        holding: Holding | None = None,
    ) -> Outcome:
        """Run ``code`` once; see the contract. Raises SandboxUnavailable."""
        if self._pool is None:
            raise SandboxUnavailable("jailed CPython is not open")
        return await self._owned.run(self._run(self._pool, code, modules, dispatch, limits, printed, holding))

    async def _run(
        self,
        pool: Pool,
        code: str,
        modules: Sequence[Module],
        dispatch: Dispatch,
        limits: Limits,
        printed: Printed | None,
        holding: Holding | None,
    ) -> Outcome:
        async with pool.lease() as lease:
            told = unpausable(dispatch, code, modules, holding)
            program = Program(lease.worker, code, modules, told, limits, printed, holding=holding)
            try:
                outcome = await program.run()
            except SandboxUnavailable as error:
                if not isinstance(error.__cause__, ProtocolError):
                    raise
                # A program here holds the line itself: what is wrong on it is the program's doing, not ours.
                failure = Failure("crashed", "the program wrote to the sandbox's own line; it was stopped")
                outcome = Outcome(failure=failure)
        return replace(outcome, engine="cpython")

    async def _start(self) -> Worker:
        if self._zygote is None or self._thread is None:
            raise SandboxUnavailable("jailed CPython is not open")
        child, ours = await asyncio.get_running_loop().run_in_executor(self._thread, self._zygote.fork)
        worker = await Worker.attach(child, ours)
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                if (await worker.receive(1_024)).kind is not Kind.OK:
                    raise ProtocolError("a child that is not ready")
        except (WorkerDied, ProtocolError, FrameTooLarge, TimeoutError) as error:
            await worker.close()
            raise SandboxUnavailable(f"a CPython worker did not start: {error!r}") from error
        except BaseException:
            await worker.close()
            raise
        return worker

    async def _close(self) -> None:
        await self._owned.end()
        if self._pool is not None:
            await self._pool.close()
        if self._thread is not None and self._zygote is not None:
            with contextlib.suppress(OSError):
                await asyncio.get_running_loop().run_in_executor(self._thread, self._zygote.close)
            self._thread.shutdown()
        self._pool = self._thread = self._zygote = None
