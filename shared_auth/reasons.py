"""Every way to be refused. Reasons are rich and for the log; one exhaustive table turns them into the few wire codes.

What reaches a client is chosen from this file, so nothing that a client sent is ever reflected to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, auto
from types import MappingProxyType


class Reason(StrEnum):
    """Why. The value is the name in the log."""

    # At the door (RFC 6750)
    NO_CREDENTIALS = auto()
    TOKEN_IN_QUERY = auto()
    SEVERAL_CREDENTIALS = auto()
    TOKEN_INVALID = auto()
    TOKEN_EXPIRED = auto()
    GRANT_ENDED = auto()
    SCOPE_MISSING = auto()
    STORE_DOWN = auto()
    # The form of a request
    BODY_TOO_LARGE = auto()
    BODY_NOT_A_FORM = auto()
    BODY_NOT_JSON = auto()
    PARAMETER_REPEATED = auto()
    PARAMETER_MALFORMED = auto()
    # Clients
    CLIENT_MISSING = auto()
    CLIENT_UNKNOWN = auto()
    CLIENT_SECRET_WRONG = auto()
    CLIENT_METHOD_WRONG = auto()
    CLIENT_METHODS_MIXED = auto()
    ASSERTION_INVALID = auto()
    ASSERTION_REPLAYED = auto()
    REDIRECT_URI_MISSING = auto()
    REDIRECT_URI_UNREGISTERED = auto()
    # Client ID metadata documents
    DOCUMENT_UNTRUSTED = auto()
    DOCUMENT_UNREACHABLE = auto()
    DOCUMENT_INVALID = auto()
    DOCUMENT_TOO_FAST = auto()
    # Registration (RFC 7591)
    REDIRECT_URI_REFUSED = auto()
    METADATA_INVALID = auto()
    REGISTRATION_TOO_FAST = auto()
    REGISTRATION_FULL = auto()
    # Authorization and token requests
    RESPONSE_TYPE_MISSING = auto()
    RESPONSE_TYPE_UNSUPPORTED = auto()
    RESPONSE_MODE_UNSUPPORTED = auto()
    CHALLENGE_MISSING = auto()
    CHALLENGE_METHOD = auto()
    CHALLENGE_MALFORMED = auto()
    SCOPE_UNKNOWN = auto()
    RESOURCE_FOREIGN = auto()
    PERSON_DENIED = auto()
    GRANT_TYPE_MISSING = auto()
    GRANT_TYPE_UNSUPPORTED = auto()
    GRANT_TYPE_UNREGISTERED = auto()
    CODE_MISSING = auto()
    CODE_UNKNOWN = auto()
    CODE_REUSED = auto()
    CODE_MISMATCH = auto()
    VERIFIER_MISSING = auto()
    VERIFIER_WRONG = auto()
    REFRESH_MISSING = auto()
    REFRESH_UNKNOWN = auto()
    REFRESH_REUSED = auto()
    PERSON_UNKNOWN = auto()
    IDENTITY_ASSERTION_MISSING = auto()
    IDENTITY_ASSERTION_INVALID = auto()
    IDENTITY_ASSERTION_PERSON = auto()
    IDENTITY_ASSERTION_REPLAYED = auto()
    DEVICES_FULL = auto()
    DEVICE_MISSING = auto()
    DEVICE_UNKNOWN = auto()
    DEVICE_PENDING = auto()
    DEVICE_TOO_FAST = auto()
    DEVICE_EXPIRED = auto()
    DEVICE_DENIED = auto()
    DEVICE_REUSED = auto()
    REVOKE_TOKEN_MISSING = auto()
    REVOKE_FOREIGN = auto()
    INTROSPECTION_FORBIDDEN = auto()
    INTROSPECTION_TOKEN_MISSING = auto()
    # A server asks for the credential of whoever calls it (RFC 8693)
    SUBJECT_TOKEN_MALFORMED = auto()
    SUBJECT_TOKEN_INVALID = auto()
    TARGET_FOREIGN = auto()
    ACCOUNT_NOT_CONNECTED = auto()
    ACCOUNT_OF_CLIENT = auto()
    VENDOR_DOWN = auto()
    # The browser
    ORIGIN_FOREIGN = auto()
    NOT_SIGNED_IN = auto()
    CONSENT_UNKNOWN = auto()
    LINK_UNKNOWN = auto()
    SUBJECT_RESERVED = auto()
    FORM_STALE = auto()
    OPERATORS_ONLY = auto()
    NOBODY_NAMED = auto()
    NOT_CONFIRMED = auto()
    USER_CODE_UNKNOWN = auto()
    USER_CODE_TOO_FAST = auto()
    # Sign-in through the provider (OpenID Connect)
    LOGIN_UNKNOWN = auto()
    SIGN_IN_TOO_FAST = auto()
    PROVIDER_DOWN = auto()
    PROVIDER_FOREIGN = auto()
    PROVIDER_REFUSED = auto()
    PROVIDER_CODE_REFUSED = auto()
    ID_TOKEN_INVALID = auto()
    ID_TOKEN_EXPIRED = auto()
    NONCE_WRONG = auto()
    PERSON_NOT_ADMITTED = auto()
    GROUPS_TOO_MANY = auto()
    # Connecting an account at a vendor
    SERVER_UNKNOWN = auto()
    DEPARTURE_UNKNOWN = auto()
    VENDOR_FOREIGN = auto()
    VENDOR_REFUSED = auto()
    VENDOR_CODE_REFUSED = auto()
    SITE_UNKNOWN = auto()
    VENDOR_SCOPE_FOREIGN = auto()
    LOGOUT_TOKEN_INVALID = auto()


@dataclass(frozen=True, slots=True)
class Wire:
    """How a reason looks outside. ``error`` is "" where the standard wants no code at all."""

    status: int
    error: str
    description: str


ALARMS = frozenset(
    {
        *(Reason.CODE_REUSED, Reason.REFRESH_REUSED, Reason.CODE_MISMATCH, Reason.VERIFIER_WRONG),
        *(Reason.ASSERTION_REPLAYED, Reason.IDENTITY_ASSERTION_REPLAYED, Reason.DEVICE_REUSED),
        *(Reason.PROVIDER_FOREIGN, Reason.ID_TOKEN_INVALID, Reason.NONCE_WRONG),
        *(Reason.VENDOR_FOREIGN, Reason.TARGET_FOREIGN),
    }
)
"""Reasons that mean that somebody holds what is not theirs: logged as warnings."""


class Denied(Exception):
    """A request was refused. Carries a reason and no input, so it may be logged and shown."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason

    @property
    def wire(self) -> Wire:
        return WIRE[self.reason]


