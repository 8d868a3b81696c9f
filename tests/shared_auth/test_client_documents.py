"""Client ID metadata documents: who may publish one, what it must say, and that fetching it reaches nothing internal."""

from __future__ import annotations

import asyncio
import dataclasses
import ipaddress
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from shared_auth.addresses import lookup, permitted
from shared_auth.authorization.document import NotAClient, judge
from shared_auth.authorization.document_settings import DocumentSettings
from shared_auth.authorization.documents import (
    BURST,
    LEAST_FRESH_S,
    MAX_DOCUMENTS,
    MOST_FRESH_S,
    STALE_S,
    USUAL_FRESH_S,
    fresh_s,
    publisher,
)
from shared_auth.configuration import ConfigurationError
from shared_auth.service import Auth
from shared_auth.settings import AuthSettings
from tests.shared_auth.company import network
from tests.shared_auth.flow import Clock, Flow, application, query_of

URL = "https://agent.example/oauth/client.json"
LOOPBACK = "http://127.0.0.1/callback"
GOOD: dict[str, Any] = {
    "client_id": URL,
    "client_name": "Example Agent",
    "redirect_uris": ["http://localhost/callback", LOOPBACK],
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "token_endpoint_auth_method": "none",
}
PUBLIC = "93.184.216.34"
METADATA = "/.well-known/oauth-authorization-server"


@dataclasses.dataclass
class Web:
    """The internet as the portal sees it: names, and one document that is served at every address."""

    names: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    document: Any = dataclasses.field(default_factory=lambda: dict(GOOD))
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    reply: Any = None
    down: set[str] = dataclasses.field(default_factory=set)
    asked: list[httpx.Request] = dataclasses.field(default_factory=list)

    async def resolve(self, host: str) -> list[str]:
        if host not in self.names:
            raise OSError("no such name")
        return self.names[host]

    async def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if request.url.host in self.down:
            raise httpx.ConnectError("down")
        if self.reply is not None:
            found: httpx.Response = self.reply(request)
            return found
        return httpx.Response(200, json=self.document, headers=self.headers)


@pytest.fixture
def web() -> Web:
    return Web(names={"agent.example": [PUBLIC]})


@pytest.fixture
def documents() -> DocumentSettings:
    return DocumentSettings()


@pytest.fixture
async def flow(
    settings: AuthSettings, documents: DocumentSettings, engine: AsyncEngine, clock: Clock, web: Web
) -> AsyncIterator[Flow]:
    known = dataclasses.replace(settings, documents=documents)
    auth = Auth(known, engine, clock=clock, transport=network(web.answer), resolve=web.resolve)
    await auth.start()
    found = Flow(auth, clock, application(auth))
    async with found.agent, found.browser:
        yield found


async def asks(flow: Flow, url: str = URL, redirect_uri: str = "http://127.0.0.1:5123/callback") -> httpx.Response:
    """Ask for authorization as the client ``url``, in a browser that is signed in."""
    return await flow.authorize(url, redirect_uri=redirect_uri)


@pytest.mark.requirement("AS-30")
async def test_an_agent_is_known_by_its_address_and_any_loopback_port(flow: Flow) -> None:
    await flow.sign_in()
    uri = "http://localhost:49152/callback"
    page = await asks(flow, redirect_uri=uri)
    assert "Example Agent" in page.text
    assert "<dd>agent.example</dd>" in page.text
    assert "a program on this computer" in page.text
    code = query_of((await flow.decide(page)).headers["location"])["code"]
    tokens = (await flow.redeem(URL, code, redirect_uri=uri)).json()
    principal = (await flow.call(tokens["access_token"])).json()["principal"]
    assert (principal["client_id"], principal["client_name"]) == (URL, "Example Agent")
    assert (await flow.refresh(URL, tokens["refresh_token"])).status_code == 200
    assert (await flow.auth.revoke_grants(client_id=URL)) == 1


@pytest.mark.requirement("GW-03")
async def test_an_agent_on_this_machine_is_asked_about_every_time(flow: Flow) -> None:
    await flow.sign_in()
    uri = "http://127.0.0.1:5123/callback"
    await flow.redeem(
        URL, query_of((await flow.decide(await asks(flow))).headers["location"])["code"], redirect_uri=uri
    )
    assert (await asks(flow)).status_code == 200


