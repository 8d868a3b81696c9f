"""Sign-in through the company's provider. Read ``callback`` from top to bottom: it is the way back.

The way there: an agent's request is judged and its person asked first (``authorization/consent.py``); only a yes leads
through ``departure.py`` to the provider. Whoever opens the portal itself presses a button for it.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from shared_auth.authorization.client import Client
from shared_auth.authorization.consent import Consent
from shared_auth.authorization.pages import page, redirect, refuse
from shared_auth.authorization.parameters import MAX_QUERY_BYTES, Parameters, pairs, unique
from shared_auth.authorization.questions import Question
from shared_auth.authorization.requests import error_location
from shared_auth.authorization.sessions import Cookies, Session, Sessions, require_same_origin
from shared_auth.authorization.way_back import WayBack
from shared_auth.identity.departure import Departure
from shared_auth.identity.exchange import Exchange
from shared_auth.identity.logins import Login, Logins
from shared_auth.identity.provider import Discovery
from shared_auth.people import People
from shared_auth.reasons import ALARMS, Denied, Reason

log = logging.getLogger("shared_auth")


class ProviderSignIn:
    """The pages of the sign-in through the provider."""

    def __init__(
        self,
        departure: Departure,
        discovery: Discovery,
        exchange: Exchange,
        logins: Logins,
        people: People,
        sessions: Sessions,
        cookies: Cookies,
        way_back: WayBack,
        consent: Consent,
        *,
        issuer: str,
        clock: Callable[[], float],
    ) -> None:
        self._departure = departure
        self._discovery = discovery
        self._exchange = exchange
        self._logins = logins
        self._people = people
        self._sessions = sessions
        self._cookies = cookies
        self._way_back = way_back
        self._consent = consent
        self._issuer = issuer
        self._clock = clock

    async def show(self, _request: Request) -> Response:
        """Answer ``GET /sign-in`` with the button that leads to the provider, and change nothing."""
        settings = self._departure.settings
        return page("sign_in_provider.html", form_target=settings.form_target, provider=settings.name)

    async def sign_in(self, request: Request) -> Response:
        """Answer ``POST /sign-in``: leave for the provider, with the page that the person came for. Raises Denied."""
        require_same_origin(request, self._issuer)
        self._departure.admit(request)
        response = await self._departure.leave(None, page=self._way_back.page(request))
        self._way_back.forget(response)
        return response

    async def callback(self, request: Request) -> Response:
        """1. The browser that left? 2. Once. 3. The provider that was asked? 4. Who is it? 5. Bind the yes to them.

        Raises Denied. What goes wrong after step 2 is told to the agent that waits, too.
        """
        query = request.scope["query_string"]
        if len(query) > MAX_QUERY_BYTES:
            raise Denied(Reason.BODY_TOO_LARGE)
        given = unique(pairs(query))
        state = given.get("state", "")
        left_with = self._cookies.departed(request, state)
        if not state or not hmac.compare_digest(left_with.encode(), state.encode()):
            raise Denied(Reason.LOGIN_UNKNOWN)
        login = await self._logins.spend(state)
        # Before anything else that may fail: a client that has gone is told nothing at its old address.
        client = None if login.question is None else await self._consent.client(login.question)
        try:
            code = await self._code(given)
            person, sid = await self._exchange.person(code, login, redirect_uri=self._departure.redirect_uri)
            await self._people.remember(person, now=int(self._clock()))
            session, session_id = await self._sign_in(request, person.subject, sid)
            response = await self._onward(session, login, client)
        except Denied as denied:
            if login.question is None:
                raise
            response = self._tell(denied.reason, login.question)
        else:
            self._cookies.start(response, session_id)
        self._cookies.returned(response, state)
        return response

    async def _code(self, given: Parameters) -> str:
        provider = await self._discovery.provider()
        # RFC 9207 section 2.4: the answer of another provider is recognised before its code is sent anywhere.
        stated = given.get("iss", None if provider.states_issuer else self._departure.settings.issuer)
        if stated != self._departure.settings.issuer:
            raise Denied(Reason.PROVIDER_FOREIGN)
        if "error" in given or "code" not in given:
            raise Denied(Reason.PROVIDER_REFUSED)
        return given["code"]

    async def _sign_in(self, request: Request, subject: str, sid: str) -> tuple[Session, str]:
        """End the session that the browser had, so that none outlives its person, and start a new one."""
        before = self._cookies.session(request)
        if before is not None:
            await self._sessions.end(before)
        session_id = await self._sessions.start(subject, sid=sid)
        return Session.of(session_id, subject, sid), session_id

    async def _onward(self, session: Session, login: Login, client: Client | None) -> Response:
        if login.question is None or client is None:
            return redirect(self._way_back.address(login.page))
        return await self._consent.agree(session, login.question, client)

    def _tell(self, reason: Reason, question: Question) -> Response:
        level = logging.WARNING if reason in ALARMS else logging.INFO
        log.log(level, "sign_in.refused", extra={"reason": reason.value})
        return refuse(reason, error_location(reason, question.redirect_uri, question.state, self._issuer))
