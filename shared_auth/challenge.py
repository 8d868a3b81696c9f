"""The 401 and 403 of the door (RFC 6750 section 3, RFC 9728 section 5.1): what an agent needs in order to sign in."""

from __future__ import annotations

from typing import Protocol

from starlette.responses import JSONResponse, Response

from shared_auth.reasons import Denied, Reason
from shared_auth.settings import SCOPE


class Protected(Protocol):
    """What stands behind a door, as far as a refusal names it."""

    @property
    def resource_metadata(self) -> str: ...


def challenge(reason: Reason, settings: Protected) -> Response:
    """Return the refusal for ``reason``. Every part of it is ours: nothing that was sent can reach a header.

    A request without credentials gets no error code (RFC 6750 section 3.1).
    """
    wire = Denied(reason).wire
    headers = {"Cache-Control": "no-store"}
    if wire.status == 503:
        headers["Retry-After"] = "1"
    else:
        parts = [f'resource_metadata="{settings.resource_metadata}"', f'scope="{SCOPE}"']
        if wire.error:
            parts = [f'error="{wire.error}"', f'error_description="{wire.description}"', *parts]
        headers["WWW-Authenticate"] = f"Bearer {', '.join(parts)}"
    body = {"error": wire.error} if wire.error else {}
    return JSONResponse(body | {"error_description": wire.description}, wire.status, headers)
