"""A server that runs in this process: its package imported, its settings judged, before anything starts."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any, Protocol, cast

from mcp.server import Server
from pydantic import ValidationError

from portal.sections import Upstream
from portal.settings import ConfigurationError, faults_of
from portal.upstream.accounts import Accounts
from shared_auth.vault.credential import Credentials


class _ServerModule(Protocol):
    @staticmethod
    def create(settings: Mapping[str, Any], credentials: Credentials | None = ...) -> Server[Any]: ...


def load_server(name: str, upstream: Upstream, accounts: Accounts | None = None) -> Server[Any]:
    """Return the in-process server of ``module``, given credentials when the operator says that it works with them.

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
    credentials = None
    if upstream.credential != "none":
        if accounts is None or "credentials" not in inspect.signature(create).parameters:
            raise ConfigurationError(f"upstreams.{name}.credential: {upstream.module} does not work with credentials")
        credentials = accounts.credentials(name)
    try:
        return create(upstream.settings) if credentials is None else create(upstream.settings, credentials=credentials)
    except ValidationError as error:
        raise ConfigurationError(f"upstreams.{name}.settings: {faults_of(error)}") from None
    except (ValueError, OSError) as error:
        raise ConfigurationError(f"upstreams.{name}.settings: {_line(error)}") from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
