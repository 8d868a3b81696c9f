"""A vendor's OAuth for tests and demos: GitLab's, Atlassian's, Sentry's or Google's habits, by data.

It is strict where the vendors are: a refresh token that was used before ends everything that came from it, so that two
refreshes at once are seen in a test. It keeps everything in memory and is nobody's authorization server.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote_plus, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

CALLBACK = "/connect/callback"
CLIENT_ID, CLIENT_SECRET = "portal", "emulated-secret"
CODE_S = 60


@dataclass(frozen=True, slots=True)
class Habits:
    """How a vendor behaves.

    ``rotation``: after a refresh ``pair`` ends the old access and refresh token, ``refresh`` the refresh token alone,
    and ``never`` neither, and gives no new one. ``dead_status`` goes with ``invalid_grant``. ``withheld`` are scopes
    that people do not grant. ``needs`` are parameters without which the authorization page is an error.
    With ``revoke_ends_all`` one revoked token ends all that its person let in. ``write_scope`` is what a token must
    hold to change anything. ``per_minute`` bounds the requests to the token endpoint, 0 does not.
    """

    name: str
    authorize: str
    token: str
    revoke: str = ""
    revoke_ends_all: bool = False
    sites: str = ""
    site_list: tuple[Mapping[str, Any], ...] = ()
    body: Literal["form", "json"] = "form"
    pkce: Literal["required", "ignored"] = "required"
    rotation: Literal["pair", "refresh", "never"] = "pair"
    dead_status: int = 400
    redirect_uri_on_refresh: bool = False
    expires_in: int = 3_600
    withheld: frozenset[str] = frozenset()
    needs: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    refresh_needs_scope: str = ""
    issuer: str = ""
    write_scope: str = ""
    per_minute: int = 0


GITLAB = Habits(
    "GitLab",
    "/oauth/authorize",
    "/oauth/token",
    revoke="/oauth/revoke",
    expires_in=7_200,
    redirect_uri_on_refresh=True,
)
JIRA = Habits(
    "Jira",
    "/authorize",
    "/oauth/token",
    sites="/oauth/token/accessible-resources",
    site_list=(
        {"id": "11111111-aaaa", "name": "acme", "url": "https://acme.atlassian.example", "scopes": [], "avatarUrl": ""},
        {"id": "22222222-bbbb", "name": "labs", "url": "https://labs.atlassian.example", "scopes": [], "avatarUrl": ""},
    ),
    body="json",
    pkce="ignored",
    rotation="refresh",
    dead_status=403,
    needs=MappingProxyType({"audience": "api.atlassian.com", "prompt": "consent"}),
    refresh_needs_scope="offline_access",
)
SENTRY = Habits(
    "Sentry",
    "/oauth/authorize/",
    "/oauth/token/",
    sites="/api/0/organizations/",
    site_list=({"id": "1", "slug": "acme", "name": "Acme"},),
    rotation="refresh",
    expires_in=2_591_999,
)
GOOGLE = Habits(
    "Google",
    "/o/oauth2/v2/auth",
    "/token",
    revoke="/revoke",
    revoke_ends_all=True,
    rotation="never",
    expires_in=3_599,
    needs=MappingProxyType({"access_type": "offline"}),
)
HABITS = MappingProxyType({"gitlab": GITLAB, "jira": JIRA, "sentry": SENTRY, "google": GOOGLE})


@dataclass(slots=True)
class _Family:
    """What came from one consent."""

    person: str
    scope: str
    access: dict[str, float] = field(default_factory=dict)
    refresh: str = ""
    spent: set[str] = field(default_factory=set)
    ended: bool = False


class OAuthEmulator:
    """One vendor. ``people`` are who can sign in there; ``said`` overrides the next answers of the token endpoint."""

    def __init__(
        self,
        habits: Habits = GITLAB,
        *,
        people: tuple[str, ...] = ("ada", "grace"),
        clock: Callable[[], float] = time.time,
        client_id: str = CLIENT_ID,
        client_secret: str = CLIENT_SECRET,
    ) -> None:
        self.habits = habits
        self.refreshes = 0
        self.reused = 0
        self.revoked = 0
        self.said: list[Response] = []
        self._people = people
        self._clock = clock
        self._client = (client_id, client_secret)
        self._codes: dict[str, tuple[dict[str, str], _Family, float]] = {}
        self._families: list[_Family] = []
        self._asked_at: list[float] = []

    def routes(self) -> list[Route]:
        """Return the vendor's endpoints."""
        habits = self.habits
        found = [
            Route(habits.authorize, self._ask, methods=["GET"]),
            Route(habits.authorize, self._agree, methods=["POST"]),
            Route(habits.token, self._token, methods=["POST"]),
        ]
        if habits.revoke:
            found.append(Route(habits.revoke, self._revoke, methods=["POST"]))
        if habits.sites:
            found.append(Route(habits.sites, self._sites, methods=["GET"]))
        return found

    def before(self, app: ASGIApp) -> ASGIApp:
        """Return a vendor whose API is ``app``, for people alone: ``request.state.person`` says who asks."""

        async def for_people(scope: Scope, receive: Receive, send: Send) -> None:
            headers = dict(scope["headers"])
            authorization = headers.get(b"authorization", b"").decode("latin-1")
            person = self.person_of(authorization)
            if person is None:
                await JSONResponse({"message": "401 Unauthorized"}, 401)(scope, receive, send)
                return
            needed = self.habits.write_scope
            if needed and scope["method"] not in {"GET", "HEAD"} and needed not in self._scopes_of(authorization):
                said = "The request requires higher privileges than provided by the access token."
                refusal = {"error": "insufficient_scope", "error_description": said, "scope": needed}
                await JSONResponse(refusal, 403)(scope, receive, send)
                return
            await app({**scope, "state": {**scope.get("state", {}), "person": person}}, receive, send)

        return Router([*self.routes(), Mount("/", for_people)])

    def person_of(self, authorization: str) -> str | None:
        """Return whose token a request's Authorization header holds, None for one that is not valid."""
        family = self._family_of(authorization)
        return None if family is None else family.person

    def _family_of(self, authorization: str) -> _Family | None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        for family in self._families:
            if not family.ended and family.access.get(token, 0.0) > self._clock():
                return family
        return None

    def _scopes_of(self, authorization: str) -> list[str]:
        family = self._family_of(authorization)
        return [] if family is None else family.scope.split()

    def withdraw(self, person: str) -> None:
        """Let ``person`` remove the portal from the applications that they let in."""
        for family in self._families:
            family.ended = family.ended or family.person == person

    def change(self, **habits: Any) -> None:
        """Change habits from now on."""
        self.habits = replace(self.habits, **habits)

    async def _ask(self, request: Request) -> Response:
        given = dict(request.query_params)
        fault = self._fault(given)
        if fault:
            return HTMLResponse(f"<h1>{html.escape(self.habits.name)}</h1><p>{fault}</p>", 400)
        query = html.escape(json.dumps(given))
        buttons = "".join(f'<p><button name="person" value="{p}">Allow as {p}</button></p>' for p in self._people)
        return HTMLResponse(
            f"<!doctype html><title>{self.habits.name}</title><h1>{self.habits.name} (emulated)</h1>"
            f"<p>The portal asks for: {html.escape(given.get('scope', 'nothing'))}</p>"
            f'<form method="post" action="{self.habits.authorize}">'
            f'<input type="hidden" name="query" value="{query}">{buttons}'
            '<p><button name="person" value="">Deny</button></p></form>'
        )

    async def _agree(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
        given: dict[str, str] = json.loads(form["query"])
        fault = self._fault(given)
        if fault or form["person"] not in {*self._people, ""}:
            return HTMLResponse(f"<p>{fault}</p>", 400)
        said = {"state": given.get("state", "")}
        if self.habits.issuer:
            said["iss"] = self.habits.issuer
        if form["person"]:
            said["code"] = self.grant(form["person"], given)
        else:
            said |= {"error": "access_denied", "error_description": "<script>the person said no</script>"}
        return RedirectResponse(f"{given['redirect_uri']}?{urlencode(said)}", 303)

    def grant(self, person: str, given: Mapping[str, str]) -> str:
        """Return a code, as if ``person`` had agreed to the authorization request ``given``."""
        scope = " ".join(s for s in given.get("scope", "").split() if s not in self.habits.withheld)
        code = secrets.token_urlsafe(24)
        self._codes[code] = (dict(given), _Family(person, scope), self._clock() + CODE_S)
        return code

    def _fault(self, given: Mapping[str, str]) -> str:
        if given.get("client_id") != self._client[0] or not given.get("redirect_uri", "").endswith(CALLBACK):
            return "unknown client or redirect address"
        if given.get("response_type") != "code":
            return "response_type must be code"
        if self.habits.pkce == "required" and given.get("code_challenge_method") != "S256":
            return "PKCE is required"
        missing = [name for name, value in self.habits.needs.items() if given.get(name) != value]
        return f"missing: {', '.join(missing)}" if missing else ""

    async def _token(self, request: Request) -> Response:
        form = await self._form(request)
        refused = self.said.pop(0) if self.said else self._refused(request, form)
        if refused is not None or form is None:
            return refused or _error(400, "invalid_request")
        if form.get("grant_type") == "authorization_code":
            return self._by_code(form)
        if form.get("grant_type") == "refresh_token":
            return self._by_refresh(form)
        return _error(400, "unsupported_grant_type")

    def _refused(self, request: Request, form: Mapping[str, Any] | None) -> Response | None:
        now = self._clock()
        self._asked_at = [*(at for at in self._asked_at if at > now - 60), now]
        if 0 < self.habits.per_minute < len(self._asked_at):
            return JSONResponse({"error": "too_many_requests"}, 429, headers={"Retry-After": "60"})
        if form is not None and self._authenticated(request, form) != self._client:
            return _error(401, "invalid_client")
        return None

    def _by_code(self, form: Mapping[str, Any]) -> Response:
        asked, family, until = self._codes.pop(str(form.get("code")), ({}, None, 0.0))
        if family is None or until < self._clock() or form.get("redirect_uri") != asked["redirect_uri"]:
            return self._dead()
        challenge = asked.get("code_challenge", "")
        if self.habits.pkce == "required" and _s256(str(form.get("code_verifier", ""))) != challenge:
            return self._dead()
        self._families.append(family)
        return self._issue(family)

    def _by_refresh(self, form: Mapping[str, Any]) -> Response:
        token = str(form.get("refresh_token"))
        if self.habits.redirect_uri_on_refresh and not str(form.get("redirect_uri", "")).endswith(CALLBACK):
            return _error(400, "invalid_request")
        for family in self._families:
            if token in family.spent:
                self.reused += 1
                family.ended = True
            elif token == family.refresh and token and not family.ended:
                self.refreshes += 1
                return self._issue(family)
        return self._dead()

    def _issue(self, family: _Family) -> Response:
        habits = self.habits
        first = not family.access
        if habits.rotation == "pair":
            family.access.clear()
        access = secrets.token_urlsafe(24)
        family.access[access] = self._clock() + habits.expires_in
        said = {"access_token": access, "token_type": "Bearer", "expires_in": habits.expires_in, "scope": family.scope}
        refreshable = habits.refresh_needs_scope in {"", *family.scope.split()}
        if refreshable and (first or habits.rotation != "never"):
            if family.refresh:
                family.spent.add(family.refresh)
            family.refresh = secrets.token_urlsafe(24)
            said["refresh_token"] = family.refresh
        return JSONResponse(said)

    async def _revoke(self, request: Request) -> Response:
        form = await self._form(request) or {}
        if self._authenticated(request, form) != self._client:
            return _error(401, "invalid_client")
        for family in self._families:
            if form.get("token") in {family.refresh, *family.access} and not family.ended:
                family.ended = True
                self.revoked += 1
                if self.habits.revoke_ends_all:
                    self.withdraw(family.person)
        return JSONResponse({})

    async def _sites(self, request: Request) -> Response:
        if self.person_of(request.headers.get("authorization", "")) is None:
            return JSONResponse({"message": "Unauthorized"}, 401)
        return JSONResponse(list(self.habits.site_list))

    async def _form(self, request: Request) -> dict[str, Any] | None:
        kind = "application/json" if self.habits.body == "json" else "application/x-www-form-urlencoded"
        if request.headers.get("content-type", "").partition(";")[0] != kind:
            return None
        raw = await request.body()
        found: dict[str, Any] = json.loads(raw) if self.habits.body == "json" else dict(parse_qsl(raw.decode()))
        return found

    @staticmethod
    def _authenticated(request: Request, form: Mapping[str, Any]) -> tuple[str, str]:
        header = request.headers.get("authorization", "")
        if header.startswith("Basic "):
            name, _, secret = base64.b64decode(header.removeprefix("Basic ")).decode().partition(":")
            return unquote_plus(name), unquote_plus(secret)
        return str(form.get("client_id")), str(form.get("client_secret"))

    def _dead(self) -> Response:
        return _error(self.habits.dead_status, "invalid_grant")


def _error(status: int, error: str) -> Response:
    return JSONResponse({"error": error, "error_description": f"{error}, as the emulator says it"}, status)


def _s256(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
