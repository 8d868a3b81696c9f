"""The token endpoint: a code or a refresh token becomes an access token for our one resource."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from shared_auth.authorization import codes
from shared_auth.authorization.answers import answer
from shared_auth.authorization.client import Client
from shared_auth.authorization.clients import Clients
from shared_auth.authorization.codes import Codes
from shared_auth.authorization.declared import AUTHORIZATION_CODE, DEVICE_CODE, TOKEN_EXCHANGE, Declared
from shared_auth.authorization.devices import Devices
from shared_auth.authorization.grants import Grant
from shared_auth.authorization.headless import ClientCredentials
from shared_auth.authorization.parameters import Parameters, read_form
from shared_auth.authorization.refresh import RefreshTokens
from shared_auth.authorization.requests import granted_scope, require_resource
from shared_auth.identity.id_jag import IdentityAssertions
from shared_auth.people import People
from shared_auth.principal import Principal
from shared_auth.reasons import Denied, Reason
from shared_auth.settings import AuthSettings
from shared_auth.tokens import Tokens
from shared_auth.vault.handover import Handover


class TokenEndpoint:
    """``POST /token``."""

    def __init__(
        self,
        settings: AuthSettings,
        clients: Clients,
        codes_: Codes,
        refresh_tokens: RefreshTokens,
        people: People,
        tokens: Tokens,
        *,
        clock: Callable[[], float],
        declared: Declared,
        headless: ClientCredentials,
        devices: Devices,
        handover: Handover,
        identity_assertions: IdentityAssertions | None,
    ) -> None:
        self._settings = settings
        self._clients = clients
        self._codes = codes_
        self._refresh_tokens = refresh_tokens
        self._people = people
        self._tokens = tokens
        self._served = declared.grant_types
        self._headless = headless
        self._devices = devices
        self._handover = handover
        self._identity_assertions = identity_assertions
        self._clock = clock

    async def endpoint(self, request: Request) -> Response:
        """Authenticate the client, judge the request, then spend what it brought. Raises Denied."""
        form = await read_form(request)
        client = await self._clients.authenticate(request, form)
        if form.get("grant_type") == TOKEN_EXCHANGE and TOKEN_EXCHANGE in self._served:
            return await self._handover.answer(client, form)  # its resource is a server's, not ours
        require_resource(form.get("resource"), self._settings.resource)
        match form.get("grant_type"):
            case str(other) if other not in self._served:
                raise Denied(Reason.GRANT_TYPE_UNSUPPORTED)
            case "client_credentials":
                return await self._headless.answer(client, form)
            case "urn:ietf:params:oauth:grant-type:jwt-bearer" if self._identity_assertions is not None:
                return await self._identity_assertions.answer(client, form)
            case "authorization_code":
                grant = await self._by_code(client, form)
                refresh_token = await self._first_refresh_token(client, grant)
            case "urn:ietf:params:oauth:grant-type:device_code":
                grant = await self._by_device_code(client, form)
                refresh_token = await self._first_refresh_token(client, grant)
            case "refresh_token":
                grant, refresh_token = await self._by_refresh_token(client, form)
            case _:
                raise Denied(Reason.GRANT_TYPE_MISSING)
        await self._clients.used(client.client_id)
        return await self._issue(grant, refresh_token)

    async def _by_code(self, client: Client, form: Parameters) -> Grant:
        if not client.may(AUTHORIZATION_CODE):
            raise Denied(Reason.GRANT_TYPE_UNREGISTERED)
        if "code" not in form:
            raise Denied(Reason.CODE_MISSING)
        verifier = form.get("code_verifier", "")
        if not codes.is_verifier(verifier):
            raise Denied(Reason.VERIFIER_MISSING)
        return await self._codes.redeem(
            form["code"],
            client_id=client.client_id,
            redirect_uri=form.get("redirect_uri"),
            verifier=verifier,
            grant_s=self._life_s(client),
        )

    async def _by_device_code(self, client: Client, form: Parameters) -> Grant:
        if not client.may(DEVICE_CODE):
            raise Denied(Reason.GRANT_TYPE_UNREGISTERED)
        if "device_code" not in form:
            raise Denied(Reason.DEVICE_MISSING)
        return await self._devices.collect(
            form["device_code"], client_id=client.client_id, grant_s=self._life_s(client)
        )

    def _life_s(self, client: Client) -> int:
        settings = self._settings
        return min(settings.refresh_token_s, settings.grant_s) if client.may_refresh else settings.access_token_s

    async def _first_refresh_token(self, client: Client, grant: Grant) -> str | None:
        return await self._refresh_tokens.issue(grant) if client.may_refresh else None

    async def _by_refresh_token(self, client: Client, form: Parameters) -> tuple[Grant, str]:
        if not client.may_refresh:
            raise Denied(Reason.GRANT_TYPE_UNREGISTERED)
        if "refresh_token" not in form:
            raise Denied(Reason.REFRESH_MISSING)
        granted_scope(form.get("scope"))
        refreshed = await self._refresh_tokens.rotate(form["refresh_token"], client_id=client.client_id)
        return refreshed.grant, refreshed.refresh_token

    async def _issue(self, grant: Grant, refresh_token: str | None) -> Response:
        within_s = self._settings.signed_in_within_s
        person = await self._people.find(grant.subject, since=0 if within_s is None else self._clock() - within_s)
        if person is None:
            raise Denied(Reason.PERSON_UNKNOWN)
        principal = Principal(
            issuer=self._settings.issuer,
            subject=grant.subject,
            client_id=grant.client_id,
            grant_id=grant.grant_id,
            scopes=frozenset(grant.scope.split()),
            groups=person.groups,
            name=person.name,
            email=person.email,
        )
        minted = self._tokens.mint(principal, audience=grant.resource, ttl_s=self._settings.access_token_s)
        found = {
            "access_token": minted.token,
            "token_type": "Bearer",
            "expires_in": minted.expires_in_s,
            "scope": grant.scope,
        }
        return answer(found if refresh_token is None else found | {"refresh_token": refresh_token})
