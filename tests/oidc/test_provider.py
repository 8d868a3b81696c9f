"""Sign-in at a real, certified provider (npm ``oidc-provider``), as a person and an agent meet it: over HTTP, with a
browser's cookies, redirects and forms, against a portal that runs as it ships."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx
import pytest

from tests.oidc.installing import PLACE, install
from tests.running import Running, free_port, portal

pytestmark = pytest.mark.npm

SECRET = secrets.token_urlsafe(30)
CALLBACK = "http://127.0.0.1:5999/callback"
VERIFIER = secrets.token_urlsafe(48)
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


@dataclass(frozen=True)
class Stage:
    """A portal and the provider that its people sign in at."""

    portal: Running
    issuer: str


class Browser:
    """Cookies, redirects and forms; no script, which no page here needs."""

    def __init__(self) -> None:
        self._http = httpx.Client(trust_env=False, timeout=20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def open(self, url: str) -> httpx.Response:
        """Return the page behind ``url``, or the redirect that leads to the agent, which is not running here."""
        return self._follow(self._http.get(url))

    def press(self, page: httpx.Response, **values: str) -> httpx.Response:
        """Send the first form of ``page`` with its hidden fields and ``values``."""
        action = re.search(r'<form[^>]*action="([^"]+)"', page.text)
        assert action, page.text
        hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text)
        form = {name: html.unescape(value) for name, value in hidden} | values
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(str(page.url)))
        target = urljoin(str(page.url), html.unescape(action.group(1)))
        return self._follow(self._http.post(target, data=form, headers={"Origin": origin}))

    def _follow(self, answer: httpx.Response) -> httpx.Response:
        for _ in range(10):
            location = answer.headers.get("location")
            if location is None or location.startswith(CALLBACK):
                return answer
            answer = self._http.get(urljoin(str(answer.url), location))
        raise AssertionError("redirects without end")

    def signs_in(self, page: httpx.Response, name: str) -> httpx.Response:
        """Go through the provider's own pages as ``name``: first who it is, then what the portal may know."""
        assert 'name="login"' in page.text, page.text
        return self.press(self.press(page, login=name, password="any"))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    try:
        node = install()
    except (OSError, subprocess.SubprocessError):
        if "CI" in os.environ:
            raise
        pytest.skip("the provider cannot be installed from npm")
    port = free_port()
    process = subprocess.Popen(
        [str(node), "provider.js", f"http://127.0.0.1:{port}", SECRET],
        cwd=PLACE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout as output:
        try:
            lines = (re.match(r"listening (\d+)", line) for line in output)
            issuer = f"http://127.0.0.1:{next(found for found in lines if found).group(1)}"
            with portal(tmp_path_factory.mktemp("portal"), _config(issuer), port=str(port)) as running:
                yield Stage(running, issuer)
        finally:
            process.terminate()
            process.wait(20)


def _config(issuer: str) -> str:
    return f"""
[auth.oidc]
issuer = "{issuer}"
client_id = "portal"
client_secret = "{SECRET}"
required_claims = {{ groups = "staff" }}
"""


def _register(stage: Stage) -> str:
    metadata = {"client_name": "Agent", "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"}
    grants = ["authorization_code", "refresh_token"]
    answer = httpx.post(f"{stage.portal.base}/register", json={**metadata, "grant_types": grants}, trust_env=False)
    return str(answer.json()["client_id"])


def _authorize(stage: Stage, client_id: str, state: str) -> str:
    asked = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": CALLBACK,
        "state": state,
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        "resource": f"{stage.portal.base}/mcp",
    }
    return str(httpx.URL(f"{stage.portal.base}/authorize", params=asked))


def _query(answer: httpx.Response) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


