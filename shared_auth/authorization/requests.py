"""An authorization request, judged in the order that matters: who asks and where to answer, then everything else.

Until client and address are known to be good, nothing is sent to the address (RFC 6749 section 4.1.2.1): a refusal
is then a page for the person. After that, a refusal is a redirect that carries ``iss`` (RFC 9207).
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from shared_auth.authorization import codes, parameters, redirects
from shared_auth.authorization.client import Client
from shared_auth.authorization.clients import Clients
from shared_auth.authorization.parameters import Parameters
from shared_auth.reasons import Denied, Reason
from shared_auth.settings import SCOPE


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A request that a person may be asked about."""

    client: Client
    redirect_uri: str
    state: str | None
    scope: str
    challenge: str


class Refused(Exception):
    """The request is refused, and the client may be told at ``location``."""

    def __init__(self, reason: Reason, location: str) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.location = location


def error_location(reason: Reason, redirect_uri: str, state: str | None, issuer: str) -> str:
    """Return where to send the browser so that the client learns ``reason``."""
    wire = Denied(reason).wire
    return redirects.answer(redirect_uri, error=wire.error, error_description=wire.description, state=state, iss=issuer)


async def read(query: bytes, clients: Clients, *, issuer: str, resource: str) -> AuthorizationRequest:
    """Return the request that ``query`` holds.

    Raises Denied when the person must be told and nobody else, Refused when the client may be.
    """
    if len(query) > parameters.MAX_QUERY_BYTES:
        raise Denied(Reason.BODY_TOO_LARGE)
    found = parameters.pairs(query)
    addressed = parameters.unique([pair for pair in found if pair[0] in {"client_id", "redirect_uri"}])
    client = await clients.find(addressed.get("client_id"))
    redirect_uri = client.redirect_uri(addressed.get("redirect_uri"))
    states = [value for name, value in found if name == "state"]
    try:
        given = parameters.unique(found)
        scope = _judge(given, resource)
    except Denied as denied:
        state = states[0] if len(states) == 1 else None
        raise Refused(denied.reason, error_location(denied.reason, redirect_uri, state, issuer)) from None
    return AuthorizationRequest(client, redirect_uri, given.get("state"), scope, given["code_challenge"])


def granted_scope(wanted: str | None) -> str:
    """Return the scope to grant. Unknown ones are left out (RFC 6749 section 3.3). Raises Denied when none is left."""
    if wanted is not None and SCOPE not in wanted.split():
        raise Denied(Reason.SCOPE_UNKNOWN)
    return SCOPE


def require_resource(wanted: str | None, resource: str) -> None:
    """Raises Denied unless ``wanted`` is absent or our canonical URI; scheme and host in any case (RFC 8707)."""
    if wanted is None:
        return
    try:
        parts = urlsplit(wanted)
        canonical = parts._replace(scheme=parts.scheme.lower(), netloc=parts.netloc.lower()).geturl()
    except ValueError:
        raise Denied(Reason.RESOURCE_FOREIGN) from None
    if canonical != resource or "#" in wanted or "?" in wanted:
        raise Denied(Reason.RESOURCE_FOREIGN)


def _judge(given: Parameters, resource: str) -> str:
    if "response_type" not in given:
        raise Denied(Reason.RESPONSE_TYPE_MISSING)
    if given["response_type"] != "code":
        raise Denied(Reason.RESPONSE_TYPE_UNSUPPORTED)
    if given.get("response_mode", "query") != "query":
        raise Denied(Reason.RESPONSE_MODE_UNSUPPORTED)
    challenge = given.get("code_challenge")
    if challenge is None:
        raise Denied(Reason.CHALLENGE_MISSING)
    # An absent method means "plain" (RFC 7636 section 4.3), which OAuth 2.1 forbids.
    if given.get("code_challenge_method") != "S256":
        raise Denied(Reason.CHALLENGE_METHOD)
    if not codes.is_challenge(challenge):
        raise Denied(Reason.CHALLENGE_MALFORMED)
    require_resource(given.get("resource"), resource)
    return granted_scope(given.get("scope"))
