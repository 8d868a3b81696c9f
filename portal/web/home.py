"""The page behind the sign-in link: how to connect an agent, and what stands behind the portal for this person."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from portal.catalogue.live import LiveCatalogue
from portal.catalogue.records import Effect
from portal.gate import Gate
from portal.programs.pauses import Pauses, Person
from portal.snippets import snippets
from portal.web.pages import show
from shared_auth.service import Auth


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
            return show("welcome.html", status=401, link=self._sign_in_link)
        allowed = self._gate.allowed(principal)
        current = self._catalogue.current
        rows = []
        for state in current.states:
            effects = Counter(tool.effect for tool in current.tools if tool.server == state.name and allowed(tool))
            rows.append(
                _Row(state.name, state.summary, state.state, state.detail, {name: effects[name] for name in effects})
            )
        return show(
            "home.html",
            person=principal,
            waiting=len(await self._pauses.waiting(Person.of(principal))),
            rows=rows,
            snippets=snippets(self._endpoint),
            endpoint=self._endpoint,
            connections=bool(self._auth.vault.servers),
        )
