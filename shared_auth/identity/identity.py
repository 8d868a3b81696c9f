"""The sign-in through the company's provider put together."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.routing import Route

from shared_auth.authorization.assertions import Replays
from shared_auth.authorization.consent import Consent
from shared_auth.authorization.grants import Grants
from shared_auth.authorization.pages import for_people
from shared_auth.authorization.sessions import Cookies, Sessions
from shared_auth.authorization.way_back import WayBack
from shared_auth.identity.departure import CALLBACK, Departure
from shared_auth.identity.exchange import Exchange
from shared_auth.identity.id_jag import IdentityAssertions
from shared_auth.identity.jwks import ProviderKeys
from shared_auth.identity.logins import Logins
from shared_auth.identity.logout import BackChannelLogout
from shared_auth.identity.provider import Discovery
from shared_auth.identity.settings import OidcSettings
from shared_auth.identity.sign_in import ProviderSignIn
from shared_auth.outbound import Outbound
from shared_auth.people import People
from shared_auth.reasons import Denied
from shared_auth.sealing import Seal
from shared_auth.settings import AuthSettings
from shared_auth.tokens import Tokens


class Identity:
    """One provider and the sign-ins that are on their way through it."""

    def __init__(
        self,
        settings: OidcSettings,
        engine: AsyncEngine,
        seal: Seal,
        outbound: Outbound,
        cookies: Cookies,
        way_back: WayBack,
        *,
        issuer: str,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._logins = Logins(engine, seal, clock=clock)
        self._discovery = Discovery(settings, outbound, clock=clock)
        self._keys = ProviderKeys(outbound, clock=clock)
        self._exchange = Exchange(settings, self._discovery, self._keys, outbound, clock=clock)
        self._cookies = cookies
        self._way_back = way_back
        self._issuer = issuer
        self._clock = clock
        self.departure = Departure(settings, self._discovery, self._logins, cookies, issuer=issuer, clock=clock)

    def routes(self, people: People, sessions: Sessions, consent: Consent) -> list[Route]:
        """Return the pages of this sign-in."""
        sign_in = ProviderSignIn(
            self.departure,
            self._discovery,
            self._exchange,
            self._logins,
            people,
            sessions,
            self._cookies,
            self._way_back,
            consent,
            issuer=self._issuer,
            clock=self._clock,
        )
        return [
            Route("/sign-in", for_people(sign_in.show), methods=["GET"]),
            Route("/sign-in", for_people(sign_in.sign_in), methods=["POST"]),
            Route(CALLBACK, for_people(sign_in.callback), methods=["GET"]),
        ]

    def logout(self, grants: Grants) -> BackChannelLogout:
        """Return what the provider tells when somebody has signed out there."""
        return BackChannelLogout(self._settings, self._discovery, self._keys, grants, clock=self._clock)

    def assertions(
        self, settings: AuthSettings, replays: Replays, grants: Grants, people: People, tokens: Tokens
    ) -> IdentityAssertions:
        """Return what turns this provider's identity assertions into tokens."""
        rooms = (settings, self._settings, self._discovery, self._keys, replays, grants, people, tokens)
        return IdentityAssertions(*rooms, clock=self._clock)

    async def ready(self) -> bool:
        """Say whether the provider answers, can be believed, and publishes a key that may sign an ID token."""
        try:
            return bool(await self._keys.having(None, (await self._discovery.provider()).jwks_uri))
        except Denied:
            return False

    async def prune(self) -> int:
        """Delete sign-ins that are answered or expired."""
        return await self._logins.prune()
