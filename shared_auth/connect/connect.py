"""A person connects their own account at a server's vendor. Read ``leave`` and ``callback``: the way there and back.

Nothing of this is for agents: it needs the person's browser session, and every change a form of our own page. The
vendor's words are never shown, and what it sends back decides nothing about where anybody is sent.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shared_auth.authorization import redirects
from shared_auth.authorization.form_tokens import FormTokens
from shared_auth.authorization.pages import for_people, page, redirect
from shared_auth.authorization.parameters import MAX_QUERY_BYTES, Parameters, pairs, unique
from shared_auth.authorization.sessions import Cookies, Session, Sessions
from shared_auth.authorization.way_back import WayBack
from shared_auth.connect.departures import Departures
from shared_auth.reasons import Denied, Reason
from shared_auth.vault.answers import GrantDead
from shared_auth.vault.credential import CredentialUnavailable, NotConnected, Site
from shared_auth.vault.vault import Connected, Vault
from shared_auth.vault.vendor import Vendor
from shared_auth.vault.vendor_api import VendorApi, VendorDown

log = logging.getLogger("shared_auth")

CALLBACK = "/connect/callback"


def page_of(issuer: str, server: str, scopes: Sequence[str] = ()) -> str:
    """Return the address where a person connects their account for ``server``, and grants ``scopes`` of it."""
    wanted = f"?{urlencode({'scope': ' '.join(scopes)})}" if scopes else ""
    return f"{issuer}/connect/{server}{wanted}"


class Connect:
    """The pages of people's connections."""

    def __init__(
        self,
        vault: Vault,
        api: VendorApi,
        departures: Departures,
        sessions: Sessions,
        cookies: Cookies,
        forms: FormTokens,
        way_back: WayBack,
        *,
        issuer: str,
        local_sign_in: bool,
        summaries: Mapping[str, str],
    ) -> None:
        self._vault = vault
        self._api = api
        self._departures = departures
        self._sessions = sessions
        self._cookies = cookies
        self._forms = forms
        self._way_back = way_back
        self._issuer = issuer
        self._local = local_sign_in
        self._summaries = summaries

    def routes(self) -> list[Route]:
        """Return the pages. The callback stands before the servers, none of which can have its name."""
        served = [
            ("GET", "/connections", self.connections),
            ("GET", CALLBACK, self.callback),
            ("GET", "/connect/{server}", self.show),
            ("POST", "/connect/{server}", self.leave),
            ("GET", "/connect/{server}/site", self.sites),
            ("POST", "/connect/{server}/site", self.choose),
            ("POST", "/disconnect/{server}", self.disconnect),
        ]
        return [
            Route(path, for_people(handler, template="connect_problem.html"), methods=[method])
            for method, path, handler in served
        ]

    async def connections(self, request: Request) -> Response:
        """Answer ``GET /connections``: every server that works with an account, and how it stands for this person."""
        session = await self._session(request)
        if session is None:
            return self._signed_out(request)
        found = await self._vault.connections(session.subject)
        rows = [(one, self._summaries.get(one.server, "")) for one in found]
        return page("connections.html", rows=rows, form_token=self._forms.of(session))

    async def show(self, request: Request) -> Response:
        """Answer ``GET /connect/<server>`` with what will be asked for, and change nothing. Raises Denied."""
        server, vendor = self._asked(request)
        session = await self._session(request)
        if session is None:
            return self._signed_out(request)
        state = await self._state(session, server)
        wanted = _wanted(vendor, unique(pairs(request.scope["query_string"])))
        return page(
            "connect.html",
            form_target=vendor.form_target,
            form_token=self._forms.of(session),
            server=server,
            vendor=vendor,
            asked=vendor.asked(state.scope, wanted),
            wanted=wanted,
            summary=self._summaries.get(server, ""),
            state=state,
        )

    async def leave(self, request: Request) -> Response:
        """Answer ``POST /connect/<server>``: leave for the vendor, with a state that counts once and only here.

        RFC 9700 sections 2.1 and 4.7: state bound to the browser's session, PKCE where the vendor knows it. Raises
        Denied.
        """
        server, vendor = self._asked(request)
        session = await self._required(request)
        wanted = _wanted(vendor, await self._forms.read(request, session))
        asked = vendor.asked((await self._state(session, server)).scope, wanted)
        state, way = await self._departures.begin(session, server, vendor.binding, " ".join(asked))
        proof = {"code_challenge": way.challenge, "code_challenge_method": "S256"} if vendor.pkce else {}
        parameters = {
            "response_type": "code",
            "client_id": vendor.client_id,
            "redirect_uri": self._api.redirect_uri,
            "scope": way.scope,
            "state": state,
        }
        return redirect(redirects.answer(vendor.authorize_url, **parameters, **proof, **vendor.authorize_params))

    async def callback(self, request: Request) -> Response:
        """1. Who is it? 2. Did this browser leave, once? 3. For this vendor? 4. Code for tokens. 5. Kept, then used.

        Raises Denied. A person who is put out while the vendor answers has connected nothing. One who granted less than
        before is told so, and what works stays.
        """
        query = request.scope["query_string"]
        if len(query) > MAX_QUERY_BYTES:
            raise Denied(Reason.BODY_TOO_LARGE)
        given = unique(pairs(query))
        session = await self._required(request)
        way = await self._departures.spend(session, given.get("state", ""))
        vendor = self._vault.vendor(way.server)
        if vendor is None or vendor.binding != way.binding:  # the settings changed while the person was away
            raise Denied(Reason.DEPARTURE_UNKNOWN)
        code = self._code(given, vendor)
        try:
            answer = await self._api.redeem(vendor, code, way.verifier)
        except GrantDead:
            raise Denied(Reason.VENDOR_CODE_REFUSED) from None
        except VendorDown:
            raise Denied(Reason.VENDOR_DOWN) from None

        async def still_here() -> bool:
            return await self._session(request) == session

        try:
            kept = await self._vault.connect(session.subject, way.server, answer, way.scope, still_here)
        except NotConnected:
            raise Denied(Reason.NOT_SIGNED_IN) from None
        if kept is not None:
            return page("connect_kept.html", status=403, server=way.server, vendor=vendor, kept=kept)
        return redirect(await self._onward(session, way.server, vendor))

    async def sites(self, request: Request) -> Response:
        """Answer ``GET /connect/<server>/site`` with the sites that the person may choose from. Raises Denied."""
        server, vendor = self._asked(request)
        session = await self._session(request)
        if session is None:
            return self._signed_out(request)
        found = await self._found_sites(session, server, vendor)
        return page("connect_site.html", server=server, vendor=vendor, sites=found, form_token=self._forms.of(session))

    async def choose(self, request: Request) -> Response:
        """Answer ``POST /connect/<server>/site``: one of the sites that the vendor names now. Raises Denied."""
        server, vendor = self._asked(request)
        session = await self._required(request)
        wanted = (await self._forms.read(request, session)).get("site", "")
        site = next((one for one in await self._found_sites(session, server, vendor) if one.id == wanted), None)
        if site is None or not await self._vault.choose(session.subject, server, site):
            raise Denied(Reason.SITE_UNKNOWN)
        return redirect(f"{self._issuer}/connections")

    async def disconnect(self, request: Request) -> Response:
        """Answer ``POST /disconnect/<server>``: revoked at the vendor if it lets us, deleted here always.

        Raises Denied.
        """
        server, vendor = self._asked(request)
        session = await self._required(request)
        await self._forms.read(request, session)
        revoked = await self._vault.disconnect(session.subject, server)
        return page("disconnected.html", server=server, vendor=vendor, revoked=revoked)

    def _code(self, given: Parameters, vendor: Vendor) -> str:
        # RFC 9207 section 2.4: another vendor's answer is recognised before its code is sent anywhere.
        if given.get("iss", None if vendor.states_issuer else vendor.expected_issuer) != vendor.expected_issuer:
            raise Denied(Reason.VENDOR_FOREIGN)
        if "error" in given or "code" not in given:
            raise Denied(Reason.VENDOR_REFUSED)
        return given["code"]

    async def _onward(self, session: Session, server: str, vendor: Vendor) -> str:
        """Return where to go from the callback: away from an address with a code in it."""
        connections = f"{self._issuer}/connections"
        if not vendor.sites_url:
            return connections
        try:
            found = await self._found_sites(session, server, vendor)
        except Denied:
            return connections  # the page says that a site is missing, and offers to choose one
        if len(found) == 1 and await self._vault.choose(session.subject, server, found[0]):
            return connections
        return f"{page_of(self._issuer, server)}/site"

    async def _found_sites(self, session: Session, server: str, vendor: Vendor) -> list[Site]:
        if not vendor.sites_url:
            raise Denied(Reason.SITE_UNKNOWN)
        try:
            return await self._vault.sites(session.subject, server)
        except NotConnected:
            raise Denied(Reason.ACCOUNT_NOT_CONNECTED) from None
        except (CredentialUnavailable, VendorDown):
            raise Denied(Reason.VENDOR_DOWN) from None

    def _asked(self, request: Request) -> tuple[str, Vendor]:
        server: Any = request.path_params["server"]
        vendor = self._vault.vendor(server)
        if vendor is None:
            raise Denied(Reason.SERVER_UNKNOWN)
        return server, vendor

    async def _state(self, session: Session, server: str) -> Connected:
        return next(one for one in await self._vault.connections(session.subject) if one.server == server)

    async def _session(self, request: Request) -> Session | None:
        return await self._sessions.find(self._cookies.session(request))

    async def _required(self, request: Request) -> Session:
        session = await self._session(request)
        if session is None:
            raise Denied(Reason.NOT_SIGNED_IN)
        return session

    def _signed_out(self, request: Request) -> Response:
        response = page("connect_signed_out.html", status=401, local=self._local)
        self._way_back.remember(response, request)
        return response


def _wanted(vendor: Vendor, given: Parameters) -> list[str]:
    """Return what is asked for besides, of what the settings allow. Raises Denied for anything else.

    A link is anybody's to make, so what it names is never more than the operator meant people to be asked for.
    """
    wanted = given.get("scope", "").split()
    if not set(wanted) <= set(vendor.grantable):
        raise Denied(Reason.VENDOR_SCOPE_FOREIGN)
    return wanted
