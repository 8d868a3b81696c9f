"""Revocation (RFC 7009), for public clients too. Any token of a grant, even a spent one, ends the whole grant."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from shared_auth.authorization.answers import NO_STORE
from shared_auth.authorization.clients import Clients
from shared_auth.authorization.grants import Grant, Grants
from shared_auth.authorization.parameters import read_form
from shared_auth.authorization.refresh import RefreshTokens
from shared_auth.reasons import Denied, Reason
from shared_auth.tokens import Tokens


class Revoke:
    """``POST /revoke``."""

    def __init__(
        self, clients: Clients, grants: Grants, refresh_tokens: RefreshTokens, tokens: Tokens, *, resource: str
    ) -> None:
        self._clients = clients
        self._grants = grants
        self._refresh_tokens = refresh_tokens
        self._tokens = tokens
        self._resource = resource

    async def endpoint(self, request: Request) -> Response:
        """Answer 200 when the token works no more, which is also so for one that never did (section 2.2).

        Raises Denied for a token of another client (section 2.1): it stays as it is.
        """
        form = await read_form(request)
        client = await self._clients.authenticate(request, form)
        if "token" not in form:
            raise Denied(Reason.REVOKE_TOKEN_MISSING)
        grant = await self._refresh_tokens.owner(form["token"]) or await self._behind(form["token"])
        if grant is not None:
            if grant.client_id != client.client_id:
                raise Denied(Reason.REVOKE_FOREIGN)
            await self._grants.revoke(grant_id=grant.grant_id)
        return Response(headers=NO_STORE)

    async def _behind(self, token: str) -> Grant | None:
        try:
            verified = await self._tokens.verify(token, audience=self._resource)
        except Denied:
            return None
        return await self._grants.status(verified.principal.grant_id)
