"""A connection that works is not lost to one that permits less; one that is over may be replaced by anything."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.responses import JSONResponse

from servers._kit.oauth_emulator import JIRA
from shared_auth.settings import AuthSettings
from shared_auth.store import vendor_grants
from shared_auth.vault.credential import NotConnected
from shared_auth.vault.vault import JUST_S, MARGIN_S, Connected
from tests.shared_auth.flow import BOTH, Clock
from tests.shared_auth.vendors import ADA, Connecting, Vendors, connecting

TWO_HOURS = 7_200


@pytest.fixture
def vendors(clock: Clock) -> Vendors:
    found = Vendors(clock)
    for name in ("gitlab", "jira", "google"):
        found.add(name)
    return found


@pytest.fixture
async def flow(vendors: Vendors, settings: AuthSettings, engine: AsyncEngine) -> Connecting:
    """A portal in which Ada has granted all that GitLab has, a minute ago."""
    servers = [vendors.server(name) for name in ("gitlab", "jira", "google")]
    found = await connecting(vendors, servers, settings, engine)
    await connect(found, scope="api")
    found.clock.advance(JUST_S * 2)
    return found


async def connect(flow: Connecting, server: str = "gitlab", *, scope: str = "") -> httpx.Response:
    gone = await flow.leave(server, scope=scope)
    return await flow.browser.get(await flow.agree(gone.headers["location"]))


async def state(flow: Connecting, server: str = "gitlab") -> Connected:
    return next(one for one in await flow.vault.connections("ada") if one.server == server)


async def stands(flow: Connecting, server: str = "gitlab") -> bool:
    """Say whether the vendor takes the token that the server is given."""
    found = await flow.vault.credential(ADA, server)
    return flow.vendors.emulators[server].person_of(f"Bearer {found.token}") == "ada"


def living(flow: Connecting, server: str = "gitlab") -> int:
    """Return how many grants the vendor has not ended."""
    return sum(not family.ended for family in flow.vendors.emulators[server]._families)


def without_scope(flow: Connecting) -> Callable[[httpx.Request], Awaitable[httpx.Response]]:
    async def reply(request: httpx.Request) -> httpx.Response:
        answer = await flow.vendors.app("gitlab").handle_async_request(request)
        said = json.loads(await answer.aread())
        return httpx.Response(answer.status_code, json={name: said[name] for name in said if name != "scope"})

    return reply


@pytest.mark.requirement("VG-21")
@BOTH
async def test_less_than_before_is_told_revoked_and_stored_nowhere(flow: Connecting, engine: AsyncEngine) -> None:
    flow.vendors.emulators["gitlab"].change(withheld=frozenset({"api"}))
    page = await connect(flow)
    assert page.status_code == 403
    assert "granted less than before" in page.text
    assert "<strong>api</strong>" in page.text
    assert "disconnect gitlab first" in page.text
    assert "gitlab.example confirmed" in page.text
    assert "code=" not in page.text
    assert (await state(flow)).scope == "read_api api"
    assert await stands(flow)
    assert (flow.vendors.emulators["gitlab"].revoked, living(flow)) == (1, 1)
    async with engine.connect() as connection:
        assert len((await connection.execute(select(vendor_grants))).all()) == 1


@pytest.mark.requirement("VG-21")
async def test_the_page_before_says_so(flow: Connecting) -> None:
    assert "unless you grant less" in (await flow.browser.get("/connect/gitlab")).text


@pytest.mark.requirement("VG-21")
async def test_a_vendor_that_does_not_confirm_is_named(flow: Connecting) -> None:
    flow.vendors.emulators["gitlab"].change(withheld=frozenset({"api"}))
    flow.vendors.replies["/oauth/revoke"] = lambda _request: httpx.Response(503)
    page = await connect(flow)
    assert page.status_code == 403
    assert "did not confirm" in page.text
    assert await stands(flow)


@pytest.mark.requirement("VG-21")
async def test_where_nothing_can_be_revoked_what_came_is_thrown_away(flow: Connecting) -> None:
    flow.vendors.emulators["jira"].change(site_list=JIRA.site_list[:1])
    await connect(flow, "jira")
    flow.vendors.emulators["jira"].change(withheld=frozenset({"write:jira-work"}))
    page = await connect(flow, "jira")
    assert page.status_code == 403
    assert "Jira has no way for the portal to revoke it alone" in page.text
    assert await stands(flow, "jira")


@pytest.mark.requirement("VG-21")
async def test_where_a_revocation_ends_everything_none_is_made(
    vendors: Vendors, settings: AuthSettings, engine: AsyncEngine
) -> None:
    """At Google, revoking one token would end the connection that is to stay."""
    server = vendors.server("google", more_scopes=("drive",))
    flow = await connecting(vendors, [server], settings, engine)
    await connect(flow, "google", scope="drive")
    vendors.emulators["google"].change(withheld=frozenset({"drive"}))
    page = await connect(flow, "google")
    assert page.status_code == 403
    assert "no way for the portal to revoke it alone" in page.text
    assert "/revoke" not in [request.url.path for request in vendors.asked]
    assert await stands(flow, "google")


# What is over


async def withdrawn(flow: Connecting) -> None:
    """The person removed the portal at the vendor, and nobody has noticed."""
    flow.vendors.emulators["gitlab"].withdraw("ada")


async def withdrawn_and_due(flow: Connecting) -> None:
    await withdrawn(flow)
    flow.clock.advance(TWO_HOURS)


async def refused(flow: Connecting) -> None:
    await withdrawn_and_due(flow)
    with pytest.raises(NotConnected):
        await flow.vault.credential(ADA, "gitlab")


async def put_out(flow: Connecting) -> None:
    await flow.auth.revoke_grants(subject="ada")


async def expired(flow: Connecting) -> None:
    """A token that cannot be renewed, and has ended."""
    await flow.vault.disconnect("ada", "gitlab")
    said = {"access_token": "a", "token_type": "Bearer", "expires_in": MARGIN_S * 2, "scope": "read_api api"}
    flow.vendors.emulators["gitlab"].said = [JSONResponse(said)]
    await connect(flow)
    flow.clock.advance(MARGIN_S * 2)


@pytest.mark.requirement("VG-21")
@pytest.mark.parametrize("over", [withdrawn, withdrawn_and_due, refused, put_out, expired])
@BOTH
async def test_what_is_over_may_be_replaced_by_anything(
    flow: Connecting, over: Callable[[Connecting], Awaitable[None]]
) -> None:
    await over(flow)
    await flow.sign_in()
    flow.vendors.emulators["gitlab"].change(withheld=frozenset({"api"}))
    assert (await connect(flow)).status_code == 303
    assert (await state(flow)).scope == "read_api"
    assert (await state(flow)).state == "connected"
    assert await stands(flow)


@pytest.mark.requirement("VG-21")
async def test_a_token_that_needs_no_renewal_stands(flow: Connecting) -> None:
    await flow.vault.disconnect("ada", "gitlab")
    said = {"access_token": "for-ever", "token_type": "Bearer", "scope": "read_api api"}
    flow.vendors.emulators["gitlab"].said = [JSONResponse(said)]
    await connect(flow)
    flow.clock.advance(JUST_S)
    flow.vendors.emulators["gitlab"].change(withheld=frozenset({"api"}))
    assert (await connect(flow)).status_code == 403
    assert (await flow.vault.credential(ADA, "gitlab")).token == "for-ever"


@pytest.mark.requirement("VG-21")
async def test_a_vendor_that_does_not_renew_now_has_ended_nothing(flow: Connecting) -> None:
    app = flow.vendors.app("gitlab")

    async def reply(request: httpx.Request) -> httpx.Response:
        refreshes = b"grant_type=refresh_token" in request.content
        return httpx.Response(503) if refreshes else await app.handle_async_request(request)

    flow.vendors.replies["/oauth/token"] = reply
    flow.vendors.emulators["gitlab"].change(withheld=frozenset({"api"}))
    assert (await connect(flow)).status_code == 403
    assert (await state(flow)).scope == "read_api api"
    assert await stands(flow)


@pytest.mark.requirement("VG-17", "VG-21")
async def test_who_is_put_out_while_the_old_one_is_looked_at_has_connected_nothing(flow: Connecting) -> None:
    app = flow.vendors.app("gitlab")

    async def reply(request: httpx.Request) -> httpx.Response:
        if b"grant_type=refresh_token" in request.content:
            await flow.auth.revoke_grants(subject="ada")
        return await app.handle_async_request(request)

    flow.vendors.replies["/oauth/token"] = reply
    flow.vendors.emulators["gitlab"].change(withheld=frozenset({"api"}))
    page = await connect(flow)
    assert page.status_code == 403
    assert "not signed in" in page.text
    assert (await state(flow)).state == "reconnect"
    assert living(flow) == 0


# What is less


@pytest.mark.requirement("VG-21")
async def test_a_vendor_that_names_no_scope_has_granted_what_was_asked(flow: Connecting) -> None:
    """RFC 6749 section 5.1. The one window was opened before the other asked for more."""
    await flow.vault.disconnect("ada", "gitlab")
    flow.vendors.replies["/oauth/token"] = without_scope(flow)
    narrow, wide = await flow.leave("gitlab"), await flow.leave("gitlab", scope="api")
    assert (await flow.browser.get(await flow.agree(wide.headers["location"]))).status_code == 303
    assert (await flow.browser.get(await flow.agree(narrow.headers["location"]))).status_code == 403
    assert (await state(flow)).scope == "read_api api"
    assert (await connect(flow)).status_code == 303
    assert (await state(flow)).scope == "read_api api"


@pytest.mark.requirement("VG-21")
async def test_of_two_windows_at_once_the_wider_stays(flow: Connecting, monkeypatch: pytest.MonkeyPatch) -> None:
    await flow.vault.disconnect("ada", "gitlab")
    narrow, wide = await flow.leave("gitlab"), await flow.leave("gitlab", scope="api")
    put, others = flow.vault._grants.put, [await flow.agree(wide.headers["location"])]

    async def after_the_other(*given: Any) -> bool:
        if others:
            assert (await flow.browser.get(others.pop())).status_code == 303
        return await put(*given)

    monkeypatch.setattr(flow.vault._grants, "put", after_the_other)
    assert (await flow.browser.get(await flow.agree(narrow.headers["location"]))).status_code == 403
    assert (await state(flow)).scope == "read_api api"
    assert await stands(flow)


@pytest.mark.requirement("VG-21")
async def test_a_scope_that_includes_another_is_not_less(flow: Connecting) -> None:
    """GitLab's api permits what read_api does."""
    flow.vendors.emulators["gitlab"].change(withheld=frozenset({"read_api"}))
    assert (await connect(flow)).status_code == 303
    assert (await state(flow)).scope == "api"
    assert (await state(flow)).state == "connected"
    flow.vendors.emulators["gitlab"].change(withheld=frozenset({"api"}))
    assert (await connect(flow)).status_code == 403
    assert (await state(flow)).scope == "api"


@pytest.mark.requirement("VG-21")
async def test_what_the_settings_no_longer_name_is_not_missed(
    flow: Connecting, settings: AuthSettings, engine: AsyncEngine
) -> None:
    other = flow.replica(engine, settings, [flow.vendors.server("gitlab", more_scopes=())])
    flow.app.router.routes[:] = other.routes()
    assert (await connect(flow)).status_code == 303
    assert (await state(flow)).scope == "read_api"


@pytest.mark.requirement("VG-21")
async def test_scopes_that_give_no_access_to_data_are_not_missed(
    vendors: Vendors, settings: AuthSettings, engine: AsyncEngine
) -> None:
    flow = await connecting(vendors, [vendors.server("gitlab", scopes=("read_api", "openid"))], settings, engine)
    await connect(flow)
    vendors.emulators["gitlab"].change(withheld=frozenset({"openid"}))
    assert (await connect(flow)).status_code == 303
    assert (await state(flow)).scope == "read_api"
