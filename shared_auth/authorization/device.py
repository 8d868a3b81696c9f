"""The device grant (RFC 8628): where a machine starts, and the page where a person decides. For declared clients only.

The attack on this grant is a message that says "type this code in" (section 5.4). Therefore no link carries the code,
strangers cannot start it, and the page says what the person is about to let in.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from shared_auth import opaque
from shared_auth.authorization.answers import answer
from shared_auth.authorization.clients import Clients
from shared_auth.authorization.declared import DEVICE_CODE, Declared
from shared_auth.authorization.devices import DEVICE_S, INTERVAL_S, Asked, Devices
from shared_auth.authorization.grants import Grant
from shared_auth.authorization.pace import Pace
from shared_auth.authorization.pages import page
from shared_auth.authorization.parameters import read_form
from shared_auth.authorization.requests import granted_scope, require_resource
from shared_auth.authorization.sessions import Cookies, Session, Sessions, require_same_origin
from shared_auth.authorization.tries import Tries
from shared_auth.people import People
from shared_auth.reasons import Denied, Reason
from shared_auth.settings import SCOPE, AuthSettings

log = logging.getLogger("shared_auth")

STARTS = 30
STARTS_PER_S = 0.5


class DeviceAuthorization:
    """``POST /device_authorization``: a machine starts."""

    def __init__(self, settings: AuthSettings, clients: Clients, devices: Devices, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clients = clients
        self._devices = devices
        self._pace = Pace(burst=STARTS, per_second=STARTS_PER_S, clock=clock)

    async def endpoint(self, request: Request) -> Response:
        """Answer with the codes (section 3.2). Raises Denied."""
        if not self._pace.take(request.client.host if request.client else ""):
            raise Denied(Reason.REGISTRATION_TOO_FAST)
        form = await read_form(request)
        client = await self._clients.authenticate(request, form)
        if not client.may(DEVICE_CODE):
            raise Denied(Reason.GRANT_TYPE_UNREGISTERED)
        require_resource(form.get("resource"), self._settings.resource)
        issued = await self._devices.issue(client, granted_scope(form.get("scope")))
        found = {
            "device_code": issued.device_code,
            "user_code": issued.user_code,
            "verification_uri": f"{self._settings.issuer}/device",
            "expires_in": DEVICE_S,
            "interval": INTERVAL_S,
        }
        return answer(found)


class DevicePage:
    """``/device``: the person types the code in, sees who asks, and decides."""

    def __init__(
        self,
        settings: AuthSettings,
        devices: Devices,
        declared: Declared,
        sessions: Sessions,
        cookies: Cookies,
        people: People,
        tries: Tries,
    ) -> None:
        self._settings = settings
        self._devices = devices
        self._declared = declared
        self._sessions = sessions
        self._cookies = cookies
        self._people = people
        self._tries = tries

    async def show(self, request: Request) -> Response:
        """Answer ``GET /device`` with the form, or say that nobody is signed in."""
        session = await self._sessions.find(self._cookies.session(request))
        return page("device.html", signed_in=session is not None, local=self._settings.local_sign_in)

    async def endpoint(self, request: Request) -> Response:
        """Answer ``POST /device``: a code that was typed in, or the decision. Raises Denied."""
        require_same_origin(request, self._settings.issuer)
        form = await read_form(request)
        session = await self._sessions.find(self._cookies.session(request))
        if session is None:
            raise Denied(Reason.NOT_SIGNED_IN)
        if "consent" in form:
            return await self._decide(session, form["consent"], form.get("decision", ""))
        # Per person and not per browser: somebody who guesses can open as many sessions as he likes.
        if not await self._tries.take(session.subject):
            raise Denied(Reason.USER_CODE_TOO_FAST)
        return await self._ask(session, await self._devices.ask(session, form.get("user_code", "")))

    async def _ask(self, session: Session, asked: Asked) -> Response:
        person = await self._people.find(session.subject)
        if person is None:
            raise Denied(Reason.NOT_SIGNED_IN)
        return page(
            "device_consent.html",
            consent=asked.consent,
            client=self._name(asked.client_id),
            person=person,
            scope=SCOPE,
            resource=self._settings.resource,
        )

    async def _decide(self, session: Session, consent: str, decision: str) -> Response:
        if decision not in {"allow", "deny"}:
            raise Denied(Reason.PARAMETER_MALFORMED)
        allowed = decision == "allow"

        def grant(client_id: str, scope: str) -> Grant:
            resource, name = self._settings.resource, self._name(client_id)
            return Grant(opaque.new("grant"), session.subject, client_id, name, "", resource, scope, session.sid)

        client_id = await self._devices.decide(session, consent, grant if allowed else None)
        log.info("device.decided", extra={"subject": session.subject, "client_id": client_id, "allowed": allowed})
        return page("device_done.html", allowed=allowed)

    def _name(self, client_id: str) -> str:
        client = self._declared.find(client_id)
        if client is None:  # taken out of the settings while the machine waited
            raise Denied(Reason.USER_CODE_UNKNOWN)
        return client.name
