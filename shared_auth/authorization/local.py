"""The built-in local sign-in: a one-time link, printed where the portal runs, signs in the one configured person.

Opening the link changes nothing; its button does. Mail scanners, link previews and browser prefetch only open links,
so they cannot spend it, and no other site can sign a browser in unseen (login CSRF).
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import ColumnElement, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request
from starlette.responses import Response

from shared_auth import opaque
from shared_auth.authorization.pages import page, redirect
from shared_auth.authorization.parameters import MAX_QUERY_BYTES, pairs, read_form, unique
from shared_auth.authorization.sessions import Cookies, Sessions, require_same_origin
from shared_auth.authorization.way_back import WayBack
from shared_auth.people import Person
from shared_auth.reasons import Denied, Reason
from shared_auth.store import changed, links

LINK_S = 3_600


class Links:
    """One-time sign-in links."""

    def __init__(self, engine: AsyncEngine, *, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._clock = clock

    async def issue(self, subject: str) -> str:
        """Return the code of a new link for ``subject``, good once and for ``LINK_S`` seconds."""
        code = opaque.new("link")
        values = {"link_hash": opaque.digest(code), "subject": subject, "expires_at": int(self._clock()) + LINK_S}
        async with self._engine.begin() as connection:
            await connection.execute(insert(links).values(**values))
        return code

    async def is_fresh(self, code: str) -> bool:
        """Say whether ``code`` could be spent now, without spending it."""
        async with self._engine.connect() as connection:
            return (await connection.execute(select(links.c.subject).where(self._fresh(code)))).first() is not None

    async def spend(self, code: str) -> str:
        """Return the subject of ``code``, the first time. Raises Denied (LINK_UNKNOWN)."""
        async with self._engine.begin() as connection:
            spent = await changed(connection, update(links).where(self._fresh(code)).values(used_at=int(self._clock())))
            mine = select(links.c.subject).where(links.c.link_hash == opaque.digest(code))
            subject = (await connection.execute(mine)).scalar()
        if not spent or subject is None:
            raise Denied(Reason.LINK_UNKNOWN)
        return str(subject)

    async def prune(self) -> int:
        """Delete links that are spent or expired."""
        over = links.c.used_at.is_not(None) | (links.c.expires_at <= int(self._clock()))
        async with self._engine.begin() as connection:
            return await changed(connection, delete(links).where(over))

    def _fresh(self, code: str) -> ColumnElement[bool]:
        return (
            (links.c.link_hash == opaque.digest(code))
            & links.c.used_at.is_(None)
            & (links.c.expires_at > int(self._clock()))
        )


class LocalSignIn:
    """The pages of the local sign-in."""

    def __init__(
        self, links: Links, sessions: Sessions, cookies: Cookies, way_back: WayBack, person: Person, *, issuer: str
    ) -> None:
        self._links = links
        self._sessions = sessions
        self._cookies = cookies
        self._way_back = way_back
        self._person = person
        self._issuer = issuer

    async def show(self, request: Request) -> Response:
        """Answer ``GET /sign-in?code=…`` with the button that signs in, and change nothing. Raises Denied."""
        query = request.scope["query_string"]
        if len(query) > MAX_QUERY_BYTES:
            raise Denied(Reason.BODY_TOO_LARGE)
        code = unique(pairs(query)).get("code", "")
        if await self._links.is_fresh(code):
            # The way on may end with a redirect to a web client that the person agreed to before.
            waiting = self._cookies.pending(request) is not None
            return page("sign_in.html", form_target="https:" if waiting else "", code=code, name=self._person.name)
        if await self._sessions.find(self._cookies.session(request)) is not None:
            return self._onward(request)
        raise Denied(Reason.LINK_UNKNOWN)

    async def sign_in(self, request: Request) -> Response:
        """Answer ``POST /sign-in``: spend the link, start a session, resume the waiting request. Raises Denied."""
        require_same_origin(request, self._issuer)
        subject = await self._links.spend((await read_form(request)).get("code", ""))
        response = self._onward(request)
        self._cookies.start(response, await self._sessions.start(subject))
        return response

    def _onward(self, request: Request) -> Response:
        """Return a redirect to the waiting request, or the page that the person came for. Only ever to ourselves."""
        waiting, back = self._cookies.pending(request), self._way_back.address(self._way_back.page(request))
        response = redirect(f"{self._issuer}/authorize?{waiting}" if waiting else back)
        self._cookies.resume(response)
        self._way_back.forget(response)
        return response
