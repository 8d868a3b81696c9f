"""The witness before the portal: changes nothing, keeps nothing but what was asked and told."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clients.conftest import Serving
from tests.clients.witness import Exchange, read, standing_before
from tests.running import free_port

LIST = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).encode()
TOOLS = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"tools": [{"name": "a"}, {"name": "b"}]}}).encode()


@pytest.mark.parametrize("body", [TOOLS, b"event: message\r\ndata: " + TOOLS + b"\r\n\r\n"])
def test_the_tools_are_read_from_both_kinds_of_answer(body: bytes) -> None:
    seen = read("/mcp", LIST, "2026-07-28", 200, body)
    assert seen == Exchange("/mcp", 200, "tools/list", "2026-07-28", ("a", "b"))


def test_a_progress_message_before_the_answer_does_not_hide_it() -> None:
    progress = b'data: {"jsonrpc":"2.0","method":"notifications/progress","params":{}}\n\n'
    assert read("/mcp", LIST, "", 200, progress + b"data: " + TOOLS).tools == ("a", "b")


def test_the_revision_of_a_handshake_is_the_one_that_the_portal_agreed_to() -> None:
    asked = b'{"method":"initialize","params":{"protocolVersion":"2025-11-25"}}'
    answered = b'{"result":{"protocolVersion":"2025-06-18"}}'
    assert read("/mcp", asked, "", 200, answered).revision == "2025-06-18"


def test_of_a_token_request_only_the_way_is_noted() -> None:
    asked = b"grant_type=refresh_token&refresh_token=mpr_secret&client_id=x"
    answered = b'{"access_token": "secret", "result": {"tools": [{"name": "x"}]}}'
    assert read("/token", asked, "", 200, answered) == Exchange("/token", 200, grant_type="refresh_token")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["method", "result", "tools", "name"]), inner),
)


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()), st.binary() | json_values.map(repr))
def test_whatever_is_said_is_noted_without_a_fault(asked: bytes, answered: bytes | str) -> None:
    raw = answered if isinstance(answered, bytes) else answered.encode("utf-8", "replace")
    assert read("/mcp", asked, "", 200, raw).path == "/mcp"


def test_everything_passes_unchanged_and_no_secret_is_kept(serving: Serving) -> None:
    got: list[tuple[str, dict[str, str]]] = []

    def answer(request: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        got.append((request.path, {name.lower(): value for name, value in request.headers.items()}))
        return 303, {"Location": "http://127.0.0.1:9/callback?code=secret", "Set-Cookie": "session=secret"}, b"there"

    port = free_port()
    with standing_before(serving(answer), port) as witness:
        with httpx.Client(trust_env=False) as agent:
            told = agent.get(f"{witness.url}/authorize?code=secret", headers={"Authorization": "Bearer secret"})
        noted = witness.take()
        assert witness.take() == []
    path, headers = got[0]
    assert path == "/authorize?code=secret"
    assert (headers["host"], headers["authorization"]) == (f"127.0.0.1:{port}", "Bearer secret")
    assert (told.status_code, told.text) == (303, "there")
    assert told.headers["location"] == "http://127.0.0.1:9/callback?code=secret"
    assert noted == [Exchange("/authorize", 303)]


def test_the_cookies_of_one_browser_are_not_sent_for_the_next(serving: Serving) -> None:
    got: list[str | None] = []

    def answer(request: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        got.append(request.headers.get("cookie"))
        return 200, {"Set-Cookie": "session=first"}, b""

    with standing_before(serving(answer), free_port()) as witness:
        for _ in range(2):
            with httpx.Client(trust_env=False) as browser:
                browser.get(witness.url)
    assert got == [None, None]
