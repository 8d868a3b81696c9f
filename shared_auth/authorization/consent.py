"""Consent: nothing is granted before the signed-in person has said yes on our page to this client and this address.

Each question has its own random id, in the form only, tied to the browser session and answered at most once. That id
is the CSRF token: another site can neither read it nor use one that was made for another session.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request
from starlette.responses import Response

from shared_auth import opaque
from shared_auth.authorization import redirects
from shared_auth.authorization.clients import Client, Clients
from shared_auth.authorization.codes import Codes
from shared_auth.authorization.grants import Grant
from shared_auth.authorization.pages import page, redirect
from shared_auth.authorization.parameters import read_form
from shared_auth.authorization.requests import AuthorizationRequest, error_location
from shared_auth.authorization.sessions import Cookies, Session, Sessions, require_same_origin
from shared_auth.people import Person
from shared_auth.reasons import Denied, Reason
from shared_auth.settings import AuthSettings
from shared_auth.store import changed, consents

log = logging.getLogger("shared_auth")

CONSENT_S = 600


@dataclass(frozen=True, slots=True)
class Question:
    """What the person was asked, as it was stored."""

    client_id: str
    redirect_uri: str
    state: str | None
    scope: str
    challenge: str


class Questions:
    """The questions that wait for an answer."""

    def __init__(self, engine: AsyncEngine, *, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._clock = clock

    async def ask(self, session: Session, request: AuthorizationRequest) -> str:
        """Store a question for ``session`` and return its id."""
        consent = opaque.new("consent")
        values = {
            "consent_hash": opaque.digest(consent),
            "session_hash": session.session_hash,
            "client_id": request.client.client_id,
            "redirect_uri": request.redirect_uri,
            "state": request.state,
            "scope": request.scope,
            "challenge": request.challenge,
            "expires_at": int(self._clock()) + CONSENT_S,
        }
        async with self._engine.begin() as connection:
            await connection.execute(insert(consents).values(**values))
        return consent

    async def answer(self, session: Session, consent: str) -> Question:
        """Return the question, the first time and to its own session only. Raises Denied (CONSENT_UNKNOWN)."""
        now, name = int(self._clock()), consents.c.consent_hash == opaque.digest(consent)
        mine = name & (consents.c.session_hash == session.session_hash)
        open_now = consents.c.used_at.is_(None) & (consents.c.expires_at > now)
        async with self._engine.begin() as connection:
            first = await changed(connection, update(consents).where(mine, open_now).values(used_at=now))
            columns = [consents.c[column] for column in Question.__dataclass_fields__]
            row = (await connection.execute(select(*columns).where(mine))).first()
        if not first or row is None:
            raise Denied(Reason.CONSENT_UNKNOWN)
        return Question(*row)

    async def prune(self) -> int:
        """Delete questions that are answered or expired."""
        over = consents.c.used_at.is_not(None) | (consents.c.expires_at <= int(self._clock()))
        async with self._engine.begin() as connection:
            return await changed(connection, delete(consents).where(over))


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
    ) -> None:
        self._settings = settings
        self._questions = questions
        self._clients = clients
        self._codes = codes
        self._sessions = sessions
        self._cookies = cookies

    async def ask(self, session: Session, person: Person, request: AuthorizationRequest) -> Response:
        """Return the page that asks ``person``."""
        return page(
            "consent.html",
            form_target=redirects.form_target(request.redirect_uri),
            consent=await self._questions.ask(session, request),
            client=request.client.name,
            declared=request.client.declared is not None,
            host=redirects.host(request.redirect_uri),
            loopback=redirects.is_loopback(request.redirect_uri),
            person=person,
            scopes=request.scope.split(),
            resource=self._settings.resource,
        )

    async def endpoint(self, request: Request) -> Response:
        """Answer ``POST /consent``. Raises Denied; then nothing was granted and nobody is redirected."""
        require_same_origin(request, self._settings.issuer)
        form = await read_form(request)
        session = await self._sessions.find(self._cookies.session(request))
        if session is None:
            raise Denied(Reason.NOT_SIGNED_IN)
        if form.get("decision") not in {"allow", "deny"}:
            raise Denied(Reason.PARAMETER_MALFORMED)
        question = await self._questions.answer(session, form.get("consent", ""))
        # The client may have been deleted, or its addresses changed, while the person was reading.
        client = await self._clients.find(question.client_id)
        client.redirect_uri(question.redirect_uri)
        if form["decision"] == "deny":
            denied = Reason.PERSON_DENIED
            issuer = self._settings.issuer
            return redirect(error_location(denied, question.redirect_uri, question.state, issuer))
        grant = self.grant(session, client, question.redirect_uri, question.scope)
        return await self.grant_code(grant, challenge=question.challenge, state=question.state)

    def grant(self, session: Session, client: Client, redirect_uri: str, scope: str) -> Grant:
        """Return the grant that a yes would make. Nothing is stored."""
        resource = self._settings.resource
        grant_id = opaque.new("grant")
        return Grant(grant_id, session.subject, client.client_id, client.name, redirect_uri, resource, scope)

    async def grant_code(self, grant: Grant, *, challenge: str, state: str | None) -> Response:
        """Store ``grant`` and return the redirect that takes a code for it, ``state`` and ``iss`` to the client."""
        code = await self._codes.issue(grant, challenge=challenge)
        log.info(
            "grant.agreed",
            extra={"grant_id": grant.grant_id, "subject": grant.subject, "client_id": grant.client_id},
        )
        return redirect(redirects.answer(grant.redirect_uri, code=code, state=state, iss=self._settings.issuer))