def _tokens(stage: Stage, **form: str) -> dict[str, Any]:
    answer = httpx.post(f"{stage.portal.base}/token", data=form, trust_env=False)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def _claims(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def test_an_agent_gets_in_with_a_person_of_the_company(stage: Stage) -> None:
    client_id = _register(stage)
    with Browser() as browser:
        question = browser.open(_authorize(stage, client_id, "one"))
        assert "Agent" in question.text
        assert stage.issuer.removeprefix("http://") in question.text
        back = browser.signs_in(browser.press(question, decision="allow"), "grace")
        told = _query(back)
        assert (told["state"], told["iss"]) == ("one", stage.portal.base)
        form = {"client_id": client_id, "code_verifier": VERIFIER, "redirect_uri": CALLBACK}
        tokens = _tokens(stage, grant_type="authorization_code", code=told["code"], **form)
        claims = _claims(tokens["access_token"])
        assert claims["sub"] == f"grace@{stage.issuer.removeprefix('http://')}"
        assert (claims["name"], claims["email"]) == ("Name of grace", "grace@company.example")
        assert claims["groups"] == ["portal-writers", "staff"]
        mcp = httpx.get(f"{stage.portal.base}/mcp", trust_env=False)
        assert mcp.status_code == 401
        ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        headers = {
            "Authorization": f"Bearer {tokens['access_token']}",
            "Accept": "application/json, text/event-stream",
        }
        assert httpx.post(f"{stage.portal.base}/mcp", json=ping, headers=headers, trust_env=False).status_code == 200
        refreshed = _tokens(
            stage, grant_type="refresh_token", client_id=client_id, refresh_token=tokens["refresh_token"]
        )
        assert _claims(refreshed["access_token"])["sub"] == claims["sub"]

        # Signed in now: the next agent is one question, asked by name, and no way to the provider.
        question = browser.open(_authorize(stage, _register(stage), "two"))
        assert "Name of grace (grace@company.example)" in question.text
        assert _query(browser.press(question, decision="allow"))["state"] == "two"


def test_where_the_provider_still_knows_the_person_nobody_types_a_name_again(stage: Stage) -> None:
    with Browser() as browser:
        page = browser.open(f"{stage.portal.base}/sign-in")
        home = browser.signs_in(browser.press(page), "ada")
        assert "Signed in as Name of ada" in home.text
        signed_out = browser.press(home)
        assert "still signed in at" in signed_out.text
        question = browser.open(_authorize(stage, _register(stage), "three"))
        asked = browser.press(question, decision="allow")
        assert 'name="login"' not in asked.text, (
            "only what the portal may know, which it asks for http addresses always"
        )
        assert _query(browser.press(asked))["state"] == "three"


def test_a_person_can_sign_out_at_the_provider_too(stage: Stage) -> None:
    with Browser() as browser:
        browser.signs_in(browser.press(browser.open(f"{stage.portal.base}/sign-in")), "ada")
        page = browser.press(browser.open(stage.portal.base))
        link = re.search(r'<a href="([^"]+)"', page.text)
        assert link
        asked = browser.open(html.unescape(link.group(1)))
        assert asked.url.host == "127.0.0.1"
        assert str(asked.url).startswith(stage.issuer)
        browser.press(asked, logout="yes")
        again = browser.press(browser.open(f"{stage.portal.base}/sign-in"))
        assert 'name="login"' in again.text, "the provider asks who it is"


def test_a_person_who_turns_back_at_the_provider_gets_a_refusal_that_the_agent_understands(stage: Stage) -> None:
    with Browser() as browser:
        question = browser.open(_authorize(stage, _register(stage), "four"))
        login = browser.press(question, decision="allow")
        cancel = re.search(r'<a href="([^"]+)">\[ ?Cancel ?\]</a>', login.text)
        assert cancel, login.text
        told = _query(browser.open(urljoin(str(login.url), html.unescape(cancel.group(1)))))
        assert (told["error"], told["state"], told["iss"]) == ("access_denied", "four", stage.portal.base)


def test_the_operators_check_asks_the_provider(stage: Stage) -> None:
    done = stage.portal.command("check")
    assert f"{stage.issuer}: ready" in done.stdout, done.stderr
    assert SECRET not in done.stdout + done.stderr


def test_the_log_of_the_portal_holds_no_secret(stage: Stage) -> None:
    log = stage.portal.log.read_text(encoding="utf-8")
    assert SECRET not in log
    assert "code=" not in log
    assert f"sign-in: {stage.portal.base}/sign-in" in log