@pytest.mark.requirement("AS-33")
@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:5123/other",
        "https://127.0.0.1/callback",
        "https://evil.example/",
        "http://localhost.evil/callback",
    ],
)
async def test_an_address_that_the_document_does_not_list_is_not_answered(flow: Flow, uri: Any) -> None:
    await flow.sign_in()
    answer = await asks(flow, redirect_uri=uri)
    assert answer.status_code == 400
    assert "location" not in answer.headers


@pytest.mark.requirement("AS-36")
async def test_the_metadata_says_so_only_when_it_is_so(flow: Flow, auth: Auth) -> None:
    assert (await flow.agent.get(METADATA)).json()["client_id_metadata_document_supported"] is True
    async with Flow(auth, flow.clock, application(auth)).client() as off:
        assert "client_id_metadata_document_supported" not in (await off.get(METADATA)).json()


@pytest.mark.requirement("AS-30")
async def test_switched_off_no_address_is_a_client_and_nothing_is_fetched(
    settings: AuthSettings, engine: AsyncEngine, clock: Clock, web: Web
) -> None:
    auth = Auth(settings, engine, clock=clock, transport=network(web.answer), resolve=web.resolve)
    await auth.start()
    flow = Flow(auth, clock, application(auth))
    async with flow.agent, flow.browser:
        assert (await asks(flow)).status_code == 400
    assert web.asked == []


@pytest.mark.requirement("AS-41")
async def test_the_connection_goes_to_the_address_that_was_judged_under_the_name_that_was_meant(
    flow: Flow, web: Web
) -> None:
    await asks(flow)
    (request,) = web.asked
    assert str(request.url) == f"https://{PUBLIC}/oauth/client.json"
    assert request.headers["host"] == "agent.example"
    assert request.extensions["sni_hostname"] == "agent.example"
    for private in ("authorization", "cookie", "referer"):
        assert private not in request.headers


@pytest.mark.requirement("AS-40")
@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["10.0.0.1"],
        ["172.16.0.1"],
        ["192.168.1.1"],
        ["169.254.169.254"],
        ["100.64.0.1"],
        ["0.0.0.0"],
        ["224.0.0.1"],
        ["255.255.255.255"],
        ["::1"],
        ["::"],
        ["fe80::1"],
        ["fe80::1%eth0"],
        ["fd00::1"],
        ["ff02::1"],
        ["::ffff:127.0.0.1"],
        ["::ffff:169.254.169.254"],
        ["64:ff9b::7f00:1"],
        ["2002:7f00:1::"],
        [PUBLIC, "127.0.0.1"],
        ["not an address"],
        [],
    ],
)
async def test_a_name_that_leads_inside_is_not_connected_to(flow: Flow, web: Web, addresses: Any) -> None:
    web.names["agent.example"] = addresses
    assert (await asks(flow)).status_code == 503
    assert web.asked == []


@pytest.mark.requirement("AS-40")
@given(st.ip_addresses())
def test_what_is_permitted_is_public(address: Any) -> None:
    if permitted([str(address)]):
        assert address.is_global
        assert not address.is_multicast
        assert getattr(address, "ipv4_mapped", None) is None or address.ipv4_mapped.is_global


async def test_the_operator_may_open_an_internal_network(
    settings: AuthSettings, engine: AsyncEngine, clock: Clock, web: Web
) -> None:
    known = dataclasses.replace(settings, documents=DocumentSettings(private_networks=("10.20.0.0/16",)))
    auth = Auth(known, engine, clock=clock, transport=network(web.answer), resolve=web.resolve)
    await auth.start()
    flow = Flow(auth, clock, application(auth))
    async with flow.agent, flow.browser:
        web.names["agent.example"] = ["10.21.0.1"]
        assert (await asks(flow)).status_code == 503
        web.names["agent.example"] = ["10.20.0.1"]
        assert (await asks(flow)).status_code == 200


