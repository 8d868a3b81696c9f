"""Token exchange at /token (RFC 8693): one server gets the credential of whoever calls it, and nobody else anything."""

from __future__ import annotations

import base64
import dataclasses
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from servers._kit.credentials import PortalCredentials
from servers._kit.oauth_emulator import JIRA
from shared_auth import opaque
from shared_auth.authorization.declared import DeclaredClient
from shared_auth.authorization.grants import Grant
from shared_auth.configuration import ConfigurationError
from shared_auth.outbound import Outbound
from shared_auth.principal import Principal
from shared_auth.settings import AuthSettings
from shared_auth.vault.credential import CredentialUnavailable, NoPerson, NotConnected
from shared_auth.vault.handover import ACCESS_TOKEN
from shared_auth.vault.vault import JUST_S
from shared_auth.vault.vendor import VaultServer
from tests.shared_auth.flow import BOTH, ISSUER, RESOURCE, Clock, refused, without
from tests.shared_auth.headless import BUILD, KEY, SECRET
from tests.shared_auth.vendors import ADA, Connecting, Vendors, connecting

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
NOTES, WIKI = "https://notes.example/mcp", "https://wiki.example/mcp"
NOTES_SERVER = DeclaredClient(
    client_id="notes-server",
    name="The notes server",
    auth_method="client_secret_basic",
    grant_types=frozenset({EXCHANGE}),
    secret_hash=opaque.digest(SECRET),
    server="gitlab",
)
WIKI_SERVER = dataclasses.replace(NOTES_SERVER, client_id="wiki-server", server="wiki")
GRANTED = dataclasses.replace(ADA, grant_id="g-ada")


@pytest.fixture
def vendors(clock: Clock) -> Vendors:
    return Vendors(clock)


@pytest.fixture
async def flow(vendors: Vendors, settings: AuthSettings, engine: AsyncEngine) -> Connecting:
    """A portal with two servers in processes of their own; Ada has connected her account for the first."""
    vendors.add("gitlab")
    servers = [
        dataclasses.replace(vendors.server("gitlab"), resource=NOTES),
        VaultServer("wiki", service_token="of the service", resource=WIKI),
        VaultServer("inside", service_token="of another"),
    ]
    found = await connecting(vendors, servers, settings, engine, [NOTES_SERVER, WIKI_SERVER, BUILD])
    await found.connect("gitlab")
    grant = Grant("g-ada", "ada", "agent", "Agent", "", RESOURCE, "mcp")
    await found.auth._grants.open(grant, ttl_s=3_600)
    return found


async def ask(
    flow: Connecting, *, client: str = "notes-server", secret: str = SECRET, **changes: Any
) -> httpx.Response:
    form = {
        "grant_type": EXCHANGE,
        "subject_token": flow.auth.server_token(GRANTED, NOTES),
        "subject_token_type": ACCESS_TOKEN,
        "resource": NOTES,
    }
    header = base64.b64encode(f"{client}:{secret}".encode()).decode()
    return await flow.agent.post("/token", data=without(form | changes), headers={"Authorization": f"Basic {header}"})


@pytest.mark.requirement("VG-02")
@BOTH
async def test_a_server_gets_the_access_token_of_who_calls_it_and_no_refresh_token(flow: Connecting) -> None:
    answer = await ask(flow, audience="gitlab", requested_token_type=ACCESS_TOKEN)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    found = answer.json()
    assert sorted(found) == ["access_token", "expires_in", "issued_token_type", "scope", "token_type"]
    assert (found["issued_token_type"], found["token_type"], found["expires_in"]) == (ACCESS_TOKEN, "Bearer", 7_200)
    assert flow.vendors.emulators["gitlab"].person_of(f"Bearer {found['access_token']}") == "ada"
    held = (await flow.vault._grants.of_person(ISSUER, "ada"))["gitlab"]
    assert held.grant is not None
    assert held.grant.refresh not in answer.text


@pytest.mark.requirement("VG-22")
async def test_a_server_is_told_what_was_granted_with_what_that_includes(flow: Connecting) -> None:
    assert (await ask(flow)).json()["scope"] == "read_api read_user"
    found = await credentials(flow)(ADA, flow.auth.server_token(GRANTED, NOTES))
    assert found.scopes == frozenset({"read_api", "read_user"})
    assert (await flow.vault.credential(ADA, "gitlab")).scopes == frozenset({"read_api", "read_user"})
    gone = await flow.leave("gitlab", scope="api")
    await flow.browser.get(await flow.agree(gone.headers["location"]))
    found = await credentials(flow)(ADA, flow.auth.server_token(GRANTED, NOTES))
    assert found.scopes is not None
    assert found.scopes >= {"api", "write_repository"}


