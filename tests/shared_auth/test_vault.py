"""The vault: one refresh for everybody, nothing lost, nothing of one person, server or key that opens for another."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.responses import JSONResponse, PlainTextResponse

from servers._kit.oauth_emulator import OAuthEmulator
from shared_auth import opaque
from shared_auth.configuration import ConfigurationError
from shared_auth.principal import Principal
from shared_auth.sealing import Seal, Unsealable
from shared_auth.service import Auth
from shared_auth.settings import AuthSettings
from shared_auth.store import vault_keys, vendor_grants
from shared_auth.vault.answers import GrantDead
from shared_auth.vault.credential import CredentialUnavailable, NoPerson, NotConnected, Site
from shared_auth.vault.keyring import Keyring
from shared_auth.vault.vault import (
    CONNECT_TRIES,
    COOL_S,
    JUST_S,
    MARGIN_S,
    MAX_COOLING,
    STORE_TRIES,
    Vault,
    VaultCredentials,
)
from shared_auth.vault.vendor import VaultServer
from shared_auth.vault.vendor_grants import LEASE_S, SEAL_TRIES, Who
from tests.shared_auth.flow import BOTH, ISSUER, Clock
from tests.shared_auth.vendors import ADA, Connecting, Vendors, connecting

TWO_HOURS = 7_200


@pytest.fixture
def vendors(clock: Clock) -> Vendors:
    return Vendors(clock)


@pytest.fixture
def gitlab(vendors: Vendors) -> OAuthEmulator:
    return vendors.add("gitlab")


@pytest.fixture
async def flow(vendors: Vendors, gitlab: OAuthEmulator, settings: AuthSettings, engine: AsyncEngine) -> Connecting:
    """A portal in which Ada has connected her GitLab account."""
    found = await connecting(vendors, [vendors.server("gitlab")], settings, engine)
    await found.connect("gitlab")
    return found


@pytest.fixture
async def other(flow: Connecting, settings: AuthSettings, engine: AsyncEngine) -> Auth:
    """Another replica."""
    found = flow.replica(engine, settings, [flow.vendors.server("gitlab")])
    await found.start()
    return found


async def token(vault: Vault, **more: Any) -> str:
    return (await vault.credential(ADA, "gitlab", **more)).token


async def row(engine: AsyncEngine) -> Any:
    async with engine.connect() as connection:
        return (await connection.execute(select(vendor_grants))).one()


async def test_a_connected_person_is_who_the_vendor_sees(flow: Connecting, gitlab: OAuthEmulator) -> None:
    assert gitlab.person_of(f"Bearer {await token(flow.vault)}") == "ada"
    assert await VaultCredentials(flow.vault, "gitlab")(ADA, "") == await flow.vault.credential(ADA, "gitlab")


@pytest.mark.requirement("VG-03")
@pytest.mark.parametrize(
    "somebody",
    [
        Principal(issuer=ISSUER, subject="grace", client_id="agent"),
        Principal(issuer="https://other.example", subject="ada", client_id="agent"),
    ],
)
async def test_nobody_else_gets_it(flow: Connecting, somebody: Any) -> None:
    with pytest.raises(NotConnected):
        await flow.vault.credential(somebody, "gitlab")


@pytest.mark.requirement("VG-03")
async def test_a_client_that_acts_for_itself_has_no_account(flow: Connecting) -> None:
    with pytest.raises(NoPerson):
        await flow.vault.credential(Principal(issuer=ISSUER, subject="client:build", client_id="build"), "gitlab")


async def test_what_is_not_connected_is_known_beforehand(
    flow: Connecting, vendors: Vendors, engine: AsyncEngine, settings: AuthSettings, monkeypatch: Any
) -> None:
    servers = [vendors.server("gitlab"), vendors.server("jira"), VaultServer("wiki", service_token="x")]
    vault = flow.replica(engine, settings, servers).vault
    assert await vault.unconnected(ADA) == ["jira"]
    assert await vault.unconnected(Principal(ISSUER, "grace", "agent")) == ["gitlab", "jira"]
    assert await vault.unconnected(Principal(ISSUER, "client:build", "build")) == []

    async def gone(*_: Any) -> Any:
        raise OperationalError("no", None, Exception("gone"))

    monkeypatch.setattr(vault._grants, "of_person", gone)
    assert await vault.unconnected(ADA) == []


async def test_a_server_that_works_without_is_a_fault_of_ours(flow: Connecting) -> None:
    with pytest.raises(LookupError):
        await flow.vault.credential(ADA, "catalog")


async def test_a_service_token_is_everybodys(vendors: Vendors, settings: AuthSettings, engine: AsyncEngine) -> None:
    flow = await connecting(vendors, [VaultServer("wiki", service_token="of the service")], settings, engine)
    found = await flow.vault.credential(Principal(ISSUER, "client:build", "build"), "wiki")
    assert (found.token, found.site) == ("of the service", None)
    assert "of the service" not in repr((found, flow.vault.servers))
    assert await flow.vault.probe("wiki") == ""
    with pytest.raises(LookupError):
        await flow.vault.sites("ada", "wiki")


@pytest.mark.requirement("VG-05")
@BOTH
async def test_of_many_who_ask_at_once_on_two_replicas_one_refreshes(
    flow: Connecting, other: Auth, gitlab: OAuthEmulator, clock: Clock
) -> None:
    before = await token(flow.vault)
    clock.advance(TWO_HOURS - MARGIN_S)
    found = await asyncio.gather(*(token(vault) for vault in [flow.vault, other.vault] * 10))
    assert len(set(found)) == 1
    assert found[0] != before
    assert (gitlab.refreshes, gitlab.reused) == (1, 0)
    assert gitlab.person_of(f"Bearer {found[0]}") == "ada"
    assert gitlab.person_of(f"Bearer {before}") is None


async def test_a_token_is_not_refreshed_before_it_is_due(flow: Connecting, gitlab: OAuthEmulator, clock: Clock) -> None:
    before = await token(flow.vault)
    clock.advance(TWO_HOURS - MARGIN_S - 1)
    assert await token(flow.vault) == before
    assert gitlab.refreshes == 0


async def test_a_second_refresh_with_the_same_token_is_seen_by_the_emulator(
    flow: Connecting, gitlab: OAuthEmulator
) -> None:
    held = await flow.vault._grants.find(Who(ISSUER, "ada", "gitlab"))
    assert held is not None
    assert held.grant is not None
    vendor = flow.vault.vendor("gitlab")
    assert vendor is not None
    await flow.vault._api.refresh(vendor, held.grant.refresh)
    with pytest.raises(GrantDead):
        await flow.vault._api.refresh(vendor, held.grant.refresh)
    assert (gitlab.refreshes, gitlab.reused) == (1, 1)


@pytest.mark.requirement("VG-06")
@BOTH
async def test_the_new_pair_is_stored_before_anybody_gets_it(
    flow: Connecting, gitlab: OAuthEmulator, clock: Clock, monkeypatch: Any
) -> None:
    """The database refuses for a while: nobody gets a token that is not kept, and the pair is not lost."""
    clock.advance(TWO_HOURS)
    kept, tried = flow.vault._grants.store, 0

    async def store(*given: Any) -> bool:
        nonlocal tried
        tried += 1
        if tried < 3:
            raise OperationalError("no", None, Exception("locked"))
        return await kept(*given)

    monkeypatch.setattr(flow.vault._grants, "store", store)
    found = await token(flow.vault)
    assert (tried, gitlab.refreshes) == (3, 1)
    monkeypatch.setattr(flow.vault._grants, "store", kept)
    assert await token(flow.vault) == found


@pytest.mark.requirement("VG-06")
async def test_a_pair_that_cannot_be_stored_is_not_used(
    flow: Connecting, gitlab: OAuthEmulator, clock: Clock, monkeypatch: Any
) -> None:
    clock.advance(TWO_HOURS)
    tried = []

    async def store(*given: Any) -> bool:
        tried.append(given)
        raise OperationalError("no", None, Exception("gone"))

    monkeypatch.setattr(flow.vault._grants, "store", store)
    with pytest.raises(CredentialUnavailable, match="vault cannot be read"):
        await token(flow.vault)
    assert (len(tried), gitlab.refreshes) == (STORE_TRIES, 1)


@pytest.mark.requirement("VG-06")
async def test_who_leaves_in_the_middle_does_not_end_the_refresh(
    flow: Connecting, gitlab: OAuthEmulator, clock: Clock
) -> None:
    """A cancelled call must not lose what the vendor has answered."""
    clock.advance(TWO_HOURS)
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request: httpx.Request) -> httpx.Response:
        arrived.set()
        await go_on.wait()
        return await flow.vendors.app("gitlab").handle_async_request(request)

    flow.vendors.replies["/oauth/token"] = slow
    leaving = asyncio.create_task(token(flow.vault))
    await arrived.wait()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    go_on.set()
    await flow.auth.close()
    assert gitlab.person_of(f"Bearer {await token(flow.vault)}") == "ada"
    assert (gitlab.refreshes, gitlab.reused) == (1, 0)


async def test_a_refresh_that_is_cut_off_by_the_end_of_the_process_is_waited_for(
    flow: Connecting, clock: Clock
) -> None:
    clock.advance(TWO_HOURS)
    asking = asyncio.create_task(token(flow.vault))
    await asyncio.sleep(0)
    await flow.auth.close()
    await asyncio.wait_for(asking, 5)


async def test_a_portal_that_stops_does_not_wait_for_another_replicas_refresh(flow: Connecting, clock: Clock) -> None:
    clock.advance(TWO_HOURS)
    held = await flow.vault._grants.find(Who(ISSUER, "ada", "gitlab"))
    assert held is not None
    await flow.vault._grants.lease(held)
    waiting = asyncio.create_task(token(flow.vault))
    while not flow.vault._flights:
        await asyncio.sleep(0)
    await flow.auth.close()
    with pytest.raises(CredentialUnavailable):
        await waiting


@BOTH
async def test_a_process_that_died_before_it_asked_costs_the_others_its_lease_and_nothing_else(
    flow: Connecting, other: Auth, gitlab: OAuthEmulator, clock: Clock
) -> None:
    clock.advance(TWO_HOURS)
    held = await flow.vault._grants.find(Who(ISSUER, "ada", "gitlab"))
    assert held is not None
    assert await flow.vault._grants.lease(held) is not None
    waiting = asyncio.create_task(token(other.vault))
    done, _ = await asyncio.wait([waiting], timeout=0.2)
    assert not done
    assert gitlab.refreshes == 0
    clock.advance(LEASE_S)
    assert gitlab.person_of(f"Bearer {await waiting}") == "ada"
    assert gitlab.refreshes == 1


async def test_a_process_that_died_between_answer_and_store_costs_a_reconnect(
    flow: Connecting, other: Auth, gitlab: OAuthEmulator, clock: Clock
) -> None:
    """The one loss there is: nobody but the dead process ever had the new pair."""
    clock.advance(TWO_HOURS)
    held = await flow.vault._grants.find(Who(ISSUER, "ada", "gitlab"))
    assert held is not None
    assert held.grant is not None
    assert await flow.vault._grants.lease(held) is not None
    vendor = flow.vault.vendor("gitlab")
    assert vendor is not None
    await flow.vault._api.refresh(vendor, held.grant.refresh)
    clock.advance(LEASE_S)
    with pytest.raises(NotConnected):
        await token(other.vault)
    assert gitlab.reused == 1


async def test_a_lease_that_does_not_end_is_not_waited_for_without_end(
    vendors: Vendors, gitlab: OAuthEmulator, flow: Connecting, clock: Clock
) -> None:
    clock.advance(TWO_HOURS)
    held = await flow.vault._grants.find(Who(ISSUER, "ada", "gitlab"))
    assert held is not None
    await flow.vault._grants.lease(held)
    flow.vault._wait_s = 0.0
    with pytest.raises(CredentialUnavailable, match="another process"):
        await token(flow.vault)
    assert gitlab.refreshes == 0


@pytest.mark.requirement("VG-05")
async def test_who_lost_its_lease_changes_nothing(flow: Connecting, other: Auth, clock: Clock) -> None:
    who = Who(ISSUER, "ada", "gitlab")
    held = await flow.vault._grants.find(who)
    assert held is not None
    assert held.grant is not None
    late = await flow.vault._grants.lease(held)
    assert late is not None
    assert await other.vault._grants.lease(held) is None
    clock.advance(LEASE_S)
    lease = await other.vault._grants.lease(held)
    assert lease is not None
    assert not await flow.vault._grants.store(who, late, held.grant)
    await flow.vault._grants.refuse(who, late)
    assert await other.vault._grants.store(who, lease, held.grant)


@pytest.mark.requirement("VG-07")
@pytest.mark.parametrize("status", [400, 401, 403])
async def test_invalid_grant_is_final(flow: Connecting, clock: Clock, status: int) -> None:
    clock.advance(TWO_HOURS)
    asked = len(flow.vendors.asked)
    flow.vendors.emulators["gitlab"].said = [JSONResponse({"error": "invalid_grant"}, status)]
    for _ in range(3):
        with pytest.raises(NotConnected):
            await token(flow.vault)
    assert len(flow.vendors.asked) - asked == 1
    assert (await flow.vault.connections("ada"))[0].state == "reconnect"
    await flow.connect("gitlab")
    assert await token(flow.vault)


BROKEN = [
    JSONResponse({"error": "temporarily_unavailable"}, 503),
    JSONResponse({"error": "slow_down"}, 429),
    JSONResponse({"error": "invalid_client"}, 401),
    PlainTextResponse("<html>invalid_grant", 400),
    PlainTextResponse("<html>", 200),
    JSONResponse({"error": "invalid_grant"}, 200),
    JSONResponse({"error": "invalid_grant"}, 502),
    JSONResponse({}, 302, headers={"Location": "https://evil.example/"}),
]


@pytest.mark.requirement("VG-08", "VG-14")
@pytest.mark.parametrize("answer", BROKEN)
async def test_any_other_answer_keeps_the_grant(flow: Connecting, clock: Clock, answer: Any) -> None:
    clock.advance(TWO_HOURS)
    flow.vendors.emulators["gitlab"].said = [answer]
    asked = len(flow.vendors.asked)
    for _ in range(3):
        with pytest.raises(CredentialUnavailable):
            await token(flow.vault)
    assert len(flow.vendors.asked) == asked + 1
    clock.advance(COOL_S)
    assert await token(flow.vault)
    assert {request.headers["host"] for request in flow.vendors.asked} == {"gitlab.example"}


@pytest.mark.requirement("VG-08")
async def test_a_vendor_that_is_down_keeps_the_grant_and_a_token_that_still_lives_is_used(
    flow: Connecting, clock: Clock
) -> None:
    before = await token(flow.vault)

    def down(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("down")

    flow.vendors.replies["/oauth/token"] = down
    clock.advance(TWO_HOURS - MARGIN_S)
    asked = len(flow.vendors.asked)
    assert [await token(flow.vault) for _ in range(3)] == [before] * 3
    assert len(flow.vendors.asked) == asked + 1
    clock.advance(MARGIN_S)
    with pytest.raises(CredentialUnavailable):
        await token(flow.vault)
    flow.vendors.replies.clear()
    clock.advance(COOL_S)
    assert await token(flow.vault) != before


@pytest.mark.requirement("VG-08")
async def test_a_vendor_that_limits_its_token_endpoint_keeps_the_grant(
    flow: Connecting, gitlab: OAuthEmulator, clock: Clock
) -> None:
    gitlab.change(per_minute=1)
    clock.advance(TWO_HOURS)
    assert await flow.vault.probe("gitlab") == ""
    with pytest.raises(CredentialUnavailable):
        await token(flow.vault)
    clock.advance(60)
    assert await token(flow.vault)
    assert (gitlab.refreshes, gitlab.reused) == (1, 0)


async def test_what_is_remembered_of_failures_is_bounded(flow: Connecting, clock: Clock) -> None:
    clock.advance(TWO_HOURS)
    flow.vault._cooling |= {Who(ISSUER, str(n), "gitlab"): 0.0 for n in range(MAX_COOLING)}
    flow.vendors.emulators["gitlab"].said = [JSONResponse({}, 503)]
    with pytest.raises(CredentialUnavailable):
        await token(flow.vault)
    assert len(flow.vault._cooling) == 1


async def test_a_token_that_the_vendor_refused_is_renewed_once(
    flow: Connecting, gitlab: OAuthEmulator, clock: Clock
) -> None:
    before = await token(flow.vault)
    rejected = opaque.digest(before)
    assert await token(flow.vault, rejected=rejected) == before  # a new one is not better
    clock.advance(JUST_S)
    after = await token(flow.vault, rejected=rejected)
    assert after != before
    assert await token(flow.vault, rejected=rejected) == after  # somebody else has renewed it meanwhile
    assert gitlab.refreshes == 1
    gitlab.withdraw("ada")
    clock.advance(JUST_S)
    with pytest.raises(NotConnected):
        await token(flow.vault, rejected=opaque.digest(after))


async def test_a_refused_token_is_not_given_again_when_the_vendor_is_down(flow: Connecting, clock: Clock) -> None:
    before = await token(flow.vault)
    clock.advance(JUST_S)
    flow.vendors.emulators["gitlab"].said = [JSONResponse({}, 503)]
    with pytest.raises(CredentialUnavailable):
        await token(flow.vault, rejected=opaque.digest(before))


@pytest.mark.parametrize("lives", [None, 600])
async def test_without_a_refresh_token_it_ends_with_its_access_token(
    flow: Connecting, gitlab: OAuthEmulator, clock: Clock, lives: int | None
) -> None:
    said = {"access_token": "only", "token_type": "bearer"} | ({} if lives is None else {"expires_in": lives})
    gitlab.said = [JSONResponse(said)]
    await flow.connect("gitlab")
    clock.advance(599)
    assert await token(flow.vault) == "only"
    clock.advance(1)
    if lives is None:
        clock.advance(10**8)
        assert await token(flow.vault) == "only"
    with pytest.raises(NotConnected):
        await token(flow.vault, rejected=opaque.digest("only"))
    with pytest.raises(NotConnected):
        await token(flow.vault)
    assert (await flow.vault.connections("ada"))[0].state == "reconnect"


async def test_what_a_vendor_leaves_out_of_a_refresh_stays(
    flow: Connecting, gitlab: OAuthEmulator, clock: Clock, engine: AsyncEngine
) -> None:
    """Google gives no new refresh token; the old one is good until it is revoked (RFC 6749 section 6)."""
    gitlab.change(rotation="never")
    clock.advance(TWO_HOURS)
    first = await token(flow.vault)
    clock.advance(TWO_HOURS)
    assert await token(flow.vault) != first
    assert (gitlab.refreshes, gitlab.reused) == (2, 0)


@pytest.mark.requirement("VG-04", "VG-18")
async def test_nothing_readable_is_in_the_database(flow: Connecting, engine: AsyncEngine) -> None:
    found = await row(engine)
    held = await flow.vault._grants.find(Who(ISSUER, "ada", "gitlab"))
    assert held is not None
    assert held.grant is not None
    for secret in (held.grant.access, held.grant.refresh):
        assert secret.encode() not in b"".join(str(value).encode() for value in found) + found.sealed
        assert secret not in repr(held)


async def copied(engine: AsyncEngine, **changes: Any) -> None:
    async with engine.begin() as connection:
        values = (await connection.execute(select(vendor_grants))).one()._asdict() | changes
        await connection.execute(vendor_grants.insert().values(**values))


@pytest.mark.requirement("VG-01")
@pytest.mark.parametrize(
    ("changes", "principal", "server"),
    [
        ({"subject": "grace"}, Principal(ISSUER, "grace", "agent"), "gitlab"),
        ({"issuer": "https://other.example"}, Principal("https://other.example", "ada", "agent"), "gitlab"),
        ({"server": "jira"}, ADA, "jira"),
    ],
)
async def test_the_bytes_of_a_row_open_in_no_other_row(
    vendors: Vendors, settings: AuthSettings, engine: AsyncEngine, changes: Any, principal: Any, server: Any
) -> None:
    vendors.add("gitlab")
    vendors.add("jira")
    # One registration for both, so that nothing but the seal keeps them apart.
    flow = await connecting(
        vendors,
        [vendors.server("gitlab"), VaultServer("jira", vendors.server("gitlab").vendor)],
        settings,
        engine,
    )
    await flow.connect("gitlab")
    await copied(engine, **changes)
    with pytest.raises(NotConnected):
        await flow.vault.credential(principal, server)
    assert await token(flow.vault)


@pytest.mark.requirement("VG-01")
async def test_the_bytes_of_a_row_do_not_open_under_the_name_of_another_key(
    flow: Connecting, engine: AsyncEngine
) -> None:
    before = (await row(engine)).key_id
    key_id = await flow.vault._keyring.add()
    # The very same key under another name: what refuses is the name in the associated data.
    flow.vault._keyring._opened[key_id] = await flow.vault._keyring.named(before)
    async with engine.begin() as connection:
        await connection.execute(update(vendor_grants).values(key_id=key_id))
    with pytest.raises(NotConnected):
        await token(flow.vault)
    assert (await flow.vault.connections("ada"))[0].state == "absent"
    assert not await flow.vault.choose("ada", "gitlab", Site("1", "one", ""))
    assert not await flow.vault.choose("grace", "gitlab", Site("1", "one", ""))
    assert await flow.vault.disconnect("ada", "gitlab") is None
    assert await flow.vault._grants.find(Who(ISSUER, "ada", "gitlab")) is None


@BOTH
async def test_a_rotation_seals_everything_anew_while_replicas_go_on(
    flow: Connecting, other: Auth, engine: AsyncEngine, clock: Clock, gitlab: OAuthEmulator
) -> None:
    before, old = await token(flow.vault), (await row(engine)).key_id
    assert await other.vault.rotate() == 1
    assert (await row(engine)).key_id != old
    assert await token(flow.vault) == before
    async with engine.connect() as connection:
        assert len((await connection.execute(select(vault_keys))).all()) == 1
    assert await flow.vault.prune() == 0
    clock.advance(TWO_HOURS)
    assert await token(flow.vault) != before
    assert gitlab.reused == 0


@BOTH
async def test_a_rotation_that_was_stopped_is_finished_by_the_next_or_by_the_hourly_pruning(
    flow: Connecting, engine: AsyncEngine
) -> None:
    old = (await row(engine)).key_id
    newest = await flow.vault._keyring.add()  # ... and the process died here
    assert await token(flow.vault)
    assert (await row(engine)).key_id == old
    await flow.auth.prune()
    assert (await row(engine)).key_id == newest
    with pytest.raises(Unsealable):
        await flow.vault._keyring.named(old)
    assert await token(flow.vault)


@BOTH
async def test_a_refresh_in_the_middle_of_a_rotation_loses_nothing(
    flow: Connecting, other: Auth, engine: AsyncEngine, clock: Clock, gitlab: OAuthEmulator
) -> None:
    """The key that the refreshing process sealed with is deleted before its write: the database refuses, it seals anew."""
    clock.advance(TWO_HOURS)
    newest = flow.vault._keyring.newest
    rotated = False

    async def then_rotated() -> Any:
        nonlocal rotated
        found = await newest()
        if not rotated:
            rotated = True
            await other.vault.rotate()
        return found

    flow.vault._keyring.newest = then_rotated  # type: ignore[method-assign]
    found = await token(flow.vault)
    assert rotated
    assert await token(other.vault) == found
    assert (gitlab.refreshes, gitlab.reused) == (1, 0)


async def test_keys_that_are_always_gone_again_are_given_up(flow: Connecting, clock: Clock) -> None:
    seal = (await flow.vault._keyring.newest())[1]
    asked = 0

    async def gone() -> Any:
        nonlocal asked
        asked += 1
        return "no such key", seal

    flow.vault._keyring.newest = gone  # type: ignore[method-assign]
    held = await flow.vault._grants.find(Who(ISSUER, "ada", "gitlab"))
    assert held is not None
    assert held.grant is not None
    with pytest.raises(Unsealable):
        await flow.connect("gitlab")
    lease = await flow.vault._grants.lease(held)
    assert lease is not None
    with pytest.raises(Unsealable):
        await flow.vault._grants.store(held.who, lease, held.grant)
    assert asked == CONNECT_TRIES + SEAL_TRIES
    clock.advance(LEASE_S)
    assert not await flow.vault._grants.choose(held, held.grant)


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
async def test_a_key_that_a_row_begins_to_need_in_this_moment_is_not_deleted(
    flow: Connecting, engine: AsyncEngine
) -> None:
    keyring, old = flow.vault._keyring, (await row(engine)).key_id
    await keyring.add()
    await flow.vault._grants.reseal()
    async with engine.begin() as connection:
        values = (await connection.execute(select(vendor_grants))).one()._asdict()
        await connection.execute(vendor_grants.insert().values(**values | {"subject": "grace", "key_id": old}))
        dropping = asyncio.create_task(keyring.drop_unused())  # the row is not committed: it cannot see it
        await waits_for_a_lock(engine)
    assert await dropping == 0
    assert await keyring.named(old)


async def waits_for_a_lock(engine: AsyncEngine) -> None:
    """Return once a connection of this database waits for another."""
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%vault_keys%'")
    async with asyncio.timeout(10):
        while True:
            async with engine.connect() as connection:
                if (await connection.execute(waiting)).scalar_one():
                    return
            await asyncio.sleep(0.01)


@BOTH
async def test_a_row_that_cannot_be_opened_keeps_its_key_and_stops_no_rotation(
    flow: Connecting, engine: AsyncEngine
) -> None:
    old = (await row(engine)).key_id
    await copied(engine, subject="grace")
    assert await flow.vault.rotate() == 1
    async with engine.connect() as connection:
        rows = {found.subject: found.key_id for found in await connection.execute(select(vendor_grants))}
    assert rows["grace"] == old
    assert rows["ada"] != old
    assert await flow.vault._keyring.named(old)


@BOTH
async def test_replicas_that_start_together_make_one_key(
    engine: AsyncEngine, settings: AuthSettings, vendors: Vendors
) -> None:
    servers = [vendors.server("gitlab")]
    replicas = [Auth(settings, engine, servers=servers, clock=vendors.clock) for _ in range(6)]
    await asyncio.gather(*(replica.vault.start() for replica in replicas))
    async with engine.connect() as connection:
        assert len((await connection.execute(select(vault_keys))).all()) == 1


async def test_an_old_key_that_cannot_be_opened_costs_its_rows_and_nothing_else(
    flow: Connecting, vendors: Vendors, engine: AsyncEngine, settings: AuthSettings
) -> None:
    await flow.vault._keyring.add()
    async with engine.begin() as connection:
        old = vault_keys.c.key_id == (await connection.execute(select(vendor_grants.c.key_id))).scalar_one()
        await connection.execute(update(vault_keys).where(old).values(sealed=b"x" * 60))
    other = flow.replica(engine, settings, [vendors.server("gitlab")])
    await other.start()
    with pytest.raises(NotConnected):
        await token(other.vault)
    assert await other.vault.rotate() == 0


@pytest.mark.requirement("VG-18")
async def test_another_secret_does_not_start(
    flow: Connecting, engine: AsyncEngine, settings: AuthSettings, vendors: Vendors
) -> None:
    with pytest.raises(ConfigurationError, match="secret"):
        await Keyring(engine, Seal(b"x" * 32), clock=vendors.clock).newest()


@pytest.mark.requirement("VG-17")
@BOTH
@pytest.mark.parametrize("everybody", [False, True])
async def test_a_person_who_is_revoked_has_no_credential_anywhere_at_once(
    flow: Connecting, other: Auth, gitlab: OAuthEmulator, everybody: bool, engine: AsyncEngine
) -> None:
    found = await token(other.vault)
    await flow.auth.revoke_grants(subject="grace")
    assert await token(other.vault) == found
    await flow.auth.revoke_grants(subject=None if everybody else "ada")
    with pytest.raises(NotConnected):
        await token(other.vault)
    assert (await other.vault.connections("ada"))[0].state == "reconnect"
    assert gitlab.person_of(f"Bearer {found}") == "ada"
    assert await flow.auth.clear_vendor_grants() == 1
    assert gitlab.person_of(f"Bearer {found}") is None
    async with engine.connect() as connection:
        assert (await connection.execute(select(vendor_grants))).all() == []
    assert await flow.auth.clear_vendor_grants() == 0


async def test_revoking_an_agent_leaves_the_persons_accounts_alone(flow: Connecting) -> None:
    await flow.auth.revoke_grants(subject="ada", client_id="agent")
    assert await token(flow.vault)


async def during_refresh(flow: Connecting, clock: Clock, act: Any) -> Any:
    """Return what a refresh ends with while ``act`` happens between the vendor's answer and our write."""
    clock.advance(TWO_HOURS)

    async def answer(request: httpx.Request) -> httpx.Response:
        del flow.vendors.replies["/oauth/token"]
        found = await flow.vendors.app("gitlab").handle_async_request(request)
        await act()
        return found

    flow.vendors.replies["/oauth/token"] = answer
    return await asyncio.gather(token(flow.vault), return_exceptions=True)