async def test_another_address_is_tried_where_one_does_not_answer(flow: Flow, web: Web) -> None:
    web.names["agent.example"] = ["2606:2800:220:1::1", PUBLIC]
    web.down = {"2606:2800:220:1::1"}
    assert (await asks(flow)).status_code == 200
    assert [request.url.host for request in web.asked] == ["2606:2800:220:1::1", PUBLIC]


async def test_the_systems_names_are_asked_without_blocking() -> None:
    assert {ipaddress.ip_address(one).is_loopback for one in await lookup("localhost")} == {True}


@pytest.mark.requirement("AS-34")
@pytest.mark.parametrize(
    "url",
    [
        "https://agent.example",
        "https://agent.example/",
        "https://agent.example/a?b",
        "https://agent.example/a#b",
        "https://agent.example/a/../b",
        "https://agent.example/./b",
        "https://agent.example/..",
        "https://user@agent.example/a",
        "https://agent.example:0/a",
        "https://agent.example:99999/a",
        "https://agent.example:x/a",
        "https://agent.example:/a",
        "https://Agent.example/a",
        "https://agent.example\\@evil.example/a",
        "https://127.0.0.1/a",
        "https://2130706433/a",
        "https://[::1]/a",
        "https://agent_.example/a",
        "https://-agent.example/a",
        "https://agent..example/a",
        "https://agent.example/" + "a" * 500,
        "http://agent.example/a",
    ],
)
async def test_what_is_no_proper_address_is_no_client(flow: Flow, web: Web, url: Any) -> None:
    assert publisher(url) is None
    assert (await asks(flow, url)).status_code == 400
    assert web.asked == []


@given(st.text(max_size=60))
def test_a_publisher_is_always_a_plain_host_name(text: Any) -> None:
    host = publisher(f"https://{text}")
    assert host is None or (host and not set(host) - set("abcdefghijklmnopqrstuvwxyz0123456789-."))


@pytest.mark.requirement("AS-31", "AS-32", "AS-38")
@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "https://agent.example/oauth/other.json"},
        {"client_id": None},
        {"client_id": 7},
        {"client_name": None},
        {"client_name": ""},
        {"client_name": "\u200b"},
        {"client_name": "x" * 201},
        {"redirect_uris": None},
        {"redirect_uris": []},
        {"redirect_uris": "http://localhost/callback"},
        {"redirect_uris": ["http://agent.example/callback"]},
        {"redirect_uris": ["javascript:alert(1)"]},
        {"redirect_uris": ["https://*.agent.example/"]},
        {"redirect_uris": [f"https://agent.example/{n}" for n in range(21)]},
        {"token_endpoint_auth_method": "client_secret_post"},
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"grant_types": ["client_credentials"]},
        {"response_types": ["token"]},
        {"client_secret": "x"},
        {"client_secret_expires_at": 0},
    ],
)
async def test_a_document_that_breaks_a_rule_is_no_client(flow: Flow, web: Web, change: Any) -> None:
    web.document = {name: value for name, value in (GOOD | change).items() if value is not None}
    answer = await asks(flow)
    assert answer.status_code == 400
    assert "metadata document is not acceptable" in answer.text
    web.document = GOOD
    flow.clock.advance(1)
    assert (await asks(flow)).status_code == 200, "a refusal is not kept"


@pytest.mark.requirement("AS-32", "AS-42", "AS-43")
@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (lambda _: httpx.Response(200, json=[GOOD]), 400),
        (lambda _: httpx.Response(200, text="{", headers={"content-type": "application/json"}), 400),
        (lambda _: httpx.Response(200, content=b"[" * 9_000, headers={"content-type": "application/json"}), 400),
        (lambda _: httpx.Response(200, json=GOOD, headers={"content-type": "text/html"}), 400),
        (lambda _: httpx.Response(404, json=GOOD), 400),
        (lambda _: httpx.Response(302, headers={"location": "http://169.254.169.254/"}), 400),
        (lambda _: httpx.Response(301, json=GOOD, headers={"location": "https://agent.example/b"}), 400),
        (lambda _: httpx.Response(200, json=GOOD | {"x": "x" * 20_000}), 503),
        (lambda _: httpx.Response(200, headers={"content-encoding": "gzip"}), 503),
    ],
)
async def test_an_answer_that_is_no_small_json_document_is_no_client(
    flow: Flow, web: Web, reply: Any, status: Any
) -> None:
    web.reply = reply
    assert (await asks(flow)).status_code == status
    assert len(web.asked) == 1, "redirects are not followed"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda s: st.lists(s) | st.dictionaries(st.sampled_from(sorted(GOOD)), s),
    )
)
def test_no_document_crashes_the_judge(value: Any) -> None:
    with pytest.raises(NotAClient):
        judge(URL, value)


