"""Requests that are nearly right: one valid request for each address, and what may be done to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus

from hypothesis import strategies as st

from portal.programs.presenting import URI
from tests.fuzz.standing import CANARY, DEVICE, EXCHANGE, HOST, HOSTILE, JWT_BEARER, SITE, WEB, Asked
from tests.shared_auth.flow import CALLBACK, CHALLENGE, ISSUER, RESOURCE, VERIFIER
from tests.shared_auth.headless import SECRET

METHODS = ("GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "get", "PROPFIND", "")
VALUES = (
    *(
        HOSTILE,
        "",
        "0",
        "null",
        "true",
        "-1",
        "[]",
        "{}",
        " ",
        "*",
        "%00",
        "%ff",
        "%0d%0aX-Evil:%20y",
        "../../etc/passwd",
    ),
    *(
        f"javascript:alert('{CANARY}')",
        f"https://evil.example/{CANARY}",
        f"//evil.example/{CANARY}",
        "http://localhost:99999/",
    ),
    *(
        f"http://127.0.0.1@evil.example/{CANARY}",
        "https://[",
        "http://[::1]:1/callback",
        f"https://agent.example/{CANARY}",
    ),
    *(
        f"a\r\nSet-Cookie: {CANARY}=1",
        "a\x00b",
        "\x7f\x85",
        "\u202e\u200b",
        "\ud800",
        "ä",
        "é" * 50,
        "x" * 5_000,
        "9" * 400,
    ),
    *(
        "${7*7}{{7*7}}<%= 7*7 %>",
        "' OR 1=1 --",
        "a.b.c",
        "eyJhbGciOiJub25lIn0.e30.",
        "none",
        "plain",
        "S256",
        "openid mcp",
    ),
)
NAMES = (
    *(
        "client_id",
        "redirect_uri",
        "state",
        "scope",
        "resource",
        "code",
        "code_verifier",
        "grant_type",
        "token",
        "consent",
    ),
    *(
        "decision",
        "client_secret",
        "client_assertion",
        "client_assertion_type",
        "refresh_token",
        "device_code",
        "user_code",
    ),
    *("iss", "error", "response_type", "response_mode", "prompt", "request", "access_token", HOSTILE, ""),
    *("form_token", "call-1", "end", "grant_id", "subject", "confirmation", "site", "assertion"),
    *("logout_token", "subject_token", "subject_token_type", "requested_token_type", "audience"),
)
HEADERS = (
    *(
        "authorization",
        "cookie",
        "origin",
        "sec-fetch-site",
        "content-type",
        "content-length",
        "accept",
        "host",
        "forwarded",
    ),
    *(
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "referer",
        "mcp-protocol-version",
        "mcp-method",
        "mcp-name",
    ),
    *(
        "mcp-session-id",
        "last-event-id",
        "access-control-request-method",
        "access-control-request-headers",
        "range",
        "x-evil",
    ),
    *(
        "transfer-encoding",
        "if-none-match",
        "accept-encoding",
        "user-agent",
        "content-encoding",
        "upgrade",
        "te",
        "expect",
    ),
)
KINDS = (
    *("application/x-www-form-urlencoded", "application/json", "multipart/form-data; boundary=x", "text/plain", ""),
    *("application/x-www-form-urlencoded; charset=utf-16", "application/json; charset=x", HOSTILE),
)

Pairs = list[tuple[str, str]]


@dataclass
class Template:
    """A valid request. ``form`` and ``data`` exclude each other."""

    path: str
    method: str = "GET"
    query: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] | None = None
    data: Any = None
    cookies: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


def templates(held: Mapping[str, str]) -> list[Template]:
    """Return a valid request for every address that is known here, with what a person and an agent hold."""
    cookies, client = held["cookies"], held["client"]
    bearer = {"authorization": f"Bearer {held['access']}", "accept": "application/json, text/event-stream"}
    ours = {"origin": ISSUER, "sec-fetch-site": "same-origin"}
    modern = bearer | {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "search"}
    asking = {
        "response_type": "code",
        "client_id": client,
        "redirect_uri": CALLBACK,
        "state": "a state",
        "scope": "mcp",
        "resource": RESOURCE,
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    redeeming = {
        "grant_type": "authorization_code",
        "client_id": client,
        "code": held["code"],
        "code_verifier": VERIFIER,
    }
    monitor = {"client_id": "monitor", "client_secret": SECRET}
    waiting, boards = f"/programs/{held['pause']}", {"form_token": held["form_token"]}
    ending = {"form_token": held["access_form"], "end": "mine", "grant_id": "mpg_unknown"}
    exchanging = {
        "grant_type": EXCHANGE,
        "client_id": "boards-server",
        "client_secret": SECRET,
        "subject_token": held["access"],
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
    }
    return [
        Template("/mcp", "POST", data=_call({"queries": ["notes"]}), headers=bearer),
        Template("/mcp", "POST", data=_call({"queries": ["notes"]}, modern=True), headers=modern),
        Template("/mcp", "POST", data=_call({"code": "6 * 7"}, name="execute"), headers=bearer),
        Template("/.well-known/oauth-protected-resource"),
        Template("/.well-known/oauth-protected-resource/mcp"),
        Template("/.well-known/oauth-authorization-server"),
        Template("/jwks.json"),
        Template("/healthz"),
        Template("/", cookies=cookies),
        Template("/register", "POST", data={"client_name": "Agent", "redirect_uris": [CALLBACK], "grant_types": ["authorization_code"]}),
        Template("/authorize", query=asking, cookies=cookies),
        Template("/authorize", query=asking),
        Template("/authorize", query=asking | {"client_id": held["web"], "redirect_uri": WEB}, cookies=cookies),
        Template("/authorize", query=asking | {"client_id": held["web"], "redirect_uri": WEB, "state": HOSTILE, "scope": "no"}),
        Template("/authorize", query=asking | {"client_id": "https://agent.example/oauth/client.json", "redirect_uri": "http://localhost:7/callback"}),
        Template("/consent", "POST", form={"consent": held["consent"], "decision": "allow"}, cookies=cookies, headers=ours),
        Template("/token", "POST", form=redeeming | {"redirect_uri": CALLBACK, "resource": RESOURCE}),
        Template("/token", "POST", form={"grant_type": "refresh_token", "client_id": client, "refresh_token": held["refresh"]}),
        Template("/token", "POST", form={"grant_type": DEVICE, "client_id": "terminal", "device_code": held["device"]}),
        Template("/token", "POST", form={"grant_type": "client_credentials"}, headers={"authorization": "Basic YnVpbGQ6bXBz"}),
        Template("/token", "POST", form={"grant_type": "client_credentials", "client_assertion": held["access"], "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}),
        Template("/revoke", "POST", form={"client_id": client, "token": "mpr_unknown"}),
        Template("/introspect", "POST", form=monitor | {"token": held["access"]}),
        Template("/device_authorization", "POST", form={"client_id": "terminal", "scope": "mcp"}),
        Template("/device", cookies=cookies),
        Template("/device", "POST", form={"user_code": held["user_code"]}, cookies=cookies, headers=ours),
        Template("/device", "POST", form={"consent": held["device_consent"], "decision": "deny"}, cookies=cookies, headers=ours),
        Template("/sign-in", query={"code": held["link"]}),
        Template("/sign-in", "POST", form={"code": held["link"]}, cookies=cookies, headers=ours),
        Template("/sign-in/callback", query={"state": held["state"], "code": held["their_code"], "iss": "https://login.example"}, cookies=cookies),
        Template("/sign-out", "POST", form={}, cookies="portal_session_8300=mpw_of_nobody", headers=ours),
        Template("/sign-in/logout", "POST", form={"logout_token": held["logout"]}),
        Template("/token", "POST", form={"grant_type": JWT_BEARER, "client_id": "desk", "client_secret": SECRET, "assertion": held["assertion"]}),
        Template("/token", "POST", form=exchanging),
        Template("/mcp", "POST", data=_call({"resume": held["pause"]}, name="execute"), headers=bearer),
        Template("/mcp", "POST", data=_read(URI + held["result"]), headers=bearer),
        Template("/programs", cookies=cookies),
        Template(waiting, cookies=cookies),
        Template(waiting, "POST", form={"form_token": held["pause_form"], "decision": "refuse"}, cookies=cookies, headers=ours),
        Template("/access", cookies=cookies),
        Template("/access", "POST", form=ending, cookies=cookies, headers=ours),
        Template("/access", "POST", form=ending | {"end": "person", "subject": "nobody"}, cookies=cookies, headers=ours),
        Template("/connections", cookies=cookies),
        Template("/connect/boards", cookies=cookies),
        Template("/connect/boards", "POST", form=boards, cookies=cookies, headers=ours),
        Template("/connect/callback", query={"state": held["way"], "code": held["vendor_code"]}, cookies=cookies),
        Template("/connect/boards/site", cookies=cookies),
        Template("/connect/boards/site", "POST", form=boards | {"site": SITE}, cookies=cookies, headers=ours),
        Template("/disconnect/boards", "POST", form=boards, cookies=cookies, headers=ours),
        Template("/nowhere"),
    ]  # fmt: skip


def _call(arguments: Any, *, name: str = "search", modern: bool = False) -> Any:
    params: dict[str, Any] = {"name": name, "arguments": arguments}
    if modern:
        params["_meta"] = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        }
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


def _read(uri: str) -> Any:
    return {"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": {"uri": uri}}


class Draft:
    """A request that is being spoilt."""

    def __init__(self, template: Template) -> None:
        self.method = template.method
        self.path = template.path
        self.query: Pairs = list(template.query.items())
        self.form: Pairs | None = None if template.form is None else list(template.form.items())
        self.data = json.loads(json.dumps(template.data))
        self.headers: list[tuple[bytes, bytes]] = [(b"host", HOST)]
        self.headers += [(name.encode(), value.encode()) for name, value in template.headers.items()]
        if template.cookies:
            self.headers.append((b"cookie", template.cookies.encode()))
        if self.form is not None:
            self.headers.append((b"content-type", b"application/x-www-form-urlencoded"))
        elif self.data is not None:
            self.headers.append((b"content-type", b"application/json"))
        self.raw_query: bytes | None = None
        self.raw_body: bytes | None = None
        self.pieces = 1
        self.broken = False

    @property
    def pairs(self) -> Pairs:
        """The parameters: of the form where there is one, else of the query."""
        return self.query if self.form is None else self.form

    def done(self) -> Asked:
        body = _encoded(self.form) if self.form is not None else b""
        if self.data is not None:
            body = json.dumps(self.data).encode()
        body = body if self.raw_body is None else self.raw_body
        size = max(1, -(-len(body) // self.pieces))
        pieces = [body[start : start + size] for start in range(0, len(body), size)]
        query = _encoded(self.query) if self.raw_query is None else self.raw_query
        return Asked(self.method, self.path, query, self.headers, pieces, self.broken)


def _encoded(pairs: Pairs) -> bytes:
    return "&".join(f"{quote_plus(n, errors='replace')}={quote_plus(v, errors='replace')}" for n, v in pairs).encode()


Change = Callable[[Draft], None]

texts = st.sampled_from(VALUES) | st.text(max_size=40).map(lambda text: text + HOSTILE) | st.text(max_size=40)
words = st.binary(max_size=40).filter(lambda raw: not set(raw) & set(b"\r\n\0")) | texts.map(
    lambda text: "".join(one for one in text if one not in "\r\n\0").encode("utf-8", "replace")
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def _at(pairs: Pairs, place: int) -> int:
    return place % max(1, len(pairs))


def _drop(place: int) -> Change:
    return lambda draft: draft.pairs.__delitem__(slice(_at(draft.pairs, place), _at(draft.pairs, place) + 1))


def _set(place: int, value: str) -> Change:
    def change(draft: Draft) -> None:
        if draft.pairs:
            name, _ = draft.pairs[_at(draft.pairs, place)]
            draft.pairs[_at(draft.pairs, place)] = (name, value)

    return change


def _twice(place: int, value: str) -> Change:
    def change(draft: Draft) -> None:
        if draft.pairs:
            draft.pairs.append((draft.pairs[_at(draft.pairs, place)][0], value))

    return change


def _add(name: str, value: str) -> Change:
    return lambda draft: draft.pairs.append((name, value))


def _header(name: str, value: bytes, replaces: bool) -> Change:
    def change(draft: Draft) -> None:
        if replaces:
            draft.headers = [pair for pair in draft.headers if pair[0] != name.encode()]
        draft.headers.append((name.encode(), value))

    return change


def _cookie(value: bytes) -> Change:
    """Spoil one cookie of those that came along."""

    def change(draft: Draft) -> None:
        draft.headers = [
            (name, sent.replace(b"mp", value, 1) if name == b"cookie" else sent) for name, sent in draft.headers
        ]

    return change


def _data(names: list[str], value: Any) -> Change:
    """Put something into the JSON, at a place that exists or does not."""

    def change(draft: Draft) -> None:
        place = draft.data
        for name in names[:-1]:
            if isinstance(place, dict) and isinstance(place.get(name), dict):
                place = place[name]
        if isinstance(place, dict):
            place[names[-1]] = value

    return change


def _assign(**values: Any) -> Change:
    def change(draft: Draft) -> None:
        for name, value in values.items():
            setattr(draft, name, value)

    return change


places = st.integers(0, 9)
MEMBERS = (
    *("id", "method", "jsonrpc", "params", "name", "arguments", "queries", "code", "limit", "server", "_meta"),
    *("client_name", "redirect_uris", "grant_types", "response_types", "token_endpoint_auth_method", "scope", HOSTILE),
)
members = st.sampled_from(MEMBERS)
changes: st.SearchStrategy[Change] = st.one_of(
    st.builds(_drop, places),
    st.builds(_set, places, texts),
    st.builds(_twice, places, texts),
    st.builds(_add, st.sampled_from(NAMES) | texts, texts),
    st.builds(_header, st.sampled_from(HEADERS), words, st.booleans()),
    st.builds(_header, st.just("content-type"), st.sampled_from(KINDS).map(str.encode), st.just(True)),
    st.builds(
        _header, st.just("host"), st.sampled_from([b"evil.example", b"", b"127.0.0.1", HOST + b" "]), st.just(True)
    ),
    st.builds(_cookie, words),
    st.builds(_data, st.lists(members, min_size=1, max_size=3), anything),
    st.builds(_assign, data=anything, form=st.none()),
    st.builds(_assign, raw_query=st.binary(max_size=60) | st.just(b"x=" + b"%" * 9_000)),
    st.builds(
        _assign, raw_body=st.binary(max_size=60) | st.sampled_from([b"x" * 300_000, b"[" * 16_000, b"a=b&" * 99])
    ),
    st.builds(_assign, method=st.sampled_from(METHODS)),
    st.builds(
        _assign,
        path=texts.map(lambda text: f"/{text}") | st.sampled_from(["//evil.example/", "/mcp/", "/mcp/x", "*", ""]),
    ),
    st.builds(_assign, pieces=st.integers(2, 5), broken=st.booleans()),
)
