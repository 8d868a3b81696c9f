"""Demo vendors that `portal serve` starts beside itself, so that a first run has something real to look at."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol, cast

from pydantic import ValidationError

from portal.sections import Upstream
from portal.settings import ConfigurationError, faults_of


class _DemoModule(Protocol):
    @staticmethod
    def running(data_dir: Path, options: Mapping[str, Any]) -> AbstractAsyncContextManager[dict[str, Any]]: ...


@asynccontextmanager
async def vendors(upstreams: Mapping[str, Upstream], demo_dir: Path) -> AsyncIterator[dict[str, Upstream]]:
    """Yield the upstreams with the settings of their running demo vendors filled in.

    Raises ConfigurationError for an upstream that asks for a demo and has none, and for one that does not start.
    """
    async with AsyncExitStack() as stack:
        found: dict[str, Upstream] = {}
        for name, upstream in upstreams.items():
            if upstream.demo is None:
                found[name] = upstream
                continue
            try:
                module = cast("_DemoModule", importlib.import_module(f"{upstream.module}.demo"))
            except ModuleNotFoundError:
                raise ConfigurationError(f"upstreams.{name}.demo: {upstream.module} has no demo") from None
            folder = demo_dir / name
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                filled = await stack.enter_async_context(module.running(folder, upstream.demo.options))
            except ValidationError as error:
                raise ConfigurationError(f"upstreams.{name}.demo.options: {faults_of(error)}") from None
            except (ValueError, RuntimeError, OSError) as error:  # what a demo may raise instead of starting
                why = " ".join(str(error).split()) or type(error).__name__
                raise ConfigurationError(f"upstreams.{name}.demo: {why}") from None
            found[name] = upstream.model_copy(update={"settings": {**upstream.settings, **filled}})
        yield found
