"""What a vendor answered, judged before anything of it is kept. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared_auth.outbound import Answer
from shared_auth.readable import readable
from shared_auth.vault.credential import Site
from shared_auth.vault.vendor import Vendor

MAX_SITES = 100
MAX_LIFE_S = 400 * 86_400
MAX_SCOPE_CHARS = 4_000
MAX_TEXT_CHARS = 200

_TOKEN = re.compile(r"[!-~]{1,8192}")
"""VSCHAR without the space (RFC 6749 appendix A): nothing that could end a header or begin another one."""
_SITE_ID = re.compile(r"(?!\.+$)[A-Za-z0-9._~-]{1,100}")
"""A site's id becomes part of the API's address: nothing that could climb in it or leave it."""


class Unusable(Exception):
    """An answer that must not be acted on. Its text is ours and quotes nothing."""


class GrantDead(Exception):
    """The vendor says that the grant is over. Asking again with it is no use and may look like theft."""


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """The tokens of an answer. None where the vendor says nothing."""

    access: str = field(repr=False)
    refresh: str | None = field(repr=False)
    expires_in_s: int | None
    scope: str | None


def tokens_of(answer: Answer) -> TokenAnswer:
    """Return the tokens. Raises GrantDead for ``invalid_grant`` (400, or 403 as Atlassian says it), else Unusable."""
    found = _object(answer)
    if found.get("error") == "invalid_grant" and 400 <= answer.status < 500:
        raise GrantDead
    if answer.status != 200 or "error" in found:
        raise Unusable(f"status {answer.status}")
    access, refresh, scope = found.get("access_token"), found.get("refresh_token"), found.get("scope")
    if not _is_token(access) or not (refresh is None or _is_token(refresh)):
        raise Unusable("a token is missing or is none")
    if not isinstance(found.get("token_type", ""), str) or found.get("token_type", "bearer").lower() != "bearer":
        raise Unusable("another type of token")
    if not (scope is None or (isinstance(scope, str) and len(scope) <= MAX_SCOPE_CHARS and scope.isprintable())):
        raise Unusable("scope is no text")
    return TokenAnswer(str(access), refresh, _seconds(found.get("expires_in")), scope)


def sites_of(answer: Answer, vendor: Vendor) -> list[Site]:
    """Return the sites of an answer, without those that are none. Raises Unusable."""
    if answer.status != 200 or not answer.is_json:
        raise Unusable(f"status {answer.status}")
    value = _json(answer.body)
    if not isinstance(value, list):
        raise Unusable("no list of sites")
    found: dict[str, Site] = {}
    for one in value[:MAX_SITES]:
        if isinstance(one, dict) and isinstance(name := one.get(vendor.site_id), str) and _SITE_ID.fullmatch(name):
            found[name] = Site(name, _text(one, vendor.site_name) or name, _text(one, vendor.site_url))
    return list(found.values())


def _is_token(value: object) -> bool:
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None


def _seconds(value: object) -> int | None:
    """Return a life in seconds; some vendors send it as text, and none at all means that the token does not end."""
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:12])
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise Unusable("expires_in is no time")
    return int(min(value, MAX_LIFE_S))


def _text(value: Mapping[str, Any], name: str) -> str:
    found = value.get(name)
    return readable(found)[:MAX_TEXT_CHARS] if isinstance(found, str) else ""


def _object(answer: Answer) -> dict[str, Any]:
    if not answer.is_json:
        raise Unusable(f"status {answer.status}, no JSON")
    found = _json(answer.body)
    if not isinstance(found, dict):
        raise Unusable("not a JSON object")
    return found


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise Unusable("not JSON") from None
