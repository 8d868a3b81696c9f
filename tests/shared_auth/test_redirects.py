from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared_auth.authorization.redirects import answer, form_target, host, is_loopback, registered, registrable


@pytest.mark.requirement("AS-62")
@pytest.mark.parametrize(
    "uri",
    [
        "https://app.example/callback",
        "https://app.example:8443/callback?tenant=7",
        "http://localhost/callback",
        "http://localhost:3118/callback",
        "http://127.0.0.1:19876/mcp/oauth/callback",
        "http://[::1]:6276/oauth/callback",
        "https://localhost/callback",
    ],
)
def test_https_and_http_on_this_machine_may_be_registered(uri: Any) -> None:
    assert registrable(uri)


@pytest.mark.requirement("AS-62", "AS-65")
@pytest.mark.parametrize(
    "uri",
    [
        "",
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "cursor://anysphere.cursor-mcp/oauth/callback",
        "//app.example/callback",
        "/callback",
        "http://app.example/callback",
        "http://localhost.evil.example/callback",
        "http://127.0.0.1.evil.example/callback",
        "http://127.0.0.2/callback",
        "http://10.0.0.1/callback",
        "http://localhost:1@evil.example/callback",
        "https://user:secret@app.example/callback",
        "https://app.example/callback#fragment",
        "https://*.example/callback",
        "https://app.example/*",
        "https://app.example/call back",
        "https://app.example/callback\r\nSet-Cookie: a=b",
        "https://app.example\\@evil.example/",
        "https://app.example;script-src/callback",
        "https://app.example'/callback",
        'https://app.example/"onload="',
        "https://äpp.example/callback",
        "https://APP.example/callback",
        "HTTPS://app.example/callback",
        "https:///callback",
        "https://app.example:port/callback",
        "https://app.example:99999/callback",
        "https://[::1/callback",
        "https://[2001:db8::1]/callback",
        "https://app.example/callback?code=theirs",
        "https://app.example/callback?iss=https://honest.example",
        "https://app.example/callback?state",
        "https://app.example/" + "x" * 2_000,
    ],
)
def test_everything_else_may_not_be_registered(uri: Any) -> None:
    assert not registrable(uri)


@pytest.mark.requirement("AS-61")
@pytest.mark.parametrize(
    ("known", "uri"),
    [
        ("https://app.example/cb", "https://app.example/cb"),
        ("http://localhost/cb", "http://localhost:1234/cb"),
        ("http://localhost:1/cb", "http://localhost:2/cb"),
        ("http://127.0.0.1:1/cb?x=1", "http://127.0.0.1/cb?x=1"),
        ("http://[::1]:1/cb", "http://[::1]:2/cb"),
    ],
)
def test_an_address_matches_exactly_but_for_the_port_on_loopback(known: Any, uri: Any) -> None:
    assert registered(uri, ["https://other.example/", known])


@pytest.mark.requirement("AS-60", "AS-61")
@pytest.mark.parametrize(
    ("known", "uri"),
    [
        ("https://app.example/cb", "https://app.example/cb/"),
        ("https://app.example/cb", "https://app.example/cb?x=1"),
        ("https://app.example/cb", "https://app.example:8443/cb"),
        ("https://app.example/cb", "https://app.example/CB"),
        ("https://app.example/cb", "https://app.example/x/../cb"),
        ("https://app.example/cb", "https://app.example.evil.example/cb"),
        ("https://app.example/cb", "https://evil.example/cb"),
        ("https://localhost/cb", "https://localhost:1/cb"),
        ("http://localhost/cb", "http://127.0.0.1/cb"),
        ("http://127.0.0.1/cb", "http://localhost/cb"),
        ("http://127.0.0.1/cb", "http://[::1]/cb"),
        ("http://localhost/cb", "https://localhost/cb"),
        ("http://localhost/cb", "http://localhost:1/cb#x"),
        ("http://localhost/cb", "http://localhost:1/other"),
        ("http://localhost/cb", "http://evil@localhost:1/cb"),
        ("http://localhost/cb", "http://localhost:1@evil.example/cb"),
        ("http://localhost/cb", "http://localhost:99999/cb"),
        ("http://localhost/cb", "http://localhost:x/cb"),
        ("http://localhost/cb", "http://LOCALHOST:1/cb"),
        ("http://localhost/cb", "http://localhost:1\n/cb"),
    ],
)
def test_nothing_else_matches(known: Any, uri: Any) -> None:
    assert not registered(uri, [known])


@pytest.mark.requirement("AS-60")
@given(st.text(max_size=60))
def test_no_text_becomes_a_match_of_an_address_that_it_is_not(text: Any) -> None:
    for uri in (f"https://app.example{text}", f"http://localhost:{text}", f"http://localhost{text}/cb", text):
        if registered(uri, ["https://app.example/cb", "http://localhost/cb"]):
            parts = urlsplit(uri)
            assert (parts.hostname, parts.path, parts.query) in {("app.example", "/cb", ""), ("localhost", "/cb", "")}
            assert parts.username is None


@given(st.text(), st.text())
def test_an_answer_carries_its_values_and_cannot_leave_the_address(code: str, state: Any) -> None:
    found = answer("https://app.example/cb?tenant=7", code=code, state=state, error=None)
    assert found.startswith("https://app.example/cb?tenant=7&")
    assert found.isascii()
    assert found.isprintable()
    values = parse_qs(urlsplit(found).query, keep_blank_values=True, errors="surrogatepass")
    assert values == {"tenant": ["7"], "code": [code], "state": [state]}


def test_people_see_the_host_and_the_policy_names_it() -> None:
    assert host("http://localhost:3118/callback") == "localhost:3118"
    assert form_target("http://localhost:3118/callback") == "http://localhost:3118"
    assert form_target("https://app.example/cb;x") == "https://app.example"
    assert form_target("http://[::1]:1/cb") == "http:"  # CSP has no form for it
    assert is_loopback("http://[::1]:1/cb")
    assert is_loopback("https://localhost/cb")
    assert not is_loopback("https://localhost.example/cb")
    assert not is_loopback("https://[")
