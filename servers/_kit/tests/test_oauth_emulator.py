"""The emulated vendors are strict where the real ones are: what a portal does wrong fails here."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import typer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from typer.testing import CliRunner

from servers._kit import emulate
from servers._kit.oauth_emulator import CLIENT_ID, CLIENT_SECRET, HABITS, OAuthEmulator

BACK = "http://127.0.0.1:8300/connect/callback"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
ASK = {
    "response_type": "code",
    "client_id": CLIENT_ID,
    "redirect_uri": BACK,
    "scope": "read offline_access",
    "state": "s",
}


async def api(request: Request) -> JSONResponse:
    return JSONResponse(request.state.person)


@pytest.fixture(params=list(HABITS))
def vendor(request: pytest.FixtureRequest) -> OAuthEmulator:
    return OAuthEmulator(HABITS[request.param])


@pytest.fixture
async def http(vendor: OAuthEmulator) -> AsyncIterator[httpx.AsyncClient]:
    app = vendor.before(Starlette(routes=[Route("/api/me", api)]))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://vendor.test") as found:
        yield found


def asking(vendor: OAuthEmulator, **changes: str) -> dict[str, str]:
    pkce = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    return ASK | (pkce if vendor.habits.pkce == "required" else {}) | dict(vendor.habits.needs) | changes


async def post(http: httpx.AsyncClient, vendor: OAuthEmulator, path: str, **form: str) -> httpx.Response:
    full = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET} | form
    return await (http.post(path, json=full) if vendor.habits.body == "json" else http.post(path, data=full))


async def tokens(http: httpx.AsyncClient, vendor: OAuthEmulator) -> dict[str, Any]:
    code = vendor.grant("ada", asking(vendor))
    answer = await redeem(http, vendor, code)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def redeem(http: httpx.AsyncClient, vendor: OAuthEmulator, code: str, **changes: str) -> httpx.Response:
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "code_verifier": VERIFIER}
    return await post(http, vendor, vendor.habits.token, **form | changes)


async def refresh(http: httpx.AsyncClient, vendor: OAuthEmulator, token: str, **more: str) -> httpx.Response:
    form = {"grant_type": "refresh_token", "refresh_token": token, "redirect_uri": BACK} | more
    return await post(http, vendor, vendor.habits.token, **form)


async def me(http: httpx.AsyncClient, token: str) -> int:
    return (await http.get("/api/me", headers={"Authorization": f"Bearer {token}"})).status_code


async def test_a_person_agrees_by_a_button(http: httpx.AsyncClient, vendor: OAuthEmulator) -> None:
    page = await http.get(vendor.habits.authorize, params=asking(vendor))
    assert "Allow as ada" in page.text
    form = {"query": json.dumps(asking(vendor)), "person": "ada"}
    answer = await http.post(vendor.habits.authorize, data=form)
    assert answer.headers["location"].startswith(f"{BACK}?state=s&code=")
    answer = await http.post(vendor.habits.authorize, data=form | {"person": ""})
    assert "error=access_denied" in answer.headers["location"]
    assert (await http.post(vendor.habits.authorize, data=form | {"person": "mallory"})).status_code == 400


@pytest.mark.parametrize(
    "change", [{"client_id": "x"}, {"redirect_uri": "http://evil.example/"}, {"response_type": "token"}]
)
async def test_a_wrong_request_is_a_page_and_no_redirect(
    http: httpx.AsyncClient, vendor: OAuthEmulator, change: dict[str, str]
) -> None:
    assert (await http.get(vendor.habits.authorize, params=asking(vendor) | change)).status_code == 400


async def test_what_a_vendor_needs_it_needs(http: httpx.AsyncClient, vendor: OAuthEmulator) -> None:
    bare = await http.get(vendor.habits.authorize, params=ASK)
    assert bare.status_code == 400
    code = vendor.grant("ada", asking(vendor))
    if vendor.habits.pkce == "required":
        assert (await redeem(http, vendor, code, code_verifier="x" * 43)).status_code == 400
    first = await tokens(http, vendor)
    assert await me(http, first["access_token"]) == 200
    assert await me(http, "made-up") == 401
    assert (await http.get("/api/me")).status_code == 401
    wrong = await post(http, vendor, vendor.habits.token, grant_type="refresh_token", client_secret="x")
    assert wrong.status_code == 401
    assert (await post(http, vendor, vendor.habits.token, grant_type="password")).status_code == 400
    other = {"data": {"x": "y"}} if vendor.habits.body == "json" else {"json": {}}
    assert (await http.post(vendor.habits.token, **other)).status_code == 400  # type: ignore[arg-type]
    if vendor.habits.redirect_uri_on_refresh:
        assert (await refresh(http, vendor, first["refresh_token"], redirect_uri="")).status_code == 400


async def test_a_code_is_good_once(http: httpx.AsyncClient, vendor: OAuthEmulator) -> None:
    code = vendor.grant("ada", asking(vendor))
    assert (await redeem(http, vendor, code)).status_code == 200
    assert (await redeem(http, vendor, code)).status_code == vendor.habits.dead_status


async def test_a_refresh_rotates_as_the_vendor_does_and_a_double_one_ends_everything(
    http: httpx.AsyncClient, vendor: OAuthEmulator
) -> None:
    first = await tokens(http, vendor)
    second = (await refresh(http, vendor, first["refresh_token"])).json()
    rotation = vendor.habits.rotation
    assert ("refresh_token" in second) is (rotation != "never")
    assert await me(http, first["access_token"]) == (401 if rotation == "pair" else 200)
    assert await me(http, second["access_token"]) == 200
    again = await refresh(http, vendor, first["refresh_token"])
    if rotation == "never":
        assert again.status_code == 200
        return
    assert (again.status_code, again.json()["error"]) == (vendor.habits.dead_status, "invalid_grant")
    assert vendor.reused == 1
    assert await me(http, second["access_token"]) == 401
    assert (await refresh(http, vendor, second["refresh_token"])).status_code == vendor.habits.dead_status


async def test_revoking_or_withdrawing_ends_it(http: httpx.AsyncClient, vendor: OAuthEmulator) -> None:
    first = await tokens(http, vendor)
    if vendor.habits.revoke:
        assert (await post(http, vendor, vendor.habits.revoke, token="x", client_id="y")).status_code == 401
        await post(http, vendor, vendor.habits.revoke, token=first["refresh_token"])
        assert vendor.revoked == 1
    else:
        vendor.withdraw("ada")
    assert await me(http, first["access_token"]) == 401
    if vendor.habits.sites:
        assert (await http.get(vendor.habits.sites)).status_code == 401


async def test_without_offline_access_atlassian_gives_no_refresh_token() -> None:
    vendor = OAuthEmulator(HABITS["jira"])
    app = vendor.before(Starlette())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://vendor.test") as http:
        code = vendor.grant("ada", asking(vendor, scope="read"))
        assert "refresh_token" not in (await redeem(http, vendor, code)).json()


def test_an_emulator_is_served_as_a_vendor(monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Any] = []
    monkeypatch.setattr("uvicorn.run", lambda app, **more: served.append((app, more)))
    app = typer.Typer()
    app.command()(emulate.main)
    done = CliRunner().invoke(app, ["servers._template", "--habits", "jira", "--port", "8391"])
    assert done.exit_code == 0, done.output
    assert served[0][1]["host"] == "127.0.0.1"
    assert CLIENT_SECRET in done.output
    assert CliRunner().invoke(app, ["servers._template", "--habits", "none"]).exit_code == 2
