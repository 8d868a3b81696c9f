"""A server that runs in this process: its package imported, its settings judged, before anything starts."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Protocol, cast

from mcp.server import Server
from pydantic import ValidationError

from portal.sections import Upstream
from portal.settings import ConfigurationError, faults_of


class _ServerModule(Protocol):
    @staticmethod
    def create(settings: Mapping[str, Any]) -> Server[Any]: ...


def load_server(name: str, upstream: Upstream) -> Server[Any]:
    """Return the in-process server of ``module``.

    Raises ConfigurationError that names the upstream and what to change, in one line and without a setting's value.
    """
    place = f"{upstream.module}.server"
    try:
        module = cast("_ServerModule", importlib.import_module(place))
        create = module.create
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"upstreams.{name}: cannot import {place} ({error.name})") from None
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"upstreams.{name}: {place} is not a server ({_line(error)})") from None
    try:
        return create(upstream.settings)
    except ValidationError as error:
        raise ConfigurationError(f"upstreams.{name}.settings: {faults_of(error)}") from None
    except (ValueError, OSError) as error:
        raise ConfigurationError(f"upstreams.{name}.settings: {_line(error)}") from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