@pytest.mark.requirement("VG-22")
async def test_what_nobody_said_is_not_told(vendors: Vendors, settings: AuthSettings, engine: AsyncEngine) -> None:
    vendors.add("gitlab")
    said = {"access_token": "a", "token_type": "Bearer", "scope": ""}
    vendors.replies["/oauth/token"] = lambda _: httpx.Response(200, json=said)
    servers = [dataclasses.replace(vendors.server("gitlab", required=frozenset()), resource=NOTES)]
    flow = await connecting(vendors, servers, settings, engine, [NOTES_SERVER])
    await flow.connect("gitlab")
    token = flow.auth.server_token(ADA, NOTES)
    assert "scope" not in (await ask(flow, subject_token=token)).json()
    assert (await credentials(flow)(ADA, token)).scopes is None
    assert (await flow.vault.credential(ADA, "gitlab")).scopes is None


async def test_a_service_credential_goes_the_same_way(flow: Connecting) -> None:
    token = flow.auth.server_token(GRANTED, WIKI)
    answer = await ask(flow, client="wiki-server", subject_token=token, resource=WIKI)
    assert answer.json() == {
        "access_token": "of the service",
        "issued_token_type": ACCESS_TOKEN,
        "token_type": "Bearer",
    }


async def test_the_chosen_site_comes_along(vendors: Vendors, settings: AuthSettings, engine: AsyncEngine) -> None:
    vendors.add("jira").change(site_list=JIRA.site_list[:1])
    servers = [dataclasses.replace(vendors.server("jira"), resource=NOTES)]
    client = dataclasses.replace(NOTES_SERVER, server="jira")
    flow = await connecting(vendors, servers, settings, engine, [client])
    await flow.connect("jira")
    token = flow.auth.server_token(ADA, NOTES)
    site = {"id": "11111111-aaaa", "name": "acme", "url": "https://acme.atlassian.example"}
    assert (await ask(flow, subject_token=token)).json()["site"] == site
    found = await credentials(flow)(ADA, token)
    assert found.site is not None
    assert found.site.to_json() == site


@pytest.mark.requirement("VG-02")
async def test_other_clients_and_targets_get_nothing(flow: Connecting) -> None:
    assert refused(await ask(flow, secret="wrong"), 401, "invalid_client")
    assert refused(await ask(flow, client="nobody"), 401, "invalid_client")
    assert refused(await ask(flow, client="build"), 400, "unauthorized_client")
    assert refused(await ask(flow, client="wiki-server"), 400, "invalid_target")
    registered = await flow.register()
    form = {"grant_type": EXCHANGE, "client_id": registered["client_id"]}
    assert refused(await flow.token(**form), 400, "unauthorized_client")
    wiki = flow.auth.server_token(GRANTED, WIKI)
    others: list[dict[str, Any]] = [
        {"resource": WIKI},
        {"resource": None},
        {"resource": RESOURCE},
        {"resource": ""},
        {"resource": f"{NOTES}/"},
        {"audience": "wiki"},
        {"resource": WIKI, "subject_token": wiki},
    ]
    for changes in others:
        assert refused(await ask(flow, **changes), 400, "invalid_target"), changes


@pytest.mark.requirement("VG-02")
async def test_only_the_server_token_of_this_server_counts(flow: Connecting) -> None:
    _, agents = await flow.login()
    late = flow.auth.server_token(GRANTED, NOTES)
    for token in [
        agents["access_token"],
        flow.auth.server_token(GRANTED, WIKI),
        flow.auth.server_token(GRANTED, RESOURCE),
        flow.auth.server_token(dataclasses.replace(GRANTED, grant_id="ended"), NOTES),
        late[:-4] + "AAAA",
        "a.b.c",
        "x",
    ]:
        assert refused(await ask(flow, subject_token=token), 400, "invalid_request"), token
    flow.clock.advance(60)
    assert refused(await ask(flow, subject_token=late), 400, "invalid_request")


