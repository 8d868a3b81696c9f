"""The page behind the sign-in link: how to connect an agent, and what stands behind the portal for this person."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from portal.catalogue.live import LiveCatalogue
from portal.catalogue.records import Effect
from portal.gate import Gate
from portal.programs.pauses import Pauses, Person
from portal.snippets import snippets
from shared_auth.service import Auth

HEADERS = {
    # Nothing but this page's own style; it may not be framed, sniffed, cached or leaked by a referrer.
    "Content-Security-Policy": "default-src 'none'; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; "
    "form-action 'self'; base-uri 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: with it browsers send "Origin: null" with the sign-out form, and it would be refused.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
PAGES = Environment(loader=PackageLoader("portal.web"), autoescape=True)


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    summary: str
    state: str
    detail: str
    effects: dict[Effect, int]


class Home:
    """Answers ``/``."""

    def __init__(
        self,
        auth: Auth,
        catalogue: LiveCatalogue,
        gate: Gate,
        pauses: Pauses,
        endpoint: str,
        *,
        sign_in_link: bool = True,
    ) -> None:
        self._auth = auth
        self._catalogue = catalogue
        self._gate = gate
        self._pauses = pauses
        self._endpoint = endpoint
        self._sign_in_link = sign_in_link

    async def page(self, request: Request) -> Response:
        """Show a signed-in person their portal, and anybody else how to sign in."""
        principal = await self._auth.session_principal(request)
        if principal is None:
            page = PAGES.get_template("signed_out.html").render(link=self._sign_in_link)
            return HTMLResponse(page, 401, headers=HEADERS)
        allowed = self._gate.allowed(principal)
        current = self._catalogue.current
        rows = []
        for state in current.states:
            effects = Counter(tool.effect for tool in current.tools if tool.server == state.name and allowed(tool))
            rows.append(
                _Row(state.name, state.summary, state.state, state.detail, {name: effects[name] for name in effects})
            )
        page = PAGES.get_template("home.html").render(
            person=principal,
            waiting=len(await self._pauses.waiting(Person.of(principal))),
            rows=rows,
            snippets=snippets(self._endpoint),
            endpoint=self._endpoint,
            connections=bool(self._auth.vault.servers),
        )
        return HTMLResponse(page, headers=HEADERS)
