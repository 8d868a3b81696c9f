"""The page of a signed-in person: what it shows to whom, and that nothing hostile in it is more than text."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from pydantic import SecretStr

from portal.app import Portal, open_portal
from portal.sections import AuthSection, Person, SandboxSection, Upstream
from portal.settings import PortalSettings

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7 * 7 }}"


@asynccontextmanager
async def opened(folder: Path, **more: Upstream) -> AsyncIterator[tuple[Portal, httpx.AsyncClient]]:
    """Yield a portal and a browser that reaches it without any network."""
    settings = PortalSettings(
        data_dir=folder,
        sandbox=SandboxSection(jail="degrade", min_workers=1),
        auth=AuthSection(local_person=Person(name=f"Ada {HOSTILE}")),
        upstreams={
            "notes": Upstream(module="servers._template", summary=HOSTILE),
            "away": Upstream(url="http://127.0.0.1:1/mcp", summary="Not there."),
            **more,
        },
    )
    async with open_portal(settings) as portal:
        transport = httpx.ASGITransport(app=portal.app)
        async with httpx.AsyncClient(transport=transport, base_url=settings.issuer, follow_redirects=True) as browser:
            yield portal, browser


async def sign_in(portal: Portal, browser: httpx.AsyncClient) -> httpx.Response:
    shown = await browser.get(await portal.auth.sign_in_link())
    fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', shown.text)
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(str(shown.url)))
    return await browser.post("/sign-in", data=dict(fields), headers={"Origin": origin})


def is_confined(answer: httpx.Response) -> bool:
    """Say whether the answer forbids scripts, styles that are not ours, frames, sniffing, caching and referrers."""
    policy = answer.headers["content-security-policy"]
    return (
        "default-src 'none'" in policy
        and "frame-ancestors 'none'" in policy
        and "script-src" not in policy
        and "unsafe" not in policy
        and answer.headers["x-frame-options"] == "DENY"
        and answer.headers["x-content-type-options"] == "nosniff"
        and answer.headers["referrer-policy"] == "same-origin"
        and answer.headers["cache-control"] == "no-store"
    )


async def test_signed_out_it_says_how_to_sign_in_and_nothing_else(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, browser):
        answer = await browser.get("/")
        assert answer.status_code == 401
        assert "portal sign-in" in answer.text
        assert "notes" not in answer.text
        assert is_confined(answer)


@pytest.mark.parametrize("cookie", ["x", "a" * 4_000, "../../etc"])
async def test_a_made_up_session_is_signed_out(tmp_path: Path, cookie: str) -> None:
    async with opened(tmp_path) as (portal, browser):
        await sign_in(portal, browser)
        (name,) = [found.name for found in browser.cookies.jar]
        browser.cookies.clear()
        assert (await browser.get("/", headers={"Cookie": f"{name}={cookie}"})).status_code == 401


async def test_signed_in_it_shows_servers_tools_and_how_to_connect(tmp_path: Path) -> None:
    async with opened(tmp_path) as (portal, browser):
        answer = await sign_in(portal, browser)
        assert answer.status_code == 200
        assert answer.url.path == "/"
        assert is_confined(answer)
        shown = html.unescape(answer.text)
        assert f"claude mcp add --scope user --transport http portal {portal.settings.endpoint}" in shown
        # The local person is in no group that may write: of three tools, the two that read.
        assert "<td>2 read</td>" in answer.text
        assert re.search(r'<td class="down">down: cannot be reached</td>', answer.text)
        assert "<td>none</td>" in answer.text
        assert "/connections" not in answer.text
        assert (await browser.get("/connections")).status_code == 404


async def test_where_servers_work_with_accounts_it_leads_to_them(tmp_path: Path) -> None:
    wiki = Upstream(module="servers._template", credential="service", service_token=SecretStr("of the service"))
    async with opened(tmp_path, wiki=wiki) as (portal, browser):
        assert '<a href="/connections">' in (await sign_in(portal, browser)).text
        page = (await browser.get("/connections")).text
        assert "one service account for everybody" in page
        assert "of the service" not in page


async def test_what_operators_and_identity_providers_wrote_is_text(tmp_path: Path) -> None:
    async with opened(tmp_path) as (portal, browser):
        page = (await sign_in(portal, browser)).text
        assert "<script" not in page
        assert "<img" not in page
        assert html.escape(HOSTILE, quote=False).split('"')[0] in page
        assert html.unescape(page).count(HOSTILE) == 2


async def test_health_is_told_to_anybody_and_a_foreign_host_sees_no_page(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, browser):
        assert (await browser.get("/healthz")).json() == {"status": "ok"}
        assert (await browser.get("/", headers={"Host": "evil.example"})).status_code == 421


async def test_the_endpoint_of_the_whole_portal_stands_behind_the_door(tmp_path: Path) -> None:
    async with opened(tmp_path) as (portal, browser):
        assert (await browser.post("/mcp", json={})).status_code == 401
        token = await portal.auth.local_token(ttl_s=60)
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json, text/event-stream"}
        request = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": "execute", "arguments": {"code": "6 * 7"}},
        }
        answer = await browser.post("/mcp", json=request, headers=headers)
        assert answer.status_code == 200
        assert "42" in answer.text
        assert token not in answer.text
