"""What a client ID metadata document must say before it is a client. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictStr, ValidationError

from shared_auth.authorization import redirects
from shared_auth.authorization.client import Client
from shared_auth.readable import readable


class NotAClient(Exception):
    """The document is not acceptable. Its text names the rule and quotes nothing."""


class _Document(BaseModel):
    """What counts of a document; the rest is ignored. Nothing that it links to (logo, terms, keys) is fetched."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    client_id: StrictStr
    client_name: Annotated[StrictStr, Field(min_length=1, max_length=200)]
    redirect_uris: Annotated[list[StrictStr], Field(min_length=1, max_length=20)]
    # A document is public: it can hold no secret, so nothing that rests on one is possible.
    token_endpoint_auth_method: Literal["none"] = "none"  # noqa: S105 - the name of a method
    grant_types: Annotated[list[StrictStr], Field(max_length=20)] = ["authorization_code"]
    response_types: Annotated[list[StrictStr], Field(max_length=20)] = ["code"]


def judge(url: str, value: object) -> Client:
    """Return the client that the document ``value``, found at ``url``, describes. Raises NotAClient."""
    if not isinstance(value, dict):
        raise NotAClient("not a JSON object")
    if "client_secret" in value or "client_secret_expires_at" in value:
        raise NotAClient("a public document must not hold a client secret")
    try:
        found = _Document.model_validate({name: given for name, given in value.items() if given is not None})
    except ValidationError as error:
        names = sorted({str(one["loc"][0]) for one in error.errors(include_input=False)})
        raise NotAClient(f"not as it must be: {', '.join(names)}") from None
    if found.client_id != url:
        raise NotAClient("client_id is another address")
    if "authorization_code" not in found.grant_types or "code" not in found.response_types:
        raise NotAClient("grant_types needs authorization_code, response_types needs code")
    if not all(map(redirects.registrable, found.redirect_uris)):
        raise NotAClient("a redirect address is neither https nor http on loopback")
    name = readable(found.client_name)
    if not name:
        raise NotAClient("client_name shows nothing")
    uris = tuple(dict.fromkeys(found.redirect_uris))
    return Client(url, name, uris, "none", may_refresh="refresh_token" in found.grant_types)
