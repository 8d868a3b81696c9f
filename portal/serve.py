"""`portal serve`: listen, say how to use what listens, and leave cleanly on Ctrl-C and SIGTERM (exit code 0)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from portal.app import Portal, open_portal
from portal.settings import ConfigurationError, PortalSettings
from portal.snippets import snippets
from portal.whereabouts import noted

SWITCH_S = 0.001
"""How long a computing thread keeps the event loop waiting for the interpreter; Python's default is five times that."""

DRAIN_S = 5
"""How long running requests may take after a signal before they are cancelled."""


async def serve(settings: PortalSettings, say: Callable[[str], None]) -> None:
    """Serve until a signal comes. Raises ConfigurationError when the address cannot be used."""
    listener = _listen(settings)
    with contextlib.closing(listener):
        settings = settings.model_copy(update={"port": listener.getsockname()[1]})
        # Nobody else can listen where we do: what was left running under this name was left by a dead process.
        instance = f"{socket.gethostname()}:{settings.host}:{settings.port}"
        async with open_portal(settings, instance=instance) as portal:
            note = contextlib.ExitStack()

            async def greet() -> None:
                _settle()
                note.enter_context(noted(settings.data_dir, settings.issuer))
                say(await banner(portal))

            server = _Server(_config(portal.app, settings), greet)
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, server.leave)
            with note:
                await server.serve(sockets=[listener])


KEEP_ALIVE_S = 75
"""How long an idle connection stays. Proxies keep theirs 60 s as a rule; longer, or one sends into a closing one."""


def _settle() -> None:
    """Keep the event loop's pauses short while threads decode large values beside it."""
    # What start-up made stays for good: a full collection need not walk it again, some 100 ms with the lock held.
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH_S)


class _Server(uvicorn.Server):
    """uvicorn without its signal handling: that one raises the signal again after a clean stop, so never exits 0."""

    def __init__(self, config: uvicorn.Config, greet: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._greet = greet

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then greet."""
        await super().startup(sockets)
        await self._greet()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def leave(self) -> None:
        """Stop accepting, drain, stop; a second signal does not wait."""
        if self.should_exit:
            self.force_exit = True
        self.should_exit = True


def _config(app: ASGIApp, settings: PortalSettings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        # Access lines would hold query strings, and with them codes and states (RFC 6750 section 5.3).
        access_log=False,
        log_config=None,
        lifespan="off",
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_graceful_shutdown=DRAIN_S,
        timeout_keep_alive=KEEP_ALIVE_S,
        h11_max_incomplete_event_size=16_384,
        limit_concurrency=2_000,
    )


def _listen(settings: PortalSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(2_048)
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"cannot listen on {settings.host}:{settings.port} ({error.strerror}); PORTAL_PORT chooses another port"
        ) from None
    listener.setblocking(False)
    return listener


async def banner(portal: Portal) -> str:
    """Return what `portal serve` prints when it answers."""
    settings = portal.settings
    lines = [""]
    if settings.local_sign_in:
        lines.append(f"sign-in: {await portal.auth.sign_in_link()}")
    elif settings.auth.oidc is not None:
        lines.append(f"sign-in: {settings.issuer}/sign-in")
    lines.append(f"mcp: {settings.endpoint}")
    catalogue = portal.catalogue.current
    for state in catalogue.states:
        count = sum(tool.server == state.name for tool in catalogue.tools)
        detail = "" if state.state == "ready" else f" ({state.state}: {state.detail})"
        lines.append(f"  {state.name}: {count} tools{detail}")
    lines += [
        f"warning: sandbox layer {layer.name} is not in force: {layer.detail}"
        for layer in portal.sandbox.layers()
        if not layer.active
    ]
    lines.append("")
    for snippet in snippets(settings.endpoint):
        lines += [f"{snippet.agent}:", f"  {snippet.text}"]
    lines += ["", "Ctrl-C stops it.", ""]
    return "\n".join(lines)
