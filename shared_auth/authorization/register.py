"""Dynamic client registration (RFC 7591): open to everyone, so bounded in size, number, pace and life.

A registration grants nothing: a person still has to say yes to the name and the address that they are shown.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictStr, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from shared_auth import opaque
from shared_auth.authorization import redirects
from shared_auth.authorization.answers import answer
from shared_auth.authorization.client import Client, RegistrableMethod
from shared_auth.authorization.clients import Clients
from shared_auth.authorization.pace import Pace
from shared_auth.authorization.parameters import read_body
from shared_auth.readable import readable
from shared_auth.reasons import Denied, Reason
from shared_auth.settings import SCOPE

PER_SECOND = 0.5
PUBLIC: RegistrableMethod = "none"
NAMELESS = "A client without a name"


class Registration(BaseModel):
    """What a client may say about itself. The rest is ignored, as RFC 7591 section 2 wants, and nothing is fetched."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    redirect_uris: Annotated[list[StrictStr], Field(min_length=1, max_length=10)]
    client_name: Annotated[StrictStr, Field(max_length=200)] = ""
    # RFC 7591 section 2: what a client that says nothing has registered.
    token_endpoint_auth_method: RegistrableMethod = "client_secret_basic"  # noqa: S105 - the name of a method
    grant_types: Annotated[list[StrictStr], Field(max_length=20)] = ["authorization_code"]
    response_types: Annotated[list[StrictStr], Field(max_length=20)] = ["code"]


class Register:
    """The registration endpoint."""

    def __init__(self, clients: Clients, *, per_address: int, clock: Callable[[], float]) -> None:
        self._clients = clients
        self._clock = clock
        self._pace = Pace(burst=per_address, per_second=PER_SECOND, clock=clock)

    async def endpoint(self, request: Request) -> Response:
        """Answer ``POST /register``: 201 with the registered metadata. Raises Denied."""
        if not self._pace.take(request.client.host if request.client else ""):
            raise Denied(Reason.REGISTRATION_TOO_FAST)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Denied(Reason.BODY_NOT_JSON)
        wanted = parse(await read_body(request))
        secret = None if wanted.token_endpoint_auth_method == PUBLIC else opaque.new("secret")
        client = Client(
            client_id=opaque.new("client"),
            name=readable(wanted.client_name) or NAMELESS,
            redirect_uris=tuple(dict.fromkeys(wanted.redirect_uris)),
            auth_method=wanted.token_endpoint_auth_method,
            may_refresh="refresh_token" in wanted.grant_types,
            secret_hash=None if secret is None else opaque.digest(secret),
        )
        await self._clients.add(client)
        return answer(_registered(client, secret, int(self._clock())), 201)


def parse(raw: bytes) -> Registration:
    """Return the registration that ``raw`` holds. Raises Denied."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        raise Denied(Reason.BODY_NOT_JSON) from None
    if not isinstance(value, dict):
        raise Denied(Reason.BODY_NOT_JSON)
    try:
        wanted = Registration.model_validate({name: given for name, given in value.items() if given is not None})
    except ValidationError as error:
        about_uris = any(found["loc"][0] == "redirect_uris" for found in error.errors(include_input=False))
        raise Denied(Reason.REDIRECT_URI_REFUSED if about_uris else Reason.METADATA_INVALID) from None
    if "authorization_code" not in wanted.grant_types or "code" not in wanted.response_types:
        raise Denied(Reason.METADATA_INVALID)
    if not all(map(redirects.registrable, wanted.redirect_uris)):
        raise Denied(Reason.REDIRECT_URI_REFUSED)
    return wanted


def _registered(client: Client, secret: str | None, now: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "client_id": client.client_id,
        "client_id_issued_at": now,
        "client_name": client.name,
        "redirect_uris": list(client.redirect_uris),
        "token_endpoint_auth_method": client.auth_method,
        "grant_types": ["authorization_code", *(["refresh_token"] if client.may_refresh else [])],
        "response_types": ["code"],
        "scope": SCOPE,
    }
    # 0: the secret lives as long as the client does (RFC 7591 section 3.2.1).
    return found if secret is None else found | {"client_secret": secret, "client_secret_expires_at": 0}
