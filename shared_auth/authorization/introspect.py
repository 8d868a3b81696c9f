"""Introspection (RFC 7662), for clients that the operator declares for it: what a token is worth at this moment.

A token that is not worth anything gets one answer, whatever is wrong with it (section 2.2): nothing to learn from.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from shared_auth.authorization.answers import answer
from shared_auth.authorization.clients import Clients
from shared_auth.authorization.grants import Grants
from shared_auth.authorization.parameters import read_form
from shared_auth.authorization.refresh import RefreshTokens
from shared_auth.reasons import Denied, Reason
from shared_auth.settings import AuthSettings
from shared_auth.tokens import Tokens

INACTIVE: dict[str, Any] = {"active": False}


class Introspect:
    """``POST /introspect``."""

    def __init__(
        self, settings: AuthSettings, clients: Clients, grants: Grants, refresh_tokens: RefreshTokens, tokens: Tokens
    ) -> None:
        self._settings = settings
        self._clients = clients
        self._grants = grants
        self._refresh_tokens = refresh_tokens
        self._tokens = tokens

    async def endpoint(self, request: Request) -> Response:
        """Answer for an access token or an unspent refresh token of this portal. Raises Denied."""
        form = await read_form(request)
        client = await self._clients.authenticate(request, form)
        if client.declared is None or not client.declared.may_introspect:
            raise Denied(Reason.INTROSPECTION_FORBIDDEN)
        if "token" not in form:
            raise Denied(Reason.INTROSPECTION_TOKEN_MISSING)
        return answer(await self._access(form["token"]) or await self._refresh(form["token"]) or INACTIVE)

    async def _access(self, token: str) -> dict[str, Any] | None:
        try:
            verified = await self._tokens.verify(token, audience=self._settings.resource)
        except Denied:
            return None
        principal = verified.principal
        if await self._grants.status(principal.grant_id) is None:
            return None
        scope, client_id = " ".join(sorted(principal.scopes)), principal.client_id
        return self._active(scope, client_id, principal.subject) | {"token_type": "Bearer", "exp": verified.expires_at}

    async def _refresh(self, token: str) -> dict[str, Any] | None:
        grant = await self._refresh_tokens.unspent(token)
        return None if grant is None else self._active(grant.scope, grant.client_id, grant.subject)

    def _active(self, scope: str, client_id: str, subject: str) -> dict[str, Any]:
        issuer, resource = self._settings.issuer, self._settings.resource
        found = {"active": True, "scope": scope, "client_id": client_id, "sub": subject}
        return found | {"aud": resource, "iss": issuer}