@pytest.mark.requirement("AS-35")
@pytest.mark.parametrize(
    ("headers", "kept_s"),
    [
        ({}, USUAL_FRESH_S),
        ({"cache-control": "max-age=3600"}, 3_600),
        ({"cache-control": "public, Max-Age=3600"}, 3_600),
        ({"cache-control": "max-age=3600", "age": "600"}, 3_000),
        ({"cache-control": "max-age=999999999"}, MOST_FRESH_S),
        ({"cache-control": "max-age=0"}, LEAST_FRESH_S),
        ({"cache-control": "max-age=-1"}, USUAL_FRESH_S),
        ({"cache-control": "no-store, max-age=3600"}, LEAST_FRESH_S),
        ({"cache-control": "no-cache"}, LEAST_FRESH_S),
        ({"cache-control": "max-age=60", "age": "x"}, 60),
        ({"cache-control": "x-max-age=5"}, USUAL_FRESH_S),
    ],
)
async def test_a_document_is_kept_as_long_as_its_headers_say_within_bounds(
    flow: Flow, web: Web, headers: Any, kept_s: Any
) -> None:
    assert fresh_s(httpx.Headers(headers)) == kept_s
    web.headers = headers
    await asks(flow)
    flow.clock.advance(kept_s - 1)
    await asks(flow)
    assert len(web.asked) == 1
    flow.clock.advance(1)
    await asks(flow)
    assert len(web.asked) == 2


async def test_a_host_that_is_down_does_not_end_its_agents_sign_ins_for_a_day(flow: Flow, web: Web) -> None:
    await asks(flow)
    web.down = {PUBLIC}
    flow.clock.advance(USUAL_FRESH_S)
    assert (await asks(flow)).status_code == 200
    flow.clock.advance(STALE_S)
    assert (await asks(flow)).status_code == 503
    answer = await flow.token(grant_type="refresh_token", client_id=URL, refresh_token="x")
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
    assert answer.headers["retry-after"]


async def test_a_document_that_was_withdrawn_ends_at_once(flow: Flow, web: Web) -> None:
    await asks(flow)
    web.reply = lambda _: httpx.Response(404)
    flow.clock.advance(USUAL_FRESH_S)
    assert (await asks(flow)).status_code == 400
    web.down, web.reply = {PUBLIC}, None
    assert (await asks(flow)).status_code == 503


@pytest.mark.requirement("GW-13")
async def test_an_address_that_the_document_dropped_while_the_person_read_gets_nothing(flow: Flow, web: Web) -> None:
    web.headers = {"cache-control": "max-age=0"}
    await flow.sign_in()
    page = await asks(flow)
    web.document = GOOD | {"redirect_uris": ["http://127.0.0.1/elsewhere"]}
    flow.clock.advance(LEAST_FRESH_S)
    answer = await flow.decide(page)
    assert answer.status_code == 400
    assert "location" not in answer.headers


@pytest.mark.requirement("AS-44")
async def test_many_requests_at_once_fetch_once(flow: Flow, web: Web) -> None:
    await asyncio.gather(*(asks(flow) for _ in range(20)))
    assert len(web.asked) == 1


@pytest.mark.requirement("AS-44")
async def test_nobody_can_have_us_flood_a_host(flow: Flow, web: Web) -> None:
    answers = [await asks(flow, f"https://agent.example/{number}") for number in range(BURST + 5)]
    assert [answer.status_code for answer in answers] == [400] * BURST + [429] * 5
    assert len(web.asked) == BURST
    web.names |= {"other.example": [PUBLIC], "elsewhere.example": ["93.184.216.35"]}
    assert (await asks(flow, "https://other.example/a")).status_code == 429, "another name for the same address"
    assert (await asks(flow, "https://elsewhere.example/a")).status_code == 400
    flow.clock.advance(5)
    assert (await asks(flow, "https://agent.example/later")).status_code == 400


