"""Browser sessions: a random id in a cookie that scripts cannot read, its hash in the database, twelve hours long."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request
from starlette.responses import Response

from shared_auth import opaque
from shared_auth.reasons import Denied, Reason
from shared_auth.settings import AuthSettings
from shared_auth.store import changed, sessions

SESSION_S = 12 * 3_600
PENDING_S = 900
MAX_PENDING_CHARS = 2_500
"""Browsers keep at most 4096 bytes of a cookie; a longer request is simply not resumed by itself."""

_QUERY = re.compile(r"[!-~]+")

BROWSER_S = 3_600
DEPARTED_S = 600


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in browser. ``session_hash`` names it in the database and cannot be turned into the cookie.

    ``sid`` is what the company's provider calls its own session, "" when it says nothing of the kind.
    """

    session_hash: str = field(repr=False)
    subject: str
    sid: str = ""

    @classmethod
    def of(cls, session_id: str, subject: str, sid: str) -> Session:
        """Return the session with the id ``session_id``."""
        return cls(opaque.digest(session_id), subject, sid)


class Cookies:
    """The cookies: who is signed in, which authorization request or page of ours waits for the sign-in, and on the way
    through a provider which browser was asked and with which state it left.

    On https they are ``__Host-`` and ``Secure``, so no sibling host and no plain http can set them. On http loopback
    browsers share cookies between ports; the port in the name keeps two portals apart, and keeps nobody out.
    """

    def __init__(self, settings: AuthSettings) -> None:
        self._secure = settings.secure
        prefix, suffix = ("__Host-", "") if settings.secure else ("", f"_{urlsplit(settings.issuer).port or 80}")
        self._session = f"{prefix}portal_session{suffix}"
        self._pending = f"{prefix}portal_pending{suffix}"
        self._browser = f"{prefix}portal_browser{suffix}"
        self._departed = f"{prefix}portal_login{suffix}"
        self._page = f"{prefix}portal_page{suffix}"

    def session(self, request: Request) -> str | None:
        """Return the session id that the browser sent."""
        return request.cookies.get(self._session)

    def start(self, response: Response, session_id: str) -> None:
        """Let the browser be signed in."""
        self._set(response, self._session, session_id, SESSION_S)

    def end(self, response: Response) -> None:
        """Let the browser be signed out."""
        self._set(response, self._session, "", 0)

    def pending(self, request: Request) -> str | None:
        """Return the query of the authorization request that waits, whatever it is: /authorize judges it again."""
        try:
            raw = base64.urlsafe_b64decode(request.cookies.get(self._pending, "")).decode("ascii")
        except ValueError:
            return None
        return raw if _QUERY.fullmatch(raw) else None

    def wait(self, response: Response, query: bytes) -> None:
        """Remember an authorization request until the person has signed in."""
        value = base64.urlsafe_b64encode(query).decode()
        if len(value) <= MAX_PENDING_CHARS:
            self._set(response, self._pending, value, PENDING_S)

    def resume(self, response: Response) -> None:
        """Forget the authorization request that waited."""
        self._set(response, self._pending, "", 0)

    def page(self, request: Request) -> str:
        """Return what ``keep_page`` kept, or whatever else the browser sent; "" for nothing."""
        return request.cookies.get(self._page, "")

    def keep_page(self, response: Response, sealed: str, max_age_s: int) -> None:
        """Let the browser carry the page that its person came for, sealed (``way_back.py``)."""
        self._set(response, self._page, sealed, max_age_s)

    def browser(self, request: Request) -> str | None:
        """Return the id of a browser in which nobody needs to be signed in."""
        return request.cookies.get(self._browser)

    def know(self, response: Response, browser: str) -> None:
        """Let the browser be known by ``browser`` while its person reads a question."""
        self._set(response, self._browser, browser, BROWSER_S)

    def departed(self, request: Request, state: str) -> str:
        """Return the state with which the browser left for the provider, if it is this one; else ""."""
        return request.cookies.get(self._of(state), "")

    def depart(self, response: Response, state: str) -> None:
        """Let the browser carry ``state`` until it comes back."""
        self._set(response, self._of(state), state, DEPARTED_S)

    def returned(self, response: Response, state: str) -> None:
        """Let the browser forget ``state``."""
        self._set(response, self._of(state), "", 0)

    def _of(self, state: str) -> str:
        # One cookie per sign-in: two windows may be on their way at the same time.
        return f"{self._departed}_{opaque.digest(state)[:8]}"

    def _set(self, response: Response, name: str, value: str, max_age_s: int) -> None:
        response.set_cookie(
            name, value, max_age=max_age_s, path="/", secure=self._secure, httponly=True, samesite="lax"
        )


class Sessions:
    """The signed-in browsers."""

    def __init__(self, engine: AsyncEngine, *, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._clock = clock

    async def start(self, subject: str, *, sid: str = "") -> str:
        """Return the id of a new session. Always a new one: an id that was there before is never taken over."""
        session_id, now = opaque.new("session"), int(self._clock())
        values = {"session_hash": opaque.digest(session_id), "subject": subject, "created_at": now, "sid": sid}
        async with self._engine.begin() as connection:
            await connection.execute(insert(sessions).values(**values, expires_at=now + SESSION_S))
        return session_id

    async def find(self, session_id: str | None) -> Session | None:
        """Return the living session, or None."""
        if session_id is None:
            return None
        name = opaque.digest(session_id)
        living = (sessions.c.session_hash == name) & (sessions.c.expires_at > int(self._clock()))
        async with self._engine.connect() as connection:
            row = (await connection.execute(select(sessions.c.subject, sessions.c.sid).where(living))).first()
        return None if row is None else Session(name, row.subject, row.sid)

    async def end(self, session_id: str) -> None:
        """End the session, here and on every replica."""
        async with self._engine.begin() as connection:
            await connection.execute(delete(sessions).where(sessions.c.session_hash == opaque.digest(session_id)))

    async def prune(self) -> int:
        """Delete expired sessions."""
        async with self._engine.begin() as connection:
            return await changed(connection, delete(sessions).where(sessions.c.expires_at <= int(self._clock())))


def require_same_origin(request: Request, issuer: str) -> None:
    """Raises Denied when a browser says that the form came from another site (cross-site request forgery)."""
    origins = request.headers.getlist("origin")
    sites = request.headers.getlist("sec-fetch-site")
    if any(origin != issuer for origin in origins) or any(site not in {"same-origin", "none"} for site in sites):
        raise Denied(Reason.ORIGIN_FOREIGN)
