"""One of our servers in a process of its own, over HTTP, behind its door: `python -m servers._kit.serve --help`.

Only the portal comes in, with a token that it exchanged for whoever asks. An agent's own token is refused.
"""

from __future__ import annotations

import importlib
import inspect
import tomllib
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Protocol, cast
from urllib.parse import urlsplit

import typer
import uvicorn
from mcp.server import Server
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from servers._kit.credentials import Credentials, PortalCredentials
from shared_auth.configuration import ConfigurationError
from shared_auth.server_door import ServerDoorSettings, open_door

MAX_REQUEST_BYTES = 4 * 1024 * 1024


class _ServerModule(Protocol):
    @staticmethod
    def create(settings: Mapping[str, Any], credentials: Credentials | None = ...) -> Server[Any]: ...


def application(server: Server[Any], door: ServerDoorSettings, *, keeps: bool = False) -> Starlette:
    """Return the ASGI application: the host guard, the door, then ``server``. Its lifespan opens all three.

    ``keeps`` is for a server that is given credentials: it exchanges the token of each call at the portal.
    """
    security = TransportSecuritySettings(allowed_hosts=[urlsplit(door.resource).netloc], allowed_origins=[])
    manager = StreamableHTTPSessionManager(
        app=server, stateless=True, security_settings=security, max_request_body_size=MAX_REQUEST_BYTES
    )
    endpoint = StreamableHTTPASGIApp(manager)
    guard = TransportSecurityMiddleware(security)
    behind: dict[str, ASGIApp] = {}
    document: dict[str, Any] = {}

    async def post_only(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":  # the SDK would hold a GET open for ever
            await PlainTextResponse("POST only", 405, headers={"Allow": "POST"})(scope, receive, send)
            return
        await endpoint(scope, receive, send)

    class Guarded:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            refusal = await guard.validate_request(Request(scope), is_post=False)
            await (refusal or behind["door"])(scope, receive, send)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            opened = await stack.enter_async_context(open_door(door))
            behind["door"] = opened.before(post_only, keeps=keeps)
            document.update(opened.document())
            await stack.enter_async_context(manager.run())
            yield

    async def metadata(_request: Request) -> JSONResponse:
        return JSONResponse(document)

    async def healthy(_request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    routes = [
        Route(door.path, Guarded()),
        Route(door.metadata_path, metadata, methods=["GET"]),
        Route("/healthz", healthy, methods=["GET"]),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


def load(module: str, settings: Mapping[str, Any], credentials: Credentials | None = None) -> Server[Any]:
    """Return the server of a package such as ``servers.catalog``. Raises ConfigurationError."""
    try:
        found = cast("_ServerModule", importlib.import_module(f"{module}.server"))
        if credentials is None:
            return found.create(settings)
        if "credentials" not in inspect.signature(found.create).parameters:
            raise ConfigurationError(f"{module}: works without credentials, so leave --client-id away")
        return found.create(settings, credentials=credentials)
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"{module}: cannot be imported ({error.name})") from None
    except (ValueError, OSError) as error:
        raise ConfigurationError(f"{module}: settings: {error}") from None


def _credentials(door: ServerDoorSettings, client_id: str, secret_file: Path | None) -> Credentials | None:
    if bool(client_id) != (secret_file is not None):
        raise ConfigurationError("--client-id, --client-secret-file: give both or none")
    if secret_file is None:
        return None
    secret = secret_file.read_text(encoding="utf-8").strip()
    return PortalCredentials(door.issuer, client_id, secret, door.resource)


def main(
    module: Annotated[str, typer.Argument(help="Package of the server, such as servers.catalog.")],
    issuer: Annotated[str, typer.Option(help="Public address of the portal.")],
    resource: Annotated[str, typer.Option(help="Address of this server as the portal's settings name it.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8400,
    settings: Annotated[Path | None, typer.Option(help="TOML file with the server's own settings.")] = None,
    client_id: Annotated[str, typer.Option(help="Client that the portal declares for this server.")] = "",
    client_secret_file: Annotated[Path | None, typer.Option(help="File that holds that client's secret.")] = None,
) -> None:
    """Serve one server over HTTP for a portal that names it with `auth = "exchange"`."""
    try:
        own = tomllib.loads(settings.read_text(encoding="utf-8")) if settings is not None else {}
        door = ServerDoorSettings(issuer, resource)
        credentials = _credentials(door, client_id, client_secret_file)
        app = application(load(module, own, credentials), door, keeps=credentials is not None)
    except (ConfigurationError, OSError, tomllib.TOMLDecodeError) as error:
        typer.echo(f"serve: {error}", err=True)
        raise typer.Exit(2) from None
    # No access lines: a query may hold what must not be kept (RFC 6750 section 5.3).
    uvicorn.run(app, host=host, port=port, access_log=False, server_header=False, proxy_headers=False)


if __name__ == "__main__":
    typer.run(main)
