"""The way to the provider: code flow with state, nonce and PKCE, all new for each sign-in (RFC 9700 section 2.1)."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from shared_auth.authorization import redirects
from shared_auth.authorization.pace import Pace
from shared_auth.authorization.pages import redirect
from shared_auth.authorization.questions import Question
from shared_auth.authorization.sessions import Cookies
from shared_auth.identity.logins import Logins
from shared_auth.identity.provider import Discovery
from shared_auth.identity.settings import OidcSettings
from shared_auth.reasons import Denied, Reason

CALLBACK = "/sign-in/callback"
BURST, PER_SECOND = 600, 5.0
"""Ways to the provider that one address may begin: each is stored, and nobody needs to be signed in for it."""


class Departure:
    """Sends a browser to the provider."""

    def __init__(
        self,
        settings: OidcSettings,
        discovery: Discovery,
        logins: Logins,
        cookies: Cookies,
        *,
        issuer: str,
        clock: Callable[[], float],
    ) -> None:
        self.settings = settings
        self._discovery = discovery
        self._logins = logins
        self._cookies = cookies
        self._issuer = issuer
        self._pace = Pace(burst=BURST, per_second=PER_SECOND, clock=clock)

    def admit(self, request: Request) -> None:
        """Raises Denied (SIGN_IN_TOO_FAST) when the address of ``request`` begins too many sign-ins."""
        if not self._pace.take(request.client.host if request.client else ""):
            raise Denied(Reason.SIGN_IN_TOO_FAST)

    @property
    def redirect_uri(self) -> str:
        """The one address that the provider answers to; register it there."""
        return f"{self._issuer}{CALLBACK}"

    async def leave(self, question: Question | None, *, page: str = "") -> Response:
        """Return the redirect to the provider, with the state in a cookie. Raises Denied (PROVIDER_DOWN).

        Call it only once the person has said yes to ``question``, or asked to sign in without an agent; then they are
        led back to ``page``.
        """
        provider = await self._discovery.provider()
        state, login = await self._logins.begin(question, page)
        response = redirect(
            redirects.answer(
                provider.authorization_endpoint,
                response_type="code",
                client_id=self.settings.client_id,
                redirect_uri=self.redirect_uri,
                scope=" ".join(self.settings.scopes),
                state=state,
                nonce=login.nonce,
                code_challenge=login.challenge,
                code_challenge_method="S256",
            )
        )
        self._cookies.depart(response, state)
        return response

    async def end_session(self) -> str:
        """Return the address at which a person can sign out at the provider too, or "" (RP-Initiated Logout).

        Without ``id_token_hint``: it would put the ID token into an address, and keeping one is what we do not do. The
        provider asks the person instead.
        """
        provider = await self._discovery.provider()
        if not provider.end_session_endpoint:
            return ""
        return redirects.answer(
            provider.end_session_endpoint,
            client_id=self.settings.client_id,
            post_logout_redirect_uri=f"{self._issuer}/",
        )
