"""HTTP to one vendor: bounded answers, deadlines, retries of reads only, and every refusal mapped to a ToolFailure."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import Any
from urllib.parse import quote as percent

import httpx
import stamina

from servers._kit.credentials import credential, has_changed, note_change
from servers._kit.failures import (
    Forbidden,
    InvalidInput,
    NotFound,
    RateLimited,
    ScopeNeeded,
    ToolFailure,
    VendorRejected,
    VendorUnavailable,
    quote,
)

MAX_ANSWER_BYTES = 16 * 1024 * 1024
MAX_RETRY_AFTER_S = 3_600.0
ATTEMPTS = 3
_CHALLENGE = re.compile(r'(\w+)="([^"\\]*)"')

Params = Mapping[str, str | int | float | bool | list[str] | None]


def path(*segments: str | int) -> str:
    """Return a URL path of percent-encoded segments; no value can add or climb a level.

    Raises InvalidInput for an empty segment, ``.`` and ``..``, which some servers resolve even when encoded.
    """
    found = []
    for segment in segments:
        text = str(segment)
        if text in {"", ".", ".."}:
            raise InvalidInput(f"{quote(text)} cannot be part of an address")
        found.append(percent(text, safe=""))
    return "/" + "/".join(found)


class Http:
    """A JSON API of one vendor. Never follows redirects, so a credential cannot be carried to another host."""

    def __init__(self, client: httpx.AsyncClient, *, vendor: str, as_caller: bool = False) -> None:
        self._client = client
        self._vendor = vendor
        self._as_caller = as_caller

    async def get(self, url: str, params: Params | None = None) -> Any:
        """Return the JSON answer of a GET. Raises ToolFailure."""
        return await self._read("GET", url, params=_present(params))

    async def query(self, url: str, form: Params) -> Any:
        """Return the JSON answer of a POST that changes nothing, so that it may be retried. Raises ToolFailure."""
        return await self._read("POST", url, data=_present(form))

    async def send(self, method: str, url: str, *, body: Any = None, params: Params | None = None) -> Any:
        """Send a change once, never again by itself; return its JSON answer, None when empty. Raises ToolFailure."""
        answer = await self._once(method, url, json=body, params=_present(params))
        note_change()
        return answer

    async def _read(self, method: str, url: str, **request: Any) -> Any:
        async for attempt in stamina.retry_context(
            on=VendorUnavailable, attempts=ATTEMPTS, timeout=10.0, wait_initial=0.05, wait_max=1.0
        ):
            with attempt:
                return await self._once(method, url, **request)
        raise AssertionError("unreachable: the last attempt raises")

    async def _once(self, method: str, url: str, **request: Any) -> Any:
        token = (await credential()).token if self._as_caller else ""
        response, raw = await self._exchange(method, url, token, **request)
        if response.status_code == 401 and self._as_caller:
            # A refused request changed nothing, so even a change may be sent once more, with a renewed token.
            another = (await credential(rejected=token)).token
            if another != token:
                response, raw = await self._exchange(method, url, another, **request)
        if response.status_code >= 300:
            raise self._refusal(response, raw)
        if not raw:
            return None
        try:
            return json.loads(raw)
        except (ValueError, RecursionError):
            raise VendorRejected(f"{self._vendor} answered something that is not JSON") from None

    async def _exchange(self, method: str, url: str, token: str, **request: Any) -> tuple[httpx.Response, bytes]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            async with self._client.stream(method, url, headers=headers, **request) as response:
                return response, await self._body(response)
        except httpx.TimeoutException:
            raise VendorUnavailable(f"{self._vendor} did not answer in time") from None
        except httpx.HTTPError:
            raise VendorUnavailable(f"{self._vendor} cannot be reached") from None

    async def _body(self, response: httpx.Response) -> bytes:
        parts, size = [], 0
        async for part in response.aiter_bytes():
            size += len(part)
            if size > MAX_ANSWER_BYTES:
                raise VendorRejected(f"{self._vendor} answered more than {MAX_ANSWER_BYTES} bytes; ask for less")
            parts.append(part)
        return b"".join(parts)

    def _refusal(self, response: httpx.Response, raw: bytes) -> ToolFailure:
        status = response.status_code
        said = _message(raw)
        text = f"{self._vendor} answered {status}" + (f": {quote(said)}" if said else "")
        if status in {400, 422}:
            return InvalidInput(text, status=status)
        if status == 404:
            return NotFound(text, status=status)
        if status in {401, 403}:
            # After a change the call must not be made again, as it would be once the person has granted more.
            needed = _needed_scopes(response, raw) if self._as_caller and not has_changed() else None
            return Forbidden(text, status=status) if needed is None else ScopeNeeded(text, needed, status=status)
        if status == 429:
            return RateLimited(text, status=status, retry_after_s=_retry_after(response))
        if status >= 500:
            return VendorUnavailable(text, status=status, retry_after_s=_retry_after(response))
        return VendorRejected(text, status=status)


@asynccontextmanager
async def open_http(
    base_url: str,
    *,
    vendor: str,
    headers: Mapping[str, str] | None = None,
    auth: httpx.Auth | None = None,
    timeout_s: float = 30.0,
    verify: bool = True,
    transport: httpx.AsyncBaseTransport | None = None,
    as_caller: bool = False,
) -> AsyncIterator[Http]:
    """Yield an Http for ``base_url``. Proxy settings of the environment are ignored: the address is the address.

    With ``as_caller`` each request carries the token of whoever calls (``servers._kit.credentials``).
    """
    async with httpx.AsyncClient(
        base_url=base_url,
        headers=dict(headers or {}),
        auth=auth,
        timeout=httpx.Timeout(timeout_s, connect=5.0),
        follow_redirects=False,
        trust_env=False,
        verify=_authorities() if verify else False,
        transport=transport,
        limits=httpx.Limits(max_connections=64, max_keepalive_connections=32),
    ) as client:
        yield Http(client, vendor=vendor, as_caller=as_caller)


@cache
def _authorities() -> ssl.SSLContext:
    """Return the certificate authorities that vendors are checked against, read once: each reading takes 16 ms."""
    return httpx.create_ssl_context(trust_env=False)


def _present(params: Params | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in (params or {}).items():
        if value is not None:
            found[name] = str(value).lower() if isinstance(value, bool) else value
    return found


def _message(raw: bytes) -> str:
    """Return what a vendor says went wrong, from the few fields that vendors use; empty when it says nothing."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        for name in ("error", "message", "detail", "error_description"):
            said = value.get(name)
            if isinstance(said, str):
                return said
            if isinstance(said, dict) and isinstance(said.get("message"), str):
                return str(said["message"])
    return ""


def _needed_scopes(response: httpx.Response, raw: bytes) -> tuple[str, ...] | None:
    """Return the scopes that the token lacks, () where the vendor does not name them; None for any other refusal.

    RFC 6750 section 3.1, in the header; GitLab says the same in the body.
    """
    header = response.headers.get("www-authenticate", "")
    found = dict(_CHALLENGE.findall(header)) if header.lower().startswith("bearer ") else {}
    if found.get("error") != "insufficient_scope":
        try:
            found = json.loads(raw)
        except (ValueError, RecursionError):
            return None
        if not isinstance(found, dict) or found.get("error") != "insufficient_scope":
            return None
    scope = found.get("scope")
    return tuple(scope.split()) if isinstance(scope, str) else ()


def _retry_after(response: httpx.Response) -> float | None:
    """Return the seconds of a Retry-After header (RFC 9110 section 10.2.3, delay form), within reason."""
    value = response.headers.get("retry-after", "")
    if value.isascii() and value.isdigit() and len(value) < 10:
        return min(float(value), MAX_RETRY_AFTER_S)
    return None
