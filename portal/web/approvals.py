"""Where a person decides on what a program of theirs wants to do: they see all of it, and their answer counts once.

Whoever made the program may be hostile, and so may every text in it: all of it is shown as text, and whatever cannot be
shown whole cannot be allowed. Only the person themself gets here; another's program is not there.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from portal.programs.pauses import Paused, Pauses, Person
from portal.sandbox.contract import PendingCall
from portal.web.pages import show
from portal.web.visible import visible
from shared_auth.authorization.pages import for_people, redirect
from shared_auth.principal import Principal
from shared_auth.reasons import Denied, Reason
from shared_auth.service import Auth

MAX_CALL_CHARS = 50_000
MAX_TICKS = 50
"""With more calls than that there is one answer for all of them: a form has only so many fields."""

_TITLES = {
    "waiting": "A program waits for you",
    "approved": "You have allowed it",
    "refused": "You have refused it",
    "expired": "Its time is over",
    "revoked": "Its access has ended",
    "interrupted": "The process that it waited in has ended",
    "resumed": "It has gone on",
}
_SAID = {
    "approved": "The agent goes on when it asks again, which may be at once.",
    "refused": "The program is told that you refused, when the agent asks again.",
    "expired": "Nobody decided, or the agent did not ask again, in time. It does not go on.",
}


@dataclass(frozen=True, slots=True)
class _Listed:
    id: str
    calls: str
    client: str
    until: str


@dataclass(frozen=True, slots=True)
class _Call:
    """A call that waits, as text. ``whole`` is whether all of it is shown."""

    id: int
    server: str
    tool: str
    effect: str
    ask: bool
    reasons: list[str]
    connect: str
    scopes: list[str]
    arguments: list[tuple[str, str]]
    whole: bool


class Approvals:
    """``/programs`` and ``/programs/<id>``."""

    def __init__(self, auth: Auth, pauses: Pauses, *, sign_in_link: bool = True) -> None:
        self._auth = auth
        self._pauses = pauses
        self._sign_in_link = sign_in_link

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/programs", for_people(self.listing), methods=["GET"]),
            Route("/programs/{id}", for_people(self.page), methods=["GET"]),
            Route("/programs/{id}", for_people(self.decision), methods=["POST"]),
        ]

    async def listing(self, request: Request) -> Response:
        """Show what waits for whoever is signed in."""
        principal = await self._auth.session_principal(request)
        if principal is None:
            return self._signed_out(request)
        found = [
            _Listed(paused.id, _names(paused), visible(paused.client_name), _until(paused))
            for paused in await self._pauses.waiting(Person.of(principal))
        ]
        return show("programs.html", programs=found)

    async def page(self, request: Request) -> Response:
        """Show one program to its person; to anybody else it is not there."""
        principal = await self._auth.session_principal(request)
        if principal is None:
            return self._signed_out(request)
        paused = await self._pauses.asked(Person.of(principal), request.path_params["id"])
        if paused is None:
            return show("program_unknown.html", status=404)
        made = await self._pauses.calls(principal, paused.program_id)
        form_token = await self._auth.form_token(request, about=_about(paused.id))
        return await asyncio.to_thread(self._shown, principal, paused, made, form_token)

    async def decision(self, request: Request) -> Response:
        """Take the answer, once. Raises Denied: then nothing was decided."""
        pause_id = request.path_params["id"]
        form = await self._auth.read_form(request, about=_about(pause_id))
        principal = await self._auth.session_principal(request)
        if principal is None:
            raise Denied(Reason.NOT_SIGNED_IN)
        person = Person.of(principal)
        if form.get("decision") not in {"allow", "refuse"}:
            raise Denied(Reason.PARAMETER_MALFORMED)
        paused = await self._pauses.asked(person, pause_id)
        if paused is None:
            raise Denied(Reason.CONSENT_UNKNOWN)
        agreed: list[int] = []
        if form["decision"] == "allow":
            calls = await asyncio.to_thread(self._calls, paused)
            askable = [call.id for call in calls if call.ask and call.whole]
            agreed = [call for call in askable if not _ticked(calls) or f"call-{call}" in form]
        if not await self._pauses.decide(person, pause_id, agreed, how="page"):
            raise Denied(Reason.CONSENT_UNKNOWN)
        return redirect(f"/programs/{paused.id}")

    def _shown(self, principal: Principal, paused: Paused, made: object, form_token: str) -> Response:
        """Return the page. In a thread: what a program passes may be megabytes."""
        calls = self._calls(paused) if paused.state == "waiting" and paused.outcome == "paused" else []
        asks = [call for call in calls if call.ask]
        state, waits = paused.state, paused.state in {"waiting", "approved", "refused"}
        if waits and paused.outcome != "paused":
            state, waits = "expired", False  # it ended in another way, and waits for nobody
        return show(
            "program.html",
            title=_TITLES[state],
            said=_SAID.get(state, "") or (f"It ended: {paused.outcome}." if state == "resumed" else ""),
            waits=waits,
            held=bool(paused.holder),
            person=principal,
            program=_Listed(paused.id, "", visible(paused.client_name), _until(paused)),
            form_token=form_token,
            calls=calls,
            asks=len(asks),
            some_whole=any(call.whole for call in asks),
            tick=_ticked(calls),
            made=made,
            source=visible(paused.source, lines=True),
        )

    def _calls(self, paused: Paused) -> list[_Call]:
        return [self._call(call) for call in paused.pending]

    def _call(self, call: PendingCall) -> _Call:
        arguments = [
            (visible(name), visible(json.dumps(value, ensure_ascii=False, indent=2), lines=True))
            for name, value in call.arguments.items()
        ]
        whole = sum(len(name) + len(value) for name, value in arguments) <= MAX_CALL_CHARS
        ask = call.need["kind"] == "ask"
        return _Call(
            id=call.id,
            server=call.module,
            tool=f"{call.module}.{call.function}",
            effect=call.need.get("effect", ""),
            ask=ask,
            reasons=call.need.get("reasons", []),
            connect="" if ask else self._pauses.connect_address(call),
            scopes=call.need.get("scopes", []),
            arguments=arguments if whole else [],
            whole=whole,
        )

    def _signed_out(self, request: Request) -> Response:
        response = show("welcome.html", status=401, link=self._sign_in_link)
        self._auth.remember_page(response, request)
        return response


def _about(pause_id: str) -> str:
    """Return what a form is about: one program, which it alone decides on."""
    return f"program:{pause_id}"


def _ticked(calls: list[_Call]) -> bool:
    return 1 < sum(call.ask for call in calls) <= MAX_TICKS


def _names(paused: Paused) -> str:
    tools = [f"{call.module}.{call.function}" for call in paused.pending]
    more = f" and {len(tools) - 3} more" if len(tools) > 3 else ""
    return ", ".join(tools[:3]) + more or "a program"


def _until(paused: Paused) -> str:
    return datetime.fromtimestamp(paused.expires_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M UTC")
