"""Identity assertions as grants: the company's provider says which client may act for whom, and nobody is asked.

The Identity Assertion JWT Authorization Grant (draft-ietf-oauth-identity-assertion-authz-grant), which MCP calls
enterprise-managed authorization. Off unless the operator trusts the provider with it, and for declared clients that
prove themselves alone. Each assertion is good once, for our issuer, our endpoint and the client that presents it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from starlette.responses import Response

from shared_auth import jose, opaque
from shared_auth.authorization.answers import answer
from shared_auth.authorization.assertions import Replays
from shared_auth.authorization.client import Client
from shared_auth.authorization.declared import JWT_BEARER
from shared_auth.authorization.grants import Grant, Grants
from shared_auth.authorization.parameters import Parameters
from shared_auth.authorization.requests import granted_scope
from shared_auth.identity import id_token
from shared_auth.identity.jwks import ProviderKeys
from shared_auth.identity.provider import Discovery
from shared_auth.identity.settings import OidcSettings
from shared_auth.people import People, Person
from shared_auth.principal import CLIENT_SUBJECT, Principal
from shared_auth.reasons import Denied, Reason
from shared_auth.settings import AuthSettings
from shared_auth.tokens import Tokens

log = logging.getLogger("shared_auth")

TYPE = "oauth-id-jag+jwt"
PROFILE = "urn:ietf:params:oauth:grant-profile:id-jag"
MAX_LIFE_S = 300
SKEW_S = 60
MAX_ID_CHARS = 200
RESTRICTIONS = frozenset({"cnf", "authorization_details"})
"""Claims that narrow what may be done with the assertion in ways that we do not enforce: better none than too much."""


@dataclass(frozen=True, slots=True)
class Asserted:
    """What a believed assertion says. ``states_groups`` is False when it is silent about the person's groups."""

    person: Person
    states_groups: bool
    jti: str
    expires_at: int


class IdentityAssertions:
    """Gives a client a token for the person whom the provider named. There is no refresh token: the provider decides
    anew each time (RFC 7521 section 4.1).
    """

    def __init__(
        self,
        settings: AuthSettings,
        oidc: OidcSettings,
        discovery: Discovery,
        keys: ProviderKeys,
        replays: Replays,
        grants: Grants,
        people: People,
        tokens: Tokens,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._oidc = oidc
        self._discovery = discovery
        self._keys = keys
        self._replays = replays
        self._grants = grants
        self._people = people
        self._tokens = tokens
        self._clock = clock

    async def answer(self, client: Client, form: Parameters) -> Response:
        """Return a token of the person in ``assertion`` through ``client``, with a grant of its own. Raises Denied."""
        if client.declared is None or not client.may(JWT_BEARER):
            raise Denied(Reason.GRANT_TYPE_UNREGISTERED)
        if "assertion" not in form:
            raise Denied(Reason.IDENTITY_ASSERTION_MISSING)
        scope = granted_scope(form.get("scope"))
        claims = await self._verified(form["assertion"])
        asserted = judge(
            claims,
            self._oidc,
            issuer=self._settings.issuer,
            resource=self._settings.resource,
            client_id=client.client_id,
            now=self._clock(),
        )
        # Last: an assertion that is refused for another reason is not spent.
        if not await self._replays.first(f"id-jag: {self._oidc.issuer} {asserted.jti}", until=asserted.expires_at):
            raise Denied(Reason.IDENTITY_ASSERTION_REPLAYED)
        return await self._issue(client, await self._known(asserted), scope)

    async def _verified(self, assertion: str) -> Mapping[str, Any]:
        try:
            kid = jose.key_id(assertion)
            keys = await self._keys.having(kid, (await self._discovery.provider()).jwks_uri)
            return jose.verify(assertion, keys, typ=TYPE)
        except jose.BadToken as error:
            log.warning("id_jag.refused", extra={"why": str(error)})
            raise Denied(Reason.IDENTITY_ASSERTION_INVALID) from None

    async def _known(self, asserted: Asserted) -> Person:
        """Return the person; groups that the assertion is silent about are those of a sign-in that still counts."""
        if asserted.states_groups:
            return asserted.person
        since = self._clock() - self._oidc.sign_in_again_s
        found = await self._people.find(asserted.person.subject, since=since)
        return asserted.person if found is None else replace(asserted.person, groups=found.groups)

    async def _issue(self, client: Client, person: Person, scope: str) -> Response:
        settings, life_s = self._settings, self._settings.access_token_s
        grant_id, resource = opaque.new("grant"), settings.resource
        grant = Grant(grant_id, person.subject, client.client_id, client.name, "", resource, scope)
        principal = Principal(
            issuer=settings.issuer,
            subject=person.subject,
            client_id=client.client_id,
            grant_id=grant_id,
            scopes=frozenset(scope.split()),
            groups=person.groups,
            name=person.name,
            email=person.email,
        )
        await self._grants.open(grant, ttl_s=life_s)
        minted = self._tokens.mint(principal, audience=resource, ttl_s=life_s)
        log.info(
            "grant.asserted", extra={"grant_id": grant_id, "subject": person.subject, "client_id": client.client_id}
        )
        found = {"access_token": minted.token, "token_type": "Bearer", "expires_in": life_s, "scope": scope}
        return answer(found)


def judge(
    claims: Mapping[str, Any], oidc: OidcSettings, *, issuer: str, resource: str, client_id: str, now: float
) -> Asserted:
    """Return what ``claims`` of an assertion with a good signature say. Pure. Raises Denied (IDENTITY_ASSERTION_…)."""
    jti = claims.get("jti")
    addressed = (
        claims.get("iss") == oidc.issuer
        and _only(claims.get("aud")) == issuer
        and _only(claims.get("resource")) == resource
        and claims.get("client_id") == client_id
    )
    named = isinstance(jti, str) and 0 < len(jti) <= MAX_ID_CHARS and not RESTRICTIONS & claims.keys()
    if not (addressed and named and _timely(claims, now)):
        raise Denied(Reason.IDENTITY_ASSERTION_INVALID)
    if "scope" in claims:
        granted_scope(str(claims["scope"]))
    try:
        id_token.require_admitted(claims, oidc)
        person = id_token.person(claims, oidc)
    except Denied as denied:
        log.info("id_jag.person_refused", extra={"reason": denied.reason.value})
        raise Denied(Reason.IDENTITY_ASSERTION_PERSON) from None
    if person.subject.startswith(CLIENT_SUBJECT):  # would look like a client that acts for itself
        raise Denied(Reason.IDENTITY_ASSERTION_PERSON)
    return Asserted(person, oidc.groups_claim in claims, str(jti), int(claims["exp"]))


def _only(stated: object) -> object:
    """Return the one value of a claim that may be a list; a list of several is nobody's."""
    return stated[0] if isinstance(stated, list) and len(stated) == 1 else stated


def _timely(claims: Mapping[str, Any], now: float) -> bool:
    expires_at, issued_at, not_before = claims.get("exp"), claims.get("iat"), claims.get("nbf", 0)
    # bool is an int; a float may be infinite
    if type(expires_at) is not int or type(issued_at) is not int or type(not_before) is not int:
        return False
    begun = max(issued_at, not_before) <= now + SKEW_S
    return begun and now < expires_at <= now + MAX_LIFE_S + SKEW_S and expires_at - issued_at <= MAX_LIFE_S
