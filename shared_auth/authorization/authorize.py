"""The authorization endpoint. Read ``endpoint`` from top to bottom: it is the flow."""

from __future__ import annotations

import logging

from starlette.requests import Request
from starlette.responses import Response

from shared_auth.authorization import redirects, requests
from shared_auth.authorization.clients import Clients
from shared_auth.authorization.consent import Consent
from shared_auth.authorization.grants import Grants
from shared_auth.authorization.pages import page, refuse
from shared_auth.authorization.sessions import Cookies, Sessions
from shared_auth.people import People
from shared_auth.settings import AuthSettings

log = logging.getLogger("shared_auth")


class Authorize:
    """``GET /authorize``."""

    def __init__(
        self,
        settings: AuthSettings,
        clients: Clients,
        sessions: Sessions,
        cookies: Cookies,
        people: People,
        grants: Grants,
        consent: Consent,
    ) -> None:
        self._settings = settings
        self._clients = clients
        self._sessions = sessions
        self._cookies = cookies
        self._people = people
        self._grants = grants
        self._consent = consent

    async def endpoint(self, request: Request) -> Response:
        """1. Judge the request. 2. Who is signed in? 3. Has this person agreed to this client before? 4. Ask.

        Raises Denied while it is not known where an answer may go.
        """
        query, settings = request.scope["query_string"], self._settings
        try:
            wanted = await requests.read(query, self._clients, issuer=settings.issuer, resource=settings.resource)
        except requests.Refused as refused:
            log.info("authorize.refused", extra={"reason": refused.reason.value})
            return refuse(refused.reason, refused.location)
        session = await self._sessions.find(self._cookies.session(request))
        person = None if session is None else await self._people.find(session.subject)
        if session is None or person is None:
            question = await self._consent.ask_browser(request, wanted)
            if question is not None:
                return question
            response = page("not_signed_in.html", client=wanted.client.name, local=settings.local_sign_in)
            self._cookies.wait(response, query)
            return response
        grant = self._consent.grant(session, wanted.client, wanted.redirect_uri, wanted.scope)
        # On loopback any program on the machine may use the client's name and wait at the address: always ask.
        if not redirects.is_loopback(wanted.redirect_uri) and await self._grants.agreed(grant):
            return await self._consent.grant_code(grant, challenge=wanted.challenge, state=wanted.state)
        return await self._consent.ask(session, person, wanted)
