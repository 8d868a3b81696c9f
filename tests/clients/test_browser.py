"""The stand-in for a person's browser."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs

import pytest

from tests.clients.browser import Browser, CannotGoOn
from tests.clients.conftest import Serving

HTML = {"Content-Type": "text/html"}
PAGE = b"""<title>Sure?</title><form method="get" action="/find"><button>Yes, find</button></form>
<form method="post" action="/answer"><input type="hidden" name="id" value="a&amp;b"><input name="shown" value="x">
<button name="decision" value="allow">Yes, <b>do</b></button><button name="decision" value="deny">No</button></form>"""


def test_pressing_a_button_sends_what_a_browser_sends(serving: Serving) -> None:
    got: list[tuple[str, str, dict[str, list[str]], str | None, str | None]] = []

    def answer(request: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        if request.command == "GET":
            return 200, HTML | {"Set-Cookie": "session=mine"}, PAGE
        form = parse_qs(request.rfile.read(int(request.headers["content-length"])).decode())
        got.append((request.path, request.command, form, request.headers["origin"], request.headers["cookie"]))
        return 200, HTML, b"<p>Thanks</p>"

    base = serving(answer)
    with Browser() as browser:
        page = browser.press(browser.open(base), "Yes")
    assert got == [("/answer", "POST", {"id": ["a&b"], "decision": ["allow"]}, base, "session=mine")]
    assert page.words == "Thanks"


def test_a_button_that_is_not_there_cannot_be_pressed_and_the_fault_names_no_query(serving: Serving) -> None:
    base = serving(lambda _: (200, HTML, PAGE))
    with Browser() as browser:
        page = browser.open(f"{base}/question?code=secret")
        with pytest.raises(CannotGoOn, match=r"^/question .* no button 'Sign in'$"):
            browser.press(page, "Sign in")


def test_it_never_leaves_this_machine(serving: Serving) -> None:
    base = serving(lambda _: (303, {"Location": "https://elsewhere.example/?code=secret"}, b""))
    with Browser() as browser, pytest.raises(CannotGoOn, match=r"^leads to elsewhere\.example, which is not this"):
        browser.open(base)
