"""Token exchange at ``/token`` (RFC 8693): a server in a process of its own gets the credential of whoever asks it.

It proves itself with the secret or key of a client that is declared for it, and shows the server token that the portal
sent with the call. So a server gets the credential of those who are calling it now, for itself alone; an agent's token,
another server's and one whose grant has ended are worth nothing here. A refresh token never leaves the portal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from shared_auth import jose
from shared_auth.authorization.answers import answer
from shared_auth.authorization.client import Client
from shared_auth.authorization.declared import TOKEN_EXCHANGE
from shared_auth.authorization.grants import Grants
from shared_auth.authorization.parameters import Parameters
from shared_auth.exchange import NO_GRANT, judge_server_token
from shared_auth.keys import Keys
from shared_auth.principal import Principal
from shared_auth.reasons import Denied, Reason
from shared_auth.tokens import TYPE
from shared_auth.vault.credential import CredentialUnavailable, NoPerson, NotConnected
from shared_auth.vault.vault import Vault
from shared_auth.vault.vendor import VaultServer

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - the name of a type of token


class Handover:
    """Hands credentials over to the servers that they are for."""

    def __init__(self, vault: Vault, keys: Keys, grants: Grants, *, issuer: str, clock: Callable[[], float]) -> None:
        self._vault = vault
        self._keys = keys
        self._grants = grants
        self._issuer = issuer
        self._clock = clock

    async def answer(self, client: Client, form: Parameters) -> Response:
        """Answer an authenticated client. Raises Denied.

        ``rejected_sha256`` is a parameter of ours: the digest of a token that the vendor has just refused.
        """
        server = self._server(client, form)
        principal = await self._principal(form, server)
        try:
            found = await self._vault.credential(principal, server.name, rejected=form.get("rejected_sha256", ""))
        except NotConnected:
            raise Denied(Reason.ACCOUNT_NOT_CONNECTED) from None
        except NoPerson:
            raise Denied(Reason.ACCOUNT_OF_CLIENT) from None
        except CredentialUnavailable:
            raise Denied(Reason.VENDOR_DOWN) from None
        said: dict[str, Any] = {"access_token": found.token, "issued_token_type": ACCESS_TOKEN, "token_type": "Bearer"}
        if found.scopes is not None:  # RFC 6749 section 5.1; what a scope includes is named, too: only we know that
            said |= {"scope": " ".join(sorted(found.scopes))}
        if found.expires_at is not None:
            said |= {"expires_in": max(0, found.expires_at - int(self._clock()))}
        return answer(said if found.site is None else said | {"site": found.site.to_json()})

    def _server(self, client: Client, form: Parameters) -> VaultServer:
        """Return the server that the client is declared for, if that is the target that it names."""
        declared = client.declared
        if declared is None or not client.may(TOKEN_EXCHANGE):
            raise Denied(Reason.GRANT_TYPE_UNREGISTERED)
        types = {form.get("subject_token_type"), form.get("requested_token_type", ACCESS_TOKEN)}
        if types != {ACCESS_TOKEN} or "subject_token" not in form or "actor_token" in form:
            raise Denied(Reason.SUBJECT_TOKEN_MALFORMED)
        server = self._vault.server_at(form.get("resource", ""))
        if server is None or server.name != declared.server or form.get("audience", server.name) != server.name:
            raise Denied(Reason.TARGET_FOREIGN)
        return server

    async def _principal(self, form: Parameters, server: VaultServer) -> Principal:
        token = form["subject_token"]
        try:
            await self._keys.knows(jose.key_id(token))
            claims = jose.verify(token, self._keys.public, typ=TYPE)
            verified = judge_server_token(claims, issuer=self._issuer, audience=server.resource, now=self._clock())
        except (jose.BadToken, Denied):
            raise Denied(Reason.SUBJECT_TOKEN_INVALID) from None
        principal = verified.principal
        if principal.grant_id != NO_GRANT and await self._grants.status(principal.grant_id) is None:
            raise Denied(Reason.SUBJECT_TOKEN_INVALID)
        return principal