@pytest.mark.requirement("VG-17")
async def test_a_revocation_during_a_refresh_holds_for_the_new_pair(
    flow: Connecting, clock: Clock, gitlab: OAuthEmulator
) -> None:
    (found,) = await during_refresh(flow, clock, lambda: flow.auth.revoke_grants(subject="ada"))
    assert isinstance(found, NotConnected)
    assert gitlab.revoked == 1


async def test_a_disconnection_during_a_refresh_holds_for_the_new_pair(
    flow: Connecting, clock: Clock, gitlab: OAuthEmulator
) -> None:
    async def forget() -> None:
        await flow.vault._grants.delete(Who(ISSUER, "ada", "gitlab"))

    (found,) = await during_refresh(flow, clock, forget)
    assert isinstance(found, NotConnected)
    assert gitlab.revoked == 1


async def test_who_connects_again_during_a_refresh_keeps_what_is_new(
    flow: Connecting, clock: Clock, gitlab: OAuthEmulator
) -> None:
    (found,) = await during_refresh(flow, clock, lambda: flow.connect("gitlab", "grace"))
    assert gitlab.person_of(f"Bearer {found}") == "grace"


@pytest.mark.requirement("VG-09")
@pytest.mark.parametrize("status", [200, 500])
async def test_disconnecting_revokes_and_deletes_whatever_the_vendor_answers(
    flow: Connecting, gitlab: OAuthEmulator, engine: AsyncEngine, status: int
) -> None:
    found = await token(flow.vault)
    if status != 200:
        flow.vendors.replies["/oauth/revoke"] = lambda _request: httpx.Response(500)
    assert await flow.vault.disconnect("ada", "gitlab") is (status == 200)
    assert (gitlab.person_of(f"Bearer {found}") is None) is (status == 200)
    with pytest.raises(NotConnected):
        await token(flow.vault)
    assert await flow.vault.disconnect("ada", "gitlab") is None


