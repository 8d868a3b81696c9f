"""Signing out ends the browser's session here. To the provider, the person is shown the way and goes by a click."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from shared_auth.authorization.pages import page
from shared_auth.authorization.sessions import Cookies, Sessions, require_same_origin
from shared_auth.identity.departure import Departure
from shared_auth.reasons import Denied


class SignOut:
    """``POST /sign-out``."""

    def __init__(self, sessions: Sessions, cookies: Cookies, departure: Departure | None, *, issuer: str) -> None:
        self._sessions = sessions
        self._cookies = cookies
        self._departure = departure
        self._issuer = issuer

    async def endpoint(self, request: Request) -> Response:
        """End the session. Agents keep their grants: those are revoked, not signed out. Raises Denied."""
        require_same_origin(request, self._issuer)
        session_id = self._cookies.session(request)
        if session_id is not None:
            await self._sessions.end(session_id)
        response = page("signed_out.html", provider=self._name, link=await self._link())
        self._cookies.end(response)
        return response

    @property
    def _name(self) -> str:
        return "" if self._departure is None else self._departure.settings.name

    async def _link(self) -> str:
        try:
            return "" if self._departure is None else await self._departure.end_session()
        except Denied:
            return ""  # the provider is down: being signed out here must not wait for it
