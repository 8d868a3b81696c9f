"""Consent: nothing is granted before a person has said yes on our page to this client and this address.

Each question has its own random id, in the form only, tied to the browser and answered at most once. That id is the
CSRF token: another site can neither read it nor use one that was made for another browser.

Through a company's provider the question comes first and the person after (MCP: confused deputy): who is not signed in
is asked as a browser, and the yes is bound to the person whom the provider then names in that browser.
"""

from __future__ import annotations

import logging

from starlette.requests import Request
from starlette.responses import Response

from shared_auth import opaque
from shared_auth.authorization import redirects
from shared_auth.authorization.client import Client
from shared_auth.authorization.clients import Clients
from shared_auth.authorization.codes import Codes
from shared_auth.authorization.grants import Grant
from shared_auth.authorization.pages import page, redirect
from shared_auth.authorization.parameters import read_form
from shared_auth.authorization.questions import Question, Questions
from shared_auth.authorization.requests import AuthorizationRequest, error_location
from shared_auth.authorization.sessions import Cookies, Session, Sessions, require_same_origin
from shared_auth.identity.departure import Departure
from shared_auth.people import Person
from shared_auth.reasons import Denied, Reason
from shared_auth.settings import AuthSettings

log = logging.getLogger("shared_auth")


class Consent:
    """Asks, takes the answer, and lets the client have its code."""

    def __init__(
        self,
        settings: AuthSettings,
        questions: Questions,
        clients: Clients,
        codes: Codes,
        sessions: Sessions,
        cookies: Cookies,
        departure: Departure | None,
    ) -> None:
        self._settings = settings
        self._questions = questions
        self._clients = clients
        self._codes = codes
        self._sessions = sessions
        self._cookies = cookies
        self._departure = departure

    async def ask(self, session: Session, person: Person, request: AuthorizationRequest) -> Response:
        """Return the page that asks ``person``."""
        return self._page(request, await self._questions.ask(session.session_hash, request), person, "")

    async def ask_browser(self, request: Request, wanted: AuthorizationRequest) -> Response | None:
        """Return the page that asks whoever sits before the browser that sent ``request``, and a cookie to know it.

        None when people do not sign in elsewhere: then they sign in first. Raises Denied for too many at once.
        """
        if self._departure is None:
            return None
        self._departure.admit(request)
        provider = self._departure.settings.name
        browser = self._cookies.browser(request) or opaque.new("browser")
        response = self._page(wanted, await self._questions.ask(opaque.digest(browser), wanted), None, provider)
        self._cookies.know(response, browser)
        return response

    async def endpoint(self, request: Request) -> Response:
        """Answer ``POST /consent``. Raises Denied; then nothing was granted and nobody is redirected."""
        require_same_origin(request, self._settings.issuer)
        form = await read_form(request)
        session = await self._sessions.find(self._cookies.session(request))
        if session is None and self._departure is None:
            raise Denied(Reason.NOT_SIGNED_IN)
        if form.get("decision") not in {"allow", "deny"}:
            raise Denied(Reason.PARAMETER_MALFORMED)
        question = await self._questions.answer(self._asked(request, session), form.get("consent", ""))
        client = await self.client(question)
        if form["decision"] == "deny":
            denied = Reason.PERSON_DENIED
            issuer = self._settings.issuer
            return redirect(error_location(denied, question.redirect_uri, question.state, issuer))
        if session is not None:
            return await self.agree(session, question, client)
        assert self._departure is not None  # noqa: S101 - said above
        return await self._departure.leave(question)

    async def client(self, question: Question) -> Client:
        """Return the client, which may have gone or changed its addresses while the person read. Raises Denied."""
        client = await self._clients.find(question.client_id)
        client.redirect_uri(question.redirect_uri)
        return client

    async def agree(self, session: Session, question: Question, client: Client) -> Response:
        """Return the redirect that takes the client its code: the person of ``session`` has said yes."""
        grant = self.grant(session, client, question.redirect_uri, question.scope)
        return await self.grant_code(grant, challenge=question.challenge, state=question.state)

    def grant(self, session: Session, client: Client, redirect_uri: str, scope: str) -> Grant:
        """Return the grant that a yes would make. Nothing is stored."""
        resource, grant_id = self._settings.resource, opaque.new("grant")
        who, name = (grant_id, session.subject, client.client_id), client.name
        return Grant(*who, name, redirect_uri, resource, scope, session.sid)

    async def grant_code(self, grant: Grant, *, challenge: str, state: str | None) -> Response:
        """Store ``grant`` and return the redirect that takes a code for it, ``state`` and ``iss`` to the client."""
        code = await self._codes.issue(grant, challenge=challenge)
        log.info(
            "grant.agreed",
            extra={"grant_id": grant.grant_id, "subject": grant.subject, "client_id": grant.client_id},
        )
        return redirect(redirects.answer(grant.redirect_uri, code=code, state=state, iss=self._settings.issuer))

    def _asked(self, request: Request, session: Session | None) -> list[str]:
        """Return as whom this browser may have been asked; it may have signed in since, in another window."""
        browser = self._cookies.browser(request)
        return [
            *([] if session is None else [session.session_hash]),
            *([] if browser is None or self._departure is None else [opaque.digest(browser)]),
        ]

    def _page(self, request: AuthorizationRequest, consent: str, person: Person | None, provider: str) -> Response:
        form_target = redirects.form_target(request.redirect_uri)
        if person is None and self._departure is not None:
            form_target = f"{form_target} {self._departure.settings.form_target}"
        return page(
            "consent.html",
            form_target=form_target,
            consent=consent,
            client=request.client.name,
            publisher=request.client.publisher,
            declared=request.client.declared is not None,
            host=redirects.host(request.redirect_uri),
            address=request.redirect_uri,
            loopback=redirects.is_loopback(request.redirect_uri),
            person=person,
            provider=provider,
            scopes=request.scope.split(),
            resource=self._settings.resource,
        )
