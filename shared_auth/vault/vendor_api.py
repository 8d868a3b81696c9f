"""Talking to a vendor's OAuth endpoints: bounded, to judged addresses alone, following no redirect."""

from __future__ import annotations

import asyncio
import base64
import logging
from typing import Any
from urllib.parse import quote_plus

from shared_auth import pinned
from shared_auth.outbound import Answer, Outbound, Unreachable
from shared_auth.pinned import Lookup
from shared_auth.vault import answers
from shared_auth.vault.answers import GrantDead, TokenAnswer, Unusable
from shared_auth.vault.credential import Site
from shared_auth.vault.vendor import Vendor

log = logging.getLogger("shared_auth")

MAX_BYTES = 131_072
TOTAL_S = 20.0
"""Longest that one exchange may take, names and every tried address included; far below a lease."""


class VendorDown(Exception):
    """The vendor gave no answer that can be used; nothing is known to have changed. The text names no address."""


class VendorApi:
    """The four things that the portal asks of a vendor, all for one registration ``redirect_uri``."""

    def __init__(self, outbound: Outbound, *, resolve: Lookup, redirect_uri: str) -> None:
        self._outbound = outbound
        self._resolve = resolve
        self.redirect_uri = redirect_uri

    async def redeem(self, vendor: Vendor, code: str, verifier: str) -> TokenAnswer:
        """Return the tokens for a code. Raises GrantDead or VendorDown."""
        fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.redirect_uri}
        return await self._tokens(vendor, fields | ({"code_verifier": verifier} if vendor.pkce else {}))

    async def refresh(self, vendor: Vendor, refresh_token: str) -> TokenAnswer:
        """Return new tokens for a refresh token, which may be spent by it. Raises GrantDead or VendorDown."""
        fields = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return await self._tokens(
            vendor, fields | ({"redirect_uri": self.redirect_uri} if vendor.redirect_uri_on_refresh else {})
        )

    async def revoke(self, vendor: Vendor, *, refresh_token: str, access_token: str) -> bool | None:
        """Say whether the vendor confirmed that the grant is revoked; None when it has no endpoint for it."""
        if not vendor.revoke_url:
            return None
        hint = "refresh_token" if refresh_token else "access_token"
        fields = {"token": refresh_token or access_token, "token_type_hint": hint}
        try:
            answer = await self._post(vendor, vendor.revoke_url, fields)
        except Unreachable as error:
            log.warning("vendor.revoke_failed", extra={"vendor": vendor.title, "why": str(error)})
            return False
        return 200 <= answer.status < 300

    async def sites(self, vendor: Vendor, access_token: str) -> list[Site]:
        """Return where the token may be used. Raises VendorDown."""
        headers = {"Authorization": f"Bearer {access_token}"}
        try:
            return answers.sites_of(await self._send(vendor, "GET", vendor.sites_url, headers=headers), vendor)
        except (Unreachable, Unusable) as error:
            log.warning("vendor.sites_failed", extra={"vendor": vendor.title, "why": str(error)})
            raise VendorDown(str(error)) from None

    async def _tokens(self, vendor: Vendor, fields: dict[str, str]) -> TokenAnswer:
        try:
            return answers.tokens_of(await self._post(vendor, vendor.token_url, fields))
        except GrantDead:
            log.info("vendor.grant_dead", extra={"vendor": vendor.title, "grant_type": fields["grant_type"]})
            raise
        except (Unreachable, Unusable) as error:
            extra = {"vendor": vendor.title, "grant_type": fields["grant_type"], "why": str(error)}
            log.warning("vendor.token_failed", extra=extra)
            raise VendorDown(str(error)) from None

    async def _post(self, vendor: Vendor, url: str, fields: dict[str, str]) -> Answer:
        headers: dict[str, str] = {}
        if vendor.auth_method == "client_secret_basic":
            # RFC 6749 section 2.3.1: both halves are form-encoded before they are joined.
            both = f"{quote_plus(vendor.client_id)}:{quote_plus(vendor.client_secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(both.encode()).decode()}"
        else:
            fields = fields | {"client_id": vendor.client_id}
        if vendor.auth_method == "client_secret_post":
            fields = fields | {"client_secret": vendor.client_secret}
        body: dict[str, Any] = {"content": fields} if vendor.body == "json" else {"form": fields}
        return await self._send(vendor, "POST", url, headers=headers, **body)

    async def _send(self, vendor: Vendor, method: str, url: str, **request: Any) -> Answer:
        allowed = vendor.allowed(url)
        try:
            async with asyncio.timeout(TOTAL_S):
                return await pinned.send(
                    self._outbound, method, url, resolve=self._resolve, allowed=allowed, max_bytes=MAX_BYTES, **request
                )
        except TimeoutError:
            raise Unreachable(f"no answer within {TOTAL_S:g} s") from None
