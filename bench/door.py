"""What the door costs a request: a token seen for the first time, its revocation asked about again, and neither."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.types import Message, Receive, Scope, Send

from portal.store.database import migrate, open_beside, open_database
from shared_auth.asking import Asking
from shared_auth.authorization.grants import FRESH_S
from shared_auth.service import Auth
from shared_auth.settings import AuthSettings

ISSUER = "http://127.0.0.1:8300"
TIMES = 300

Taken = dict[str, list[float]]


class _Clock:
    """Now, moved on by hand: what a real door waits half a second for, it forgets at once."""

    def __init__(self) -> None:
        self._moved_s = 0.0

    def __call__(self) -> float:
        return time.time() + self._moved_s

    def advance(self, seconds: float) -> None:
        self._moved_s += seconds


async def door(folder: Path) -> Taken:
    """Return the milliseconds of every pass through the door, by what it had to do; the store is SQLite, as shipped."""
    settings = AuthSettings(
        issuer=ISSUER,
        resource=f"{ISSUER}/mcp",
        secret=b"s" * 32,
        local_sign_in=True,
        local_subject="bench",
        local_name="Bench",
        local_email="bench@example.com",
        local_groups=frozenset(),
    )
    clock = _Clock()
    engine = open_database(f"sqlite:///{folder / 'door.db'}")
    ask = Asking(open_beside(engine))
    try:
        await migrate(engine)
        auth = Auth(settings, engine, ask=ask, clock=clock)
        await auth.start()
        tokens = [await auth.local_token(ttl_s=3_600) for _ in range(TIMES)]
        passed = auth.door(_nothing)
        taken: Taken = {"first sight": [], "revocation asked again": [], "remembered": []}
        for token in tokens:
            taken["first sight"].append(await _ms(passed, token))
        for _ in range(TIMES):
            clock.advance(FRESH_S + 0.01)
            taken["revocation asked again"].append(await _ms(passed, tokens[0]))
            taken["remembered"].append(await _ms(passed, tokens[0]))
    finally:
        await ask.close()
        await engine.dispose()
    return taken


async def _nothing(_scope: Scope, _receive: Receive, _send: Send) -> None:
    pass


async def _ms(app: Callable[[Scope, Receive, Send], Awaitable[None]], token: str) -> float:
    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/mcp",
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {token}".encode())],
    }
    started = time.perf_counter()
    await app(scope, _never, _refused)
    return (time.perf_counter() - started) * 1_000


async def _never() -> Message:
    raise AssertionError("nothing reads the body")


async def _refused(message: Message) -> None:
    raise AssertionError(f"the door refused: {message}")
