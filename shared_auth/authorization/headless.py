"""Client credentials (RFC 6749 section 4.4): a declared client acts for itself, as a principal of its own kind."""

from __future__ import annotations

from starlette.responses import Response

from shared_auth import opaque
from shared_auth.authorization.answers import answer
from shared_auth.authorization.client import Client
from shared_auth.authorization.declared import CLIENT_CREDENTIALS
from shared_auth.authorization.grants import Grant, Grants
from shared_auth.authorization.parameters import Parameters
from shared_auth.authorization.requests import granted_scope
from shared_auth.principal import CLIENT_SUBJECT, Principal
from shared_auth.reasons import Denied, Reason
from shared_auth.settings import AuthSettings
from shared_auth.tokens import Tokens


class ClientCredentials:
    """Gives an authenticated client a token of its own. There is no refresh token (section 4.4.3)."""

    def __init__(self, settings: AuthSettings, grants: Grants, tokens: Tokens) -> None:
        self._settings = settings
        self._grants = grants
        self._tokens = tokens

    async def answer(self, client: Client, form: Parameters) -> Response:
        """Return a token of ``client`` with a grant of its own, so that it can be revoked. Raises Denied."""
        declared = client.declared
        if declared is None or not client.may(CLIENT_CREDENTIALS):
            raise Denied(Reason.GRANT_TYPE_UNREGISTERED)
        granted_scope(form.get("scope"))
        scope, settings = " ".join(sorted(declared.scopes)), self._settings
        subject, life_s = f"{CLIENT_SUBJECT}{client.client_id}", settings.access_token_s
        grant = Grant(opaque.new("grant"), subject, client.client_id, client.name, "", settings.resource, scope)
        principal = Principal(
            issuer=settings.issuer,
            subject=subject,
            client_id=client.client_id,
            grant_id=grant.grant_id,
            scopes=frozenset(scope.split()),
            groups=declared.groups,
            name=client.name,
        )
        await self._grants.open(grant, ttl_s=life_s)
        minted = self._tokens.mint(principal, audience=settings.resource, ttl_s=life_s)
        found = {"access_token": minted.token, "token_type": "Bearer", "expires_in": life_s, "scope": scope}
        return answer(found)
