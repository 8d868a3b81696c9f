"""The door: turns a bearer token into a principal, or refuses. Nothing behind it runs without one.

The token ends here. What is behind the door gets the principal and a request without its Authorization header, so no
token can travel on to a server or a vendor (MCP: token passthrough).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp, Receive, Scope, Send

from shared_auth.authorization.grants import Grants
from shared_auth.challenge import Protected, challenge
from shared_auth.principal import Principal
from shared_auth.reasons import Denied, Reason
from shared_auth.settings import SCOPE, AuthSettings
from shared_auth.tokens import Tokens

log = logging.getLogger("shared_auth")


def principal_of(scope: Mapping[str, Any]) -> Principal:
    """Return who the door let in. Raises LookupError when the door did not run: there is no anonymous principal."""
    found = scope.get("state", {}).get("principal")
    if not isinstance(found, Principal):
        raise LookupError("no principal: this application is not behind the door")  # noqa: TRY004 - not a wrong type: it is not there
    return found


class _Bearer:
    """A token that is kept behind a door. Its repr shows nothing."""

    __slots__ = ("token",)

    def __init__(self, token: str) -> None:
        self.token = token


def bearer_of(scope: Mapping[str, Any]) -> str:
    """Return the server token that a server's door kept to be exchanged at the portal; "" when it kept none."""
    found = scope.get("state", {}).get("bearer")
    return found.token if isinstance(found, _Bearer) else ""


class BearerDoor:
    """ASGI middleware in front of a protected resource; ``admit`` turns a token into a principal or raises Denied.

    ``keeps`` leaves the token where ``bearer_of`` finds it: for a server that exchanges it where it came from.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Protected,
        admit: Callable[[str], Awaitable[Principal]],
        *,
        keeps: bool = False,
    ) -> None:
        self._app = app
        self._settings = settings
        self._admit = admit
        self._keeps = keeps

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})  # before accept: the server answers 403
            return
        try:
            token = _bearer(scope)
            principal = await self._admit(token)
        except Denied as denied:
            log.info("door.refused", extra={"reason": denied.reason.value})
            await challenge(denied.reason, self._settings)(scope, receive, send)
            return
        headers = [pair for pair in scope["headers"] if pair[0] != b"authorization"]
        state = {**scope.get("state", {}), "principal": principal}
        if self._keeps:
            state["bearer"] = _Bearer(token)
        await self._app({**scope, "headers": headers, "state": state}, receive, send)


class Door(BearerDoor):
    """The door of the portal's own endpoint: access tokens, whose grant is asked about every time."""

    def __init__(self, app: ASGIApp, settings: AuthSettings, tokens: Tokens, grants: Grants) -> None:
        super().__init__(app, settings, self._believe)
        self._resource = settings.resource
        self._tokens = tokens
        self._grants = grants

    async def _believe(self, token: str) -> Principal:
        try:
            verified = await self._tokens.verify(token, audience=self._resource)
            grant = await self._grants.status(verified.principal.grant_id)
        except SQLAlchemyError:
            raise Denied(Reason.STORE_DOWN) from None  # closed: whether it was revoked cannot be known
        if grant is None:
            raise Denied(Reason.GRANT_ENDED)
        if SCOPE not in verified.principal.scopes:
            raise Denied(Reason.SCOPE_MISSING)
        return replace(verified.principal, client_name=grant.client_name)


def _bearer(scope: Scope) -> str:
    """Return the token of the one Authorization header. Raises Denied."""
    found = [value for name, value in scope["headers"] if name == b"authorization"]
    if b"access_token" in scope["query_string"] and _in_query(scope["query_string"]):
        raise Denied(Reason.TOKEN_IN_QUERY)
    if len(found) > 1:
        raise Denied(Reason.SEVERAL_CREDENTIALS)
    scheme, _, token = found[0].decode("latin-1").partition(" ") if found else ("", "", "")
    if scheme.lower() != "bearer":
        raise Denied(Reason.NO_CREDENTIALS)
    return token.strip(" ")


def _in_query(query: bytes) -> bool:
    return any(name == "access_token" for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True))