async def test_a_name_that_does_not_resolve_is_no_client_for_now(flow: Flow, web: Web) -> None:
    assert (await asks(flow, "https://nowhere.example/a")).status_code == 503
    assert web.asked == []


async def test_only_so_many_documents_are_kept(flow: Flow, web: Web) -> None:
    def mirror(request: httpx.Request) -> httpx.Response:
        url = f"https://{request.headers['host']}{request.url.path}"
        return httpx.Response(200, json=GOOD | {"client_id": url})

    web.reply = mirror
    for number in range(MAX_DOCUMENTS + 1):
        web.names[f"a{number}.example"] = [f"93.184.{number // 256}.{number % 256}"]
        await flow.token(grant_type="x", client_id=f"https://a{number}.example/c")
    await flow.token(grant_type="x", client_id=f"https://a{MAX_DOCUMENTS}.example/c")
    assert len(web.asked) == MAX_DOCUMENTS + 1
    await flow.token(grant_type="x", client_id="https://a0.example/c")
    assert len(web.asked) == MAX_DOCUMENTS + 2, "the oldest made room"


@pytest.mark.requirement("AS-37")
@pytest.mark.parametrize(
    ("hosts", "status"),
    [
        ({"agent.example"}, 200),
        ({".example"}, 200),
        ({"example"}, 400),
        ({".agent.example"}, 400),
        ({"other.example"}, 400),
    ],
)
async def test_only_trusted_publishers_are_fetched(
    settings: AuthSettings, engine: AsyncEngine, clock: Clock, web: Web, hosts: Any, status: Any
) -> None:
    known = dataclasses.replace(settings, documents=DocumentSettings(hosts=frozenset(hosts)))
    auth = Auth(known, engine, clock=clock, transport=network(web.answer), resolve=web.resolve)
    await auth.start()
    flow = Flow(auth, clock, application(auth))
    async with flow.agent, flow.browser:
        assert (await asks(flow)).status_code == status
    assert bool(web.asked) is (status == 200)


@pytest.mark.parametrize("fetch", [True, False])
async def test_a_seeded_document_needs_no_way_out(
    settings: AuthSettings, engine: AsyncEngine, clock: Clock, web: Web, fetch: Any
) -> None:
    seeded = {URL: {name: value for name, value in GOOD.items() if name != "client_id"}}
    known = dataclasses.replace(settings, documents=DocumentSettings(fetch=fetch, seeded=seeded))
    auth = Auth(known, engine, clock=clock, transport=network(web.answer), resolve=web.resolve)
    await auth.start()
    flow = Flow(auth, clock, application(auth))
    async with flow.agent, flow.browser:
        await flow.sign_in()
        assert "Example Agent" in (await asks(flow)).text
        assert web.asked == []
        await asks(flow, "https://agent.example/b.json")
    assert bool(web.asked) is fetch


@pytest.mark.parametrize(
    ("seeded", "names"),
    [
        ({"http://agent.example/a": GOOD}, "https address"),
        ({URL: {"client_name": "x"}}, "redirect_uris"),
        ({URL: GOOD | {"client_id": "https://agent.example/b"}}, "another address"),
    ],
)
def test_a_seeded_document_that_is_no_client_is_refused_at_start(
    settings: AuthSettings, engine: AsyncEngine, seeded: Any, names: Any
) -> None:
    known = dataclasses.replace(settings, documents=DocumentSettings(seeded=seeded))
    with pytest.raises(ConfigurationError, match=names):
        Auth(known, engine)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"hosts": frozenset({"*.example"})}, "hosts"),
        ({"hosts": frozenset({"https://agent.example"})}, "hosts"),
        ({"hosts": frozenset({"."})}, "hosts"),
        ({"private_networks": ("10.0.0.1/8",)}, "private_networks"),
        ({"private_networks": ("inside",)}, "private_networks"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(change: Any, names: Any) -> None:
    with pytest.raises(ConfigurationError, match=names):
        DocumentSettings(**change)
