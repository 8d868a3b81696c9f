"""What `portal check` finds, without opening any address."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr
from starlette.routing import Router

from portal.inspection import inspect
from portal.sections import AuthSection, SandboxSection, Upstream, VendorSection
from portal.settings import PortalSettings
from servers._kit.oauth_emulator import CLIENT_ID, CLIENT_SECRET, GITLAB, OAuthEmulator
from tests.upstream.made.server import MADE
from tests.upstream.serving import on_port, server

SECRET = "hunter2-hunter2-hunter2-hunter2-hunter2"

pytestmark = pytest.mark.usefixtures("alone")


def settings(folder: Path, **upstreams: Upstream) -> PortalSettings:
    return PortalSettings(
        data_dir=folder / "data",
        auth=AuthSection(secret=SECRET),
        sandbox=SandboxSection(jail="degrade", min_workers=1),
        upstreams=upstreams,
    )


async def test_all_well_is_said_and_secrets_are_masked(tmp_path: Path) -> None:
    notes = Upstream(module="servers._template", settings={"token": "vendors-own-token", "timeout_s": 5.0})
    report, healthy = await inspect(settings(tmp_path, notes=notes))
    assert healthy
    lines = report.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == ["settings", "upstreams", "sandbox layers"]
    assert "  auth.secret = '**********'" in lines
    assert "  port = 8300" in lines
    assert any(line.startswith("  notes: ready, 3 tools, ") for line in lines)
    assert "  upstreams.notes.settings.token = '**********'" in lines
    assert "  upstreams.notes.settings.timeout_s = 5.0" in lines
    assert SECRET not in report
    assert "vendors-own-token" not in report


async def test_an_upstream_that_is_down_is_named_and_not_well(tmp_path: Path) -> None:
    away = Upstream(url=f"http://user:{SECRET}@127.0.0.1:1/mcp", token=SecretStr(SECRET))
    report, healthy = await inspect(settings(tmp_path, away=away))
    assert not healthy
    assert "  away: down (cannot be reached), 0 tools, " in report
    assert "  upstreams.away.url = 'http://**********@127.0.0.1:1/mcp'" in report
    assert SECRET not in report


async def test_nothing_configured_is_well(tmp_path: Path) -> None:
    report, healthy = await inspect(settings(tmp_path))
    assert healthy
    assert "  upstreams = {}" in report.splitlines()


async def test_secrets_deep_in_a_servers_settings_are_masked_too(tmp_path: Path) -> None:
    MADE["inspected"] = server()
    given = {"name": "inspected", "accounts": [{"password": SECRET}, SECRET], "empty": ""}
    try:
        report, healthy = await inspect(settings(tmp_path, made=Upstream(module="tests.upstream.made", settings=given)))
    finally:
        del MADE["inspected"]
    assert healthy
    assert "  upstreams.made.settings.accounts = [{'password': '**********'}, '**********']" in report
    assert "  upstreams.made.settings.empty = ''" in report
    assert SECRET not in report


async def test_whose_accounts_servers_work_with_is_said_and_what_their_vendors_think_of_it(tmp_path: Path) -> None:
    vendor = OAuthEmulator(GITLAB)
    async with on_port(vendor.before(Router())) as remote:
        host = remote.url.removesuffix("/mcp")
        upstreams = {
            name: Upstream(
                module="servers._template",
                credential="person",
                oauth=VendorSection(preset="gitlab", host=host, client_id=CLIENT_ID, client_secret=SecretStr(secret)),
            )
            for name, secret in (("notes", CLIENT_SECRET), ("other", SECRET))
        }
        upstreams["wiki"] = Upstream(module="servers._template", credential="service", service_token=SecretStr(SECRET))
        report, healthy = await inspect(settings(tmp_path, **upstreams))
    assert not healthy
    place = host.removeprefix("http://")
    redirect = "redirect address http://127.0.0.1:8300/connect/callback"
    assert f"  notes: each person's own at {place}, {redirect}: ready" in report
    assert f"  other: each person's own at {place}, {redirect}: the token endpoint does not know this portal" in report
    assert "  wiki: one service account for everybody" in report
    assert SECRET not in report
    assert CLIENT_SECRET not in report