@pytest.mark.requirement("VG-09")
async def test_a_vendor_that_cannot_be_reached_keeps_no_row(flow: Connecting) -> None:
    def down(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("down")

    flow.vendors.replies["/oauth/revoke"] = down
    assert await flow.vault.disconnect("ada", "gitlab") is False
    with pytest.raises(NotConnected):
        await token(flow.vault)


@pytest.mark.requirement("VG-13")
@pytest.mark.parametrize("changes", [{"client_id": "another"}, {"token_url": "https://gitlab.example/other"}])
async def test_a_grant_goes_to_no_other_vendor_or_registration(
    flow: Connecting, engine: AsyncEngine, settings: AuthSettings, vendors: Vendors, changes: Any
) -> None:
    """MCP: credentials are kept by the issuer they came from, and not used at another."""
    moved = flow.replica(engine, settings, [vendors.server("gitlab", **changes)])
    asked = len(vendors.asked)
    with pytest.raises(NotConnected):
        await token(moved.vault)
    assert (await moved.vault.connections("ada"))[0].state == "reconnect"
    assert await moved.vault.disconnect("ada", "gitlab") is None
    assert len(vendors.asked) == asked


async def test_a_grant_of_a_server_that_is_gone_from_the_settings_is_cleared_without_its_vendor(
    flow: Connecting, engine: AsyncEngine, settings: AuthSettings
) -> None:
    bare = flow.replica(engine, settings, [])
    await bare.start()
    assert await bare.vault.connections("ada") == []
    await bare.revoke_grants(subject="ada")
    assert await bare.vault.prune() == 0
    assert await bare.vault.rotate() == 1
    assert await bare.clear_vendor_grants() == 1


@pytest.mark.requirement("VG-15")
async def test_a_scope_that_the_server_needs_and_did_not_get_is_no_connection(
    vendors: Vendors, settings: AuthSettings, engine: AsyncEngine
) -> None:
    vendors.add("gitlab").change(withheld=frozenset({"write_api"}))
    servers = [vendors.server("gitlab", scopes=("read_api", "write_api", "openid"))]
    flow = await connecting(vendors, servers, settings, engine)
    await flow.connect("gitlab")
    with pytest.raises(NotConnected):
        await token(flow.vault)
    (found,) = await flow.vault.connections("ada")
    assert (found.state, found.missing, found.scope) == ("reconnect", ("write_api",), "read_api openid")
    enough = [vendors.server("gitlab", scopes=("read_api", "write_api"), required=frozenset({"read_api"}))]
    assert await token(flow.replica(engine, settings, enough).vault)


async def test_the_check_of_the_settings_asks_the_vendor_and_changes_nothing(
    flow: Connecting, vendors: Vendors, settings: AuthSettings, engine: AsyncEngine
) -> None:
    assert await flow.vault.probe("gitlab") == ""
    wrong = flow.replica(engine, settings, [vendors.server("gitlab", client_secret="wrong")])
    assert "does not know this portal" in await wrong.vault.probe("gitlab")
    vendors.emulators["gitlab"].said = [JSONResponse({"access_token": "x"})]
    assert "accepts" in await flow.vault.probe("gitlab")
    assert await token(flow.vault)


@pytest.mark.requirement("VG-04")
async def test_no_token_reaches_log_or_error(flow: Connecting, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = []
    for _ in range(2):
        held = await flow.vault._grants.find(Who(ISSUER, "ada", "gitlab"))
        assert held is not None
        assert held.grant is not None
        secrets += [held.grant.access, held.grant.refresh]
        clock.advance(TWO_HOURS)
        await token(flow.vault)
    flow.vendors.emulators["gitlab"].said = [
        JSONResponse({"access_token": "bad\ntoken that nobody sees", "error": "hunter2"})
    ]
    clock.advance(TWO_HOURS)
    with pytest.raises(CredentialUnavailable) as failed:
        await token(flow.vault)
    await flow.vault.disconnect("ada", "gitlab")
    ours = [record.__dict__ for record in caplog.records if record.name == "shared_auth"]
    assert ours
    text = f"{ours} {failed.value!r} {failed.value.__cause__!r}"
    for secret in [*secrets, "nobody sees", "hunter2", "emulated-secret"]:
        assert secret not in text


def test_a_server_is_named_once(engine: AsyncEngine, settings: AuthSettings, vendors: Vendors) -> None:
    with pytest.raises(ConfigurationError, match="twice"):
        Auth(settings, engine, servers=[vendors.server("gitlab")] * 2)
