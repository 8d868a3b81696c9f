"""JSON answers of the OAuth endpoints: never stored by a cache, refusals in the one form of RFC 6749 section 5.2."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from shared_auth.reasons import ALARMS, Denied, Reason
from shared_auth.store import SILENT

log = logging.getLogger("shared_auth")

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
RETRY_AFTER = {
    Reason.REGISTRATION_TOO_FAST: "60",
    Reason.REGISTRATION_FULL: "900",
    Reason.STORE_DOWN: "1",
    Reason.DEVICES_FULL: "60",
    Reason.DOCUMENT_TOO_FAST: "60",
    Reason.DOCUMENT_UNREACHABLE: "10",
    Reason.VENDOR_DOWN: "5",
}

# Web clients such as MCP Inspector call these from their own origin. No cookie counts on any of them, and the wildcard
# keeps browsers from sending one.
CROSS_ORIGIN = [
    Middleware(
        CORSMiddleware,
        allow_origins=["*"],
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type", "MCP-Protocol-Version"],
        max_age=3_600,
    )
]

Handler = Callable[[Request], Awaitable[Response]]


def answer(value: Mapping[str, Any], status: int = 200) -> Response:
    """Return ``value`` as JSON that nobody may store."""
    return JSONResponse(dict(value), status, NO_STORE)


def refusal(reason: Reason, *, basic: bool = False) -> Response:
    """Return the wire form of ``reason``; ``basic`` when the client tried to authenticate by header."""
    wire = Denied(reason).wire
    response = answer({"error": wire.error, "error_description": wire.description}, wire.status)
    if wire.status == 401 and basic:
        response.headers["WWW-Authenticate"] = 'Basic realm="oauth"'
    if reason in RETRY_AFTER:
        response.headers["Retry-After"] = RETRY_AFTER[reason]
    return response


def oauth(handler: Handler) -> Handler:
    """Return ``handler`` with Denied turned into its JSON answer and logged by reason alone.

    A database that does not answer is a refusal, too: nothing was granted, and nothing is told of it.
    """

    async def endpoint(request: Request) -> Response:
        try:
            return await handler(request)
        except (Denied, *SILENT) as error:
            denied = error if isinstance(error, Denied) else Denied(Reason.STORE_DOWN)
            level = logging.WARNING if denied.reason in ALARMS | {Reason.STORE_DOWN} else logging.INFO
            log.log(level, "oauth.refused", extra={"reason": denied.reason.value, "path": request.scope["path"]})
            return refusal(denied.reason, basic="authorization" in request.headers)

    return endpoint
