"""Parameters of a request, read within bounds: each at most once, no control characters, nothing half parsed.

A repeated parameter is refused (RFC 6749 sections 3.1 and 3.2): two parties that each read another one of the two
values are how a check is passed with one and the action done with the other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from shared_auth.reasons import Denied, Reason

MAX_BODY_BYTES = 16_384
MAX_QUERY_BYTES = 8_192
MAX_FIELDS = 64

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

Parameters = Mapping[str, str]


async def read_body(request: Request) -> bytes:
    """Return the body. Raises Denied (BODY_TOO_LARGE) as soon as it is larger than ``MAX_BODY_BYTES``."""
    found = bytearray()
    try:
        async for part in request.stream():
            found += part
            if len(found) > MAX_BODY_BYTES:
                raise Denied(Reason.BODY_TOO_LARGE)
    except ClientDisconnect:
        raise Denied(Reason.BODY_NOT_A_FORM) from None
    return bytes(found)


async def read_form(request: Request) -> Parameters:
    """Return the parameters of a form body; query parameters are not looked at. Raises Denied."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Denied(Reason.BODY_NOT_A_FORM)
    return unique(pairs(await read_body(request)))


def pairs(raw: bytes) -> list[tuple[str, str]]:
    """Return the parameters of ``raw`` in order. One without a value counts as absent (RFC 6749 section 3.1)."""
    try:
        found = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        raise Denied(Reason.BODY_NOT_A_FORM) from None
    if any(_CONTROL.search(text) for pair in found for text in pair):
        raise Denied(Reason.PARAMETER_MALFORMED)
    return [(name, value) for name, value in found if value]


def unique(found: list[tuple[str, str]]) -> Parameters:
    """Return ``found`` as a mapping. Raises Denied when a name occurs twice."""
    parameters = dict(found)
    if len(parameters) != len(found):
        repeated = [name for name, _ in found]
        # RFC 8707 section 2 lets a client name several resources; a token for several is what we never make.
        raise Denied(Reason.RESOURCE_FOREIGN if repeated.count("resource") > 1 else Reason.PARAMETER_REPEATED)
    return parameters
