"""The provider's code becomes a person: one request for the tokens, one signature, every claim judged.

Nothing of the provider's is kept: its access token serves to check ``at_hash`` and is then forgotten.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from urllib.parse import quote_plus

from shared_auth import jose
from shared_auth.identity import id_token
from shared_auth.identity.jwks import ProviderKeys
from shared_auth.identity.logins import Login
from shared_auth.identity.provider import Discovery, Provider, Unbelievable, json_object
from shared_auth.identity.settings import OidcSettings
from shared_auth.outbound import Answer, Outbound, Unreachable
from shared_auth.people import Person
from shared_auth.reasons import Denied, Reason

log = logging.getLogger("shared_auth")

MAX_BYTES = 131_072


class Exchange:
    """Redeems codes at the provider."""

    def __init__(
        self,
        settings: OidcSettings,
        discovery: Discovery,
        keys: ProviderKeys,
        outbound: Outbound,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._discovery = discovery
        self._keys = keys
        self._outbound = outbound
        self._clock = clock

    async def person(self, code: str, login: Login, *, redirect_uri: str) -> tuple[Person, str]:
        """Return who signed in, and what the provider calls its session with them ("" for nothing). Raises Denied."""
        provider = await self._discovery.provider()
        token, access_token = _tokens(await self._redeem(provider, code, login, redirect_uri))
        try:
            keys = await self._keys.having(jose.key_id(token), provider.jwks_uri)
            claims = jose.verify(token, keys, typ="JWT", untyped=True)
        except jose.BadToken as error:
            log.warning("provider.token_refused", extra={"why": str(error)})
            raise Denied(Reason.ID_TOKEN_INVALID) from None
        nonce, now = login.nonce, self._clock()
        person = id_token.judge(claims, self._settings, nonce=nonce, access_token=access_token, now=now)
        return person, id_token.session(claims)

    async def _redeem(self, provider: Provider, code: str, login: Login, redirect_uri: str) -> Answer:
        settings, headers = self._settings, {}
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": login.verifier,
        }
        if provider.auth_method == "client_secret_basic":
            # RFC 6749 section 2.3.1: both halves are form-encoded before they are joined.
            both = f"{quote_plus(settings.client_id)}:{quote_plus(settings.client_secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(both.encode()).decode()}"
        else:
            form["client_id"] = settings.client_id
        if provider.auth_method == "client_secret_post":
            form["client_secret"] = settings.client_secret
        try:
            return await self._outbound.send(
                "POST", provider.token_endpoint, max_bytes=MAX_BYTES, headers=headers, form=form
            )
        except Unreachable as error:
            log.warning("provider.token_failed", extra={"why": str(error)})
            raise Denied(Reason.PROVIDER_DOWN) from None


def _tokens(answer: Answer) -> tuple[str, str | None]:
    """Return the ID token and the access token of a token answer. Raises Denied."""
    if answer.status >= 500:
        raise Denied(Reason.PROVIDER_DOWN)
    try:
        if answer.status != 200 or not answer.is_json:
            raise Unbelievable(f"status {answer.status}")
        found = json_object(answer.body)
        token, access_token = found.get("id_token"), found.get("access_token")
        if not isinstance(token, str) or not isinstance(access_token, str | None):
            raise Unbelievable("no ID token")
    except Unbelievable as error:
        log.warning("provider.code_refused", extra={"why": str(error)})
        raise Denied(Reason.PROVIDER_CODE_REFUSED) from None
    return token, access_token