@pytest.mark.parametrize(
    "changes",
    [
        {"subject_token": None},
        {"subject_token_type": None},
        {"subject_token_type": "urn:ietf:params:oauth:token-type:jwt"},
        {"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
        {"actor_token": "x"},
    ],
)
async def test_a_malformed_request_is_told_so(flow: Connecting, changes: Any) -> None:
    assert refused(await ask(flow, **changes), 400, "invalid_request")


async def test_a_call_whose_grant_was_revoked_is_over(flow: Connecting) -> None:
    await flow.auth.revoke_grants(client_id="agent")
    assert refused(await ask(flow), 400, "invalid_request")


@pytest.mark.requirement("VG-03")
async def test_who_is_not_connected_is_told_apart_from_everything_else(flow: Connecting) -> None:
    await flow.vault.disconnect("ada", "gitlab")
    assert refused(await ask(flow), 400, "invalid_grant")
    robot = flow.auth.server_token(Principal(issuer=ISSUER, subject="client:build", client_id="build"), NOTES)
    assert refused(await ask(flow, subject_token=robot), 400, "unauthorized_client")
    portal = flow.auth.server_token(None, NOTES)
    assert refused(await ask(flow, subject_token=portal), 400, "unauthorized_client")


async def test_a_vendor_that_is_down_is_a_reason_to_try_again(flow: Connecting) -> None:
    flow.clock.advance(7_200)
    flow.vendors.replies["/oauth/token"] = lambda _: httpx.Response(500)
    answer = await ask(flow, subject_token=flow.auth.server_token(ADA, NOTES))
    assert refused(answer, 503, "temporarily_unavailable")
    assert answer.headers["retry-after"] == "5"


async def test_a_refused_token_is_renewed(flow: Connecting) -> None:
    token = (await ask(flow)).json()["access_token"]
    flow.clock.advance(JUST_S)
    again = await ask(flow, rejected_sha256=opaque.digest(token))
    assert again.json()["access_token"] != token


async def test_without_a_client_for_it_the_grant_type_is_unknown(
    vendors: Vendors, settings: AuthSettings, engine: AsyncEngine
) -> None:
    flow = await connecting(vendors, [vendors.server("gitlab")], settings, engine, [BUILD])
    assert refused(await ask(flow, client="build", resource=None), 400, "unsupported_grant_type")
    metadata = (await flow.agent.get("/.well-known/oauth-authorization-server")).json()
    assert EXCHANGE not in metadata["grant_types_supported"]


async def test_the_metadata_names_the_grant_type_where_there_is_a_client_for_it(flow: Connecting) -> None:
    metadata = (await flow.agent.get("/.well-known/oauth-authorization-server")).json()
    assert EXCHANGE in metadata["grant_types_supported"]


@pytest.mark.parametrize(
    "changes",
    [
        {"server": ""},
        {"grant_types": frozenset({"client_credentials"})},
        {"auth_method": "none", "secret_hash": None},
    ],
)
def test_a_client_that_is_no_server_is_not_declared_as_one(changes: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"auth\.clients\.notes-server"):
        dataclasses.replace(NOTES_SERVER, **changes)
    by_key: Any = {"auth_method": "private_key_jwt", "secret_hash": None, "keys": {KEY["kid"]: KEY}}
    assert dataclasses.replace(NOTES_SERVER, **by_key).server == "gitlab"


# The other end: a server in a process of its own


def credentials(flow: Connecting, answer: Any = None, secret: str = SECRET) -> PortalCredentials:
    async def reply(_request: httpx.Request) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    transport = httpx.ASGITransport(flow.app) if answer is None else httpx.MockTransport(reply)
    return PortalCredentials(ISSUER, "notes-server", secret, NOTES, Outbound(transport=transport))


async def test_a_server_asks_with_its_own_secret_and_the_token_of_the_call(flow: Connecting) -> None:
    ask_portal = credentials(flow)
    found = await ask_portal(ADA, flow.auth.server_token(GRANTED, NOTES))
    assert flow.vendors.emulators["gitlab"].person_of(f"Bearer {found.token}") == "ada"
    assert SECRET not in repr(ask_portal)
    assert found.token not in repr(found)
    flow.clock.advance(JUST_S)
    again = await ask_portal(ADA, flow.auth.server_token(GRANTED, NOTES), rejected=opaque.digest(found.token))
    assert again.token != found.token


async def test_what_the_portal_refuses_is_one_of_three_things(flow: Connecting) -> None:
    with pytest.raises(CredentialUnavailable):
        await credentials(flow, secret="wrong")(ADA, flow.auth.server_token(GRANTED, NOTES))
    with pytest.raises(CredentialUnavailable):
        await credentials(flow)(ADA, "")
    with pytest.raises(NoPerson):
        await credentials(flow)(ADA, flow.auth.server_token(None, NOTES))
    await flow.vault.disconnect("ada", "gitlab")
    with pytest.raises(NotConnected):
        await credentials(flow)(ADA, flow.auth.server_token(GRANTED, NOTES))


@pytest.mark.parametrize(
    "answer",
    [
        httpx.ConnectError("down"),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"access_token": "x", "site": {"id": 1}}),
        httpx.Response(200, json={"access_token": "x", "scope": ["api"]}),
        httpx.Response(200, content=b"[" * 60_000),
        httpx.Response(302, headers={"Location": "https://evil.example/token"}),
        httpx.Response(502, json={"error": "bad_gateway"}),
    ],
)
async def test_a_portal_that_does_not_answer_is_a_reason_to_try_again(flow: Connecting, answer: Any) -> None:
    with pytest.raises(CredentialUnavailable):
        await credentials(flow, answer)(ADA, "token")
