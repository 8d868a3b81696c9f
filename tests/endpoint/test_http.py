"""What the endpoint makes of HTTP that no agent would send: refused early, in our words, and nothing behind it runs."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
import pytest
from mcp.server.transport_security import TransportSecuritySettings

from portal.endpoint.http import FieldValues, HostGuard
from tests.endpoint.serving import MAX_BYTES, Behind, Said, application, browser

HEADERS = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
MODERN = {
    **HEADERS,
    "MCP-Protocol-Version": "2026-07-28",
    "Mcp-Method": "tools/call",
    "Mcp-Name": "execute",
}
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


def call(code: str = "1", *, modern: bool = True, **meta: Any) -> dict[str, Any]:
    """Return a request that runs a program."""
    params: dict[str, Any] = {"name": "execute", "arguments": {"code": code}}
    if modern:
        params["_meta"] = META | meta
    elif meta:
        params["_meta"] = meta
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


async def test_a_program_runs_when_everything_is_right() -> None:
    behind = Behind()
    async with browser(behind) as http:
        modern = await http.post("/mcp", json=call("modern"), headers=MODERN)
        legacy = await http.post("/mcp", json=call("legacy", modern=False), headers=HEADERS)
    assert modern.status_code == legacy.status_code == 200
    assert behind.programs == ["modern", "legacy"]


@pytest.mark.requirement("RS-61")
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:1", "127.0.0.1:8300.evil.example", ""])
async def test_a_foreign_host_reaches_nothing(host: str) -> None:
    behind = Behind()
    async with browser(behind) as http:
        for path in ("/mcp", "/", "/anything"):
            answer = await http.post(path, json=call(), headers=MODERN | {"Host": host})
            assert answer.status_code == 421
    assert not behind.programs


@pytest.mark.requirement("RS-60")
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:8301", "http://127.0.0.1"])
async def test_a_web_page_of_elsewhere_reaches_nothing(origin: str) -> None:
    behind = Behind()
    async with browser(behind) as http:
        answer = await http.post("/mcp", json=call(), headers=MODERN | {"Origin": origin})
    assert answer.status_code == 403
    assert not behind.programs


async def test_our_own_origin_is_let_in() -> None:
    async with browser() as http:
        answer = await http.post("/mcp", json=call(), headers=MODERN | {"Origin": "http://127.0.0.1:8300"})
    assert answer.status_code == 200


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "PATCH", "OPTIONS", "HEAD"])
async def test_only_post_is_taken(method: str) -> None:
    async with browser() as http:
        answer = await http.request(method, "/mcp", headers=MODERN)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("headers", [HEADERS, MODERN])
async def test_a_body_over_the_limit_is_refused_whether_or_not_it_says_its_length(headers: dict[str, str]) -> None:
    behind = Behind()
    body = json.dumps(call("x" * MAX_BYTES)).encode()

    async def pieces() -> Any:
        for start in range(0, len(body), 1_000):
            yield body[start : start + 1_000]

    async with browser(behind) as http:
        assert (await http.post("/mcp", content=body, headers=headers)).status_code == 413
        assert (await http.post("/mcp", content=pieces(), headers=headers)).status_code == 413
    assert not behind.programs


@pytest.mark.parametrize("headers", [HEADERS, MODERN])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"null",
        b"5",
        b'"text"',
        b"{}",
        b'{"jsonrpc":"1.0","id":1,"method":"tools/call"}',
        b'{"jsonrpc":"2.0","id":1}',
        b'{"jsonrpc":"2.0","id":{},"method":"tools/call","params":{}}',
        json.dumps([call("batch"), call("batch")]).encode(),
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":' + b"[" * 9_000 + b"]" * 9_000 + b"}",
        b'{"a":' * 3_000 + b"1" + b"}" * 3_000,
        b"9" * 10_000,
    ],
)
async def test_what_is_no_request_is_refused_and_nothing_runs(headers: dict[str, str], body: bytes) -> None:
    behind = Behind()
    async with browser(behind) as http:
        answer = await http.post("/mcp", content=body, headers=headers)
    # The older protocol takes a request whose id is none for a notification, and does nothing with it.
    assert answer.status_code == 202 or 400 <= answer.status_code < 500
    assert "Traceback" not in answer.text
    assert not behind.programs


async def test_arguments_nested_without_end_run_nothing() -> None:
    behind = Behind()
    deep = json.dumps(call("DEEP")).replace('"DEEP"', "[" * 5_000 + "]" * 5_000)
    async with browser(behind) as http:
        for headers in (HEADERS, MODERN):
            answer = await http.post("/mcp", content=deep, headers=headers)
            assert answer.status_code < 500 or "Traceback" not in answer.text
    assert not behind.programs


@pytest.mark.requirement("RS-64")
async def test_of_a_key_given_twice_the_last_counts_in_every_reading() -> None:
    behind = Behind()
    twice = json.dumps(call("FIRST")).replace('"code": "FIRST"', '"code": "first", "code": "second"')
    async with browser(behind) as http:
        for headers in (HEADERS, MODERN):
            assert (await http.post("/mcp", content=twice, headers=headers)).status_code == 200
        # A name in the body that differs from the header's is refused, whichever of two it is.
        names = json.dumps(call("FIRST")).replace('"name": "execute"', '"name": "execute", "name": "search"')
        assert (await http.post("/mcp", content=names, headers=MODERN)).status_code == 400
    assert behind.programs == ["second", "second"]


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_a_form_of_a_web_page_is_refused(kind: str | None) -> None:
    behind = Behind()
    headers = {name: value for name, value in MODERN.items() if name != "Content-Type"}
    if kind is not None:
        headers["Content-Type"] = kind
    async with browser(behind) as http:
        answer = await http.post("/mcp", content=json.dumps(call()), headers=headers)
    assert 400 <= answer.status_code < 500
    assert not behind.programs


@pytest.mark.requirement("RS-63", "RS-69")
@pytest.mark.parametrize(
    "change", [{"Mcp-Method": "tools/list"}, {"Mcp-Name": "search"}, {"MCP-Protocol-Version": "1999-01-01"}]
)
async def test_headers_that_contradict_the_body_are_refused(change: dict[str, str]) -> None:
    behind = Behind()
    async with browser(behind) as http:
        answer = await http.post("/mcp", json=call(), headers=MODERN | change)
    assert answer.status_code == 400
    assert not behind.programs


async def through(headers: list[tuple[bytes, bytes]], body: bytes) -> int:
    """Return the status that the application answers to headers exactly as given."""
    sent: list[Any] = []

    bodies = [body]

    async def receive() -> dict[str, Any]:
        if not bodies:
            await asyncio.Event().wait()  # The client stays until it is answered.
        return {"type": "http.request", "body": bodies.pop(), "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    async with application(Behind()) as app:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": "/mcp",
            "raw_path": b"/mcp",
            "query_string": b"",
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8300),
        }
        await app(scope, receive, send)
    return int(sent[0]["status"])


@pytest.mark.parametrize("padding", [b"", b" ", b"\t", b" \t "])
async def test_white_space_around_a_header_value_is_not_part_of_it(padding: bytes) -> None:
    headers = [(name.lower().encode(), value.encode() + padding) for name, value in MODERN.items()]
    headers.append((b"host", b"127.0.0.1:8300" + padding))
    assert await through(headers, json.dumps(call()).encode()) == 200


async def test_a_padded_foreign_host_stays_foreign() -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in MODERN.items()]
    headers.append((b"host", b"evil.example "))
    assert await through(headers, json.dumps(call()).encode()) == 421


async def test_progress_is_sent_for_the_token_zero_too() -> None:
    async def step(_code: str, progress: Any) -> Any:
        await progress(1, "catalog.step")
        return Said("done")

    async with browser(Behind(step)) as http:
        modern = await http.post("/mcp", json=call(progressToken=0), headers=MODERN)
        legacy = await http.post("/mcp", json=call(modern=False, progressToken=0), headers=HEADERS)
    for answer in (modern, legacy):
        events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
        assert [event.get("method") for event in events] == ["notifications/progress", None]
        assert events[0]["params"]["progressToken"] == 0
        assert events[1]["result"]["content"][0]["text"] == "done"


async def test_what_is_not_http_passes_by() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    guarded = FieldValues(HostGuard(app, security=TransportSecuritySettings(), paths=["/mcp"]))
    await guarded({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    assert seen == ["lifespan"]


async def test_an_origin_matters_on_the_endpoint_alone() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    security = TransportSecuritySettings(allowed_hosts=["ours"], allowed_origins=["http://ours"])
    guard = HostGuard(app, security=security, paths=["/mcp"], open_paths=["/healthz"])
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=guard), base_url="http://ours") as http:
        foreign = {"Origin": "https://elsewhere.example"}
        assert (await http.get("/sign-in", headers=foreign)).status_code == 200
        assert (await http.get("/mcp", headers=foreign)).status_code == 403
        assert (await http.get("/healthz", headers={"Host": "10.0.0.1:8300"})).status_code == 200
        assert (await http.get("/healthz/x", headers={"Host": "10.0.0.1:8300"})).status_code == 421
    assert seen == ["/sign-in", "/healthz"]


@pytest.mark.parametrize("headers", [HEADERS, MODERN])
async def test_a_client_that_goes_away_in_the_middle_of_its_request_is_no_failure(
    headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    behind, sent = Behind(), list[Any]()
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": b'{"jsonrpc":', "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/mcp", "query_string": b"", "scheme": "http"}
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    async with application(behind) as app:
        await app({**scope, "headers": [*pairs, (b"host", b"127.0.0.1:8300")]}, receive, send)
    assert (sent, behind.programs, messages) == ([], [], [])
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