_TABLE = {
    Reason.NO_CREDENTIALS: (401, "", "An access token is needed: send it as 'Authorization: Bearer'."),
    Reason.TOKEN_IN_QUERY: (400, "invalid_request", "Send the access token in the Authorization header, not the URL."),
    Reason.SEVERAL_CREDENTIALS: (400, "invalid_request", "Send exactly one Authorization header."),
    Reason.TOKEN_INVALID: (401, "invalid_token", "The access token is not valid here: sign in again."),
    Reason.TOKEN_EXPIRED: (401, "invalid_token", "The access token has expired: refresh it or sign in again."),
    Reason.GRANT_ENDED: (401, "invalid_token", "The grant behind the access token has ended: sign in again."),
    Reason.SCOPE_MISSING: (403, "insufficient_scope", "The access token lacks a scope that is needed here."),
    Reason.STORE_DOWN: (503, "temporarily_unavailable", "The portal cannot look this up right now: try again shortly."),
    Reason.BODY_TOO_LARGE: (413, "invalid_request", "The request is too large."),
    Reason.BODY_NOT_A_FORM: (400, "invalid_request", "Send application/x-www-form-urlencoded UTF-8 parameters."),
    Reason.BODY_NOT_JSON: (400, "invalid_client_metadata", "Send one JSON object as application/json."),
    Reason.PARAMETER_REPEATED: (400, "invalid_request", "A parameter was sent more than once."),
    Reason.PARAMETER_MALFORMED: (400, "invalid_request", "A parameter holds characters that are not allowed."),
    Reason.CLIENT_MISSING: (401, "invalid_client", "Send client_id."),
    Reason.CLIENT_UNKNOWN: (401, "invalid_client", "This client is not registered or its registration has expired."),
    Reason.CLIENT_SECRET_WRONG: (401, "invalid_client", "Client authentication failed."),
    Reason.CLIENT_METHOD_WRONG: (401, "invalid_client", "Use the authentication method that the client registered."),
    Reason.CLIENT_METHODS_MIXED: (400, "invalid_request", "Authenticate the client in one way only."),
    Reason.ASSERTION_INVALID: (
        401,
        "invalid_client",
        (
            "The client assertion is not valid: ES256 or RS256 with a kid of this client; iss and sub its id, aud our "
            "issuer and nothing else, exp at most 5 minutes ahead, a jti."
        ),
    ),
    Reason.ASSERTION_REPLAYED: (401, "invalid_client", "The client assertion was used before: sign a new one."),
    Reason.DOCUMENT_UNTRUSTED: (
        401,
        "invalid_client",
        "Metadata documents of this host are not accepted here: register the client.",
    ),
    Reason.DOCUMENT_UNREACHABLE: (503, "temporarily_unavailable", "The client's metadata document cannot be fetched."),
    Reason.DOCUMENT_INVALID: (
        401,
        "invalid_client",
        (
            "The client's metadata document is not acceptable: JSON with the same client_id, client_name, 1 to 10 "
            "redirect_uris, token_endpoint_auth_method none, and no client secret."
        ),
    ),
    Reason.DOCUMENT_TOO_FAST: (429, "temporarily_unavailable", "Too many metadata documents: try again in a minute."),
    Reason.REDIRECT_URI_MISSING: (400, "invalid_request", "Send redirect_uri."),
    Reason.REDIRECT_URI_UNREGISTERED: (400, "invalid_request", "redirect_uri is not registered for this client."),
    Reason.REDIRECT_URI_REFUSED: (
        400,
        "invalid_redirect_uri",
        (
            "redirect_uris: 1 to 10 addresses, each https, or http on localhost, 127.0.0.1 or [::1]; no fragment, user "
            "name, wildcard, or query parameter that the answer itself carries."
        ),
    ),
    Reason.METADATA_INVALID: (
        400,
        "invalid_client_metadata",
        (
            "grant_types needs authorization_code, response_types needs code, token_endpoint_auth_method is one of "
            "none, client_secret_basic, client_secret_post; client_name has at most 200 characters."
        ),
    ),
    Reason.REGISTRATION_TOO_FAST: (429, "temporarily_unavailable", "Too many registrations: try again in a minute."),
    Reason.REGISTRATION_FULL: (503, "temporarily_unavailable", "Too many clients are registered: try again later."),
    Reason.RESPONSE_TYPE_MISSING: (400, "invalid_request", "Send response_type."),
    Reason.RESPONSE_TYPE_UNSUPPORTED: (400, "unsupported_response_type", "response_type must be code."),
    Reason.RESPONSE_MODE_UNSUPPORTED: (400, "invalid_request", "response_mode must be query."),
    Reason.CHALLENGE_MISSING: (400, "invalid_request", "PKCE is required: send code_challenge."),
    Reason.CHALLENGE_METHOD: (400, "invalid_request", "code_challenge_method must be S256."),
    Reason.CHALLENGE_MALFORMED: (400, "invalid_request", "code_challenge must be 43 base64url characters."),
    Reason.SCOPE_UNKNOWN: (400, "invalid_scope", "None of the scopes exists here; see scopes_supported."),
    Reason.RESOURCE_FOREIGN: (400, "invalid_target", "resource must be the endpoint of this portal, and only that."),
    Reason.PERSON_DENIED: (403, "access_denied", "The person said no."),
    Reason.GRANT_TYPE_MISSING: (400, "invalid_request", "Send grant_type."),
    Reason.GRANT_TYPE_UNSUPPORTED: (400, "unsupported_grant_type", "See grant_types_supported."),
    Reason.GRANT_TYPE_UNREGISTERED: (400, "unauthorized_client", "The client did not register this grant type."),
    Reason.CODE_MISSING: (400, "invalid_request", "Send code."),
    Reason.CODE_UNKNOWN: (400, "invalid_grant", "The code is unknown or has expired: start again."),
    Reason.CODE_REUSED: (400, "invalid_grant", "The code was used before; everything issued from it has been revoked."),
    Reason.CODE_MISMATCH: (400, "invalid_grant", "The code was issued to another client or redirect_uri: start again."),
    Reason.VERIFIER_MISSING: (400, "invalid_request", "Send code_verifier: 43 to 128 unreserved characters."),
    Reason.VERIFIER_WRONG: (400, "invalid_grant", "code_verifier does not match code_challenge: start again."),
    Reason.REFRESH_MISSING: (400, "invalid_request", "Send refresh_token."),
    Reason.REFRESH_UNKNOWN: (400, "invalid_grant", "The refresh token is unknown, expired or revoked: sign in again."),
    Reason.REFRESH_REUSED: (400, "invalid_grant", "The refresh token was used before; the grant has been revoked."),
    Reason.PERSON_UNKNOWN: (400, "invalid_grant", "The person behind the grant is no longer known: sign in again."),
    Reason.IDENTITY_ASSERTION_MISSING: (400, "invalid_request", "Send assertion."),
    Reason.IDENTITY_ASSERTION_INVALID: (
        400,
        "invalid_grant",
        (
            "The identity assertion is not valid here: typ oauth-id-jag+jwt of the company's provider; aud our issuer, "
            "resource this endpoint, client_id this client, a jti, and at most 5 minutes from iat to exp."
        ),
    ),
    Reason.IDENTITY_ASSERTION_PERSON: (400, "invalid_grant", "The person in the assertion may not use this portal."),
    Reason.IDENTITY_ASSERTION_REPLAYED: (400, "invalid_grant", "The assertion was used before: get a new one."),
    Reason.DEVICES_FULL: (503, "temporarily_unavailable", "Too many machines are waiting: try again in a minute."),
    Reason.DEVICE_MISSING: (400, "invalid_request", "Send device_code."),
    Reason.DEVICE_UNKNOWN: (400, "invalid_grant", "The device code is unknown or was issued to another client."),
    Reason.DEVICE_PENDING: (400, "authorization_pending", "The person has not decided yet: ask again after interval."),
    Reason.DEVICE_TOO_FAST: (400, "slow_down", "Asked too soon: wait 5 seconds longer between questions from now on."),
    Reason.DEVICE_EXPIRED: (400, "expired_token", "The device code has expired or was revoked: start again."),
    Reason.DEVICE_DENIED: (400, "access_denied", "The person said no."),
    Reason.DEVICE_REUSED: (400, "invalid_grant", "The device code was used before; what it gave has been revoked."),
    Reason.REVOKE_TOKEN_MISSING: (400, "invalid_request", "Send token."),
    Reason.REVOKE_FOREIGN: (400, "invalid_grant", "The token was issued to another client."),
    Reason.INTROSPECTION_FORBIDDEN: (403, "access_denied", "This client may not introspect tokens."),
    Reason.INTROSPECTION_TOKEN_MISSING: (400, "invalid_request", "Send token."),
    Reason.SUBJECT_TOKEN_MALFORMED: (
        400,
        "invalid_request",
        "Send subject_token, subject_token_type and requested_token_type for an access token, and no actor_token.",
    ),
    # RFC 8693 section 2.2.2: a subject token that is invalid for any reason is invalid_request.
    Reason.SUBJECT_TOKEN_INVALID: (
        400,
        "invalid_request",
        "subject_token must be the server token of a call that is being made, and its grant must live.",
    ),
    Reason.TARGET_FOREIGN: (400, "invalid_target", "resource must be the server that this client is declared for."),
    Reason.ACCOUNT_NOT_CONNECTED: (400, "invalid_grant", "The account is not connected here: connect it again."),
    Reason.ACCOUNT_OF_CLIENT: (400, "unauthorized_client", "A client that acts for itself has no account there."),
    Reason.VENDOR_DOWN: (
        503,
        "temporarily_unavailable",
        "The system that the account is at gives no usable answer. Try again shortly; what is connected stays.",
    ),
    Reason.ORIGIN_FOREIGN: (403, "access_denied", "This form was sent from another site, so it was not accepted."),
    Reason.NOT_SIGNED_IN: (403, "access_denied", "You are not signed in in this browser, or no longer."),
    Reason.CONSENT_UNKNOWN: (400, "invalid_request", "This question was answered before or has expired."),
    Reason.LINK_UNKNOWN: (
        400,
        "invalid_request",
        "This sign-in link was used before or has expired.",
    ),
    Reason.LOGIN_UNKNOWN: (
        400,
        "invalid_request",
        "This sign-in was finished before, has expired, or was started in another browser.",
    ),
    Reason.SIGN_IN_TOO_FAST: (429, "temporarily_unavailable", "Too many sign-ins from here: try again in a minute."),
    Reason.PROVIDER_DOWN: (503, "temporarily_unavailable", "The company's sign-in does not answer: try again shortly."),
    Reason.PROVIDER_FOREIGN: (400, "access_denied", "The sign-in was answered by another provider than was asked."),
    Reason.PROVIDER_REFUSED: (403, "access_denied", "The company's sign-in did not let you in."),
    Reason.PROVIDER_CODE_REFUSED: (400, "server_error", "The company's sign-in did not complete: try again."),
    Reason.ID_TOKEN_INVALID: (400, "server_error", "The company's sign-in gave an answer that cannot be believed."),
    Reason.ID_TOKEN_EXPIRED: (400, "server_error", "The company's sign-in gave an answer that has expired: try again."),
    Reason.NONCE_WRONG: (400, "access_denied", "The company's sign-in answered for another sign-in than this one."),
    Reason.PERSON_NOT_ADMITTED: (403, "access_denied", "Your account is not among those that may use this portal."),
    Reason.GROUPS_TOO_MANY: (
        403,
        "access_denied",
        "Your account is in too many groups: have the provider send fewer in the groups claim.",
    ),
    Reason.SERVER_UNKNOWN: (
        404,
        "invalid_request",
        "There is no server of this name that people connect accounts for.",
    ),
    Reason.DEPARTURE_UNKNOWN: (
        400,
        "invalid_request",
        "This connection was finished before, has expired, or was begun in another browser. Begin it again.",
    ),
    Reason.VENDOR_FOREIGN: (400, "access_denied", "The answer came from another system than was asked. Begin again."),
    Reason.VENDOR_REFUSED: (403, "access_denied", "Access was not granted there, so nothing was connected."),
    Reason.VENDOR_CODE_REFUSED: (400, "invalid_grant", "The system took its own code no more. Begin again."),
    Reason.VENDOR_SCOPE_FOREIGN: (
        *(400, "invalid_scope"),
        "This permission is not one that the portal asks for. An operator can allow it in the settings.",
    ),
    Reason.SITE_UNKNOWN: (400, "invalid_request", "This site cannot be chosen, or no longer. Choose again."),
    Reason.LOGOUT_TOKEN_INVALID: (400, "invalid_request", "The logout token is not one of the company's provider."),
    Reason.SUBJECT_RESERVED: (403, "access_denied", "Your account's name is one that is kept for clients."),
    Reason.FORM_STALE: (403, "access_denied", "This form belongs to an earlier sign-in: open the page again."),
    Reason.OPERATORS_ONLY: (403, "access_denied", "Only operators may end other people's access."),
    Reason.NOBODY_NAMED: (400, "invalid_request", "Nothing was ended: name exactly whose access is to end."),
    Reason.NOT_CONFIRMED: (400, "invalid_request", "Nothing was ended: type the word everybody to end all access."),
    Reason.USER_CODE_UNKNOWN: (
        400,
        "invalid_request",
        "No machine waits with this code, or no longer. Open /device again and type in what the machine shows now.",
    ),
    Reason.USER_CODE_TOO_FAST: (429, "temporarily_unavailable", "Too many codes were tried: wait some minutes."),
}

WIRE: Mapping[Reason, Wire] = MappingProxyType({reason: Wire(*row) for reason, row in _TABLE.items()})
