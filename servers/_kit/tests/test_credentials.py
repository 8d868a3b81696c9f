"""A server acts as whoever calls it, and what is in the way reaches the caller as one of our words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx
import pytest
from pydantic import Field

from servers._kit import tool
from servers._kit.credentials import credential
from servers._kit.failures import ConnectNeeded
from servers._kit.http import Http, open_http
from servers._kit.server import build
from servers._kit.testing import ALICE, ToolError, connected
from servers._kit.tool import spec_of
from shared_auth import opaque
from shared_auth.principal import Principal
from shared_auth.vault.credential import Credential, CredentialUnavailable, NoPerson, NotConnected, Site

BOB = Principal(issuer="http://issuer.test", subject="bob", client_id="test")


class Bank:
    """Credentials by person, who ``granted`` the same. ``refused`` tokens get a successor."""

    def __init__(self, *, granted: frozenset[str] | None = None, **tokens: str) -> None:
        self.tokens = tokens
        self.granted = granted
        self.failure: Exception | None = None
        self.asked: list[tuple[str, str]] = []

    async def __call__(self, principal: Principal, server_token: str = "", *, rejected: str = "") -> Credential:
        self.asked.append((principal.subject, rejected))
        assert server_token == ""
        if self.failure is not None:
            raise self.failure
        token = self.tokens[principal.subject]
        if rejected == opaque.digest(token):
            self.tokens[principal.subject] = token = f"{token}-renewed"
        return Credential(token, Site("1", "one", ""), scopes=self.granted)


class Vendor:
    """Takes some tokens, and notes what came."""

    def __init__(self, *good: str) -> None:
        self.good = good
        self.seen: list[str] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        token = request.headers["authorization"].removeprefix("Bearer ")
        self.seen.append(token)
        await asyncio.sleep(0)
        return httpx.Response(200, json=token) if token in self.good else httpx.Response(401, json={"message": "no"})


@tool(effect="read", scope="who:read")
async def who_am_i(http: Http, times: Annotated[int, Field(ge=1, le=10)] = 1) -> list[str]:
    """Say whose token the vendor sees, as often as asked for at once."""
    return list(await asyncio.gather(*(http.get("/me") for _ in range(times))))


@tool(effect="write", scope="who:write")
async def be_somebody(http: Http) -> str:
    """Send a change to the vendor."""
    return str(await http.send("POST", "/me"))


@tool(effect="write", scope="who:write")
async def change_twice(http: Http) -> str:
    """Send two changes, one after the other."""
    await http.send("POST", "/first")
    return str(await http.send("POST", "/second"))


@tool(effect="read", scope="who:read")
async def which_site(_http: Http) -> str:
    """Say at which site the token of who asks is used."""
    found = await credential()
    return found.site.name if found.site else ""


@tool(effect="write", scope="who:write", vendor_scopes=("api", "read_user"))
async def be_careful(http: Http) -> str:
    """Send a change to a vendor whose documents say what that takes."""
    return str(await http.send("POST", "/me"))


def server(bank: Bank | None, vendor: Any) -> Any:
    @asynccontextmanager
    async def client() -> AsyncIterator[Http]:
        transport = httpx.MockTransport(vendor)
        async with open_http("http://v.test", vendor="V", as_caller=True, transport=transport) as http:
            yield http

    specs = [spec_of(one) for one in (who_am_i, be_somebody, be_careful, change_twice, which_site)]
    return build("who", summary="", tools=specs, client=client, credentials=bank)


async def test_each_call_is_made_as_who_makes_it() -> None:
    bank, made = Bank(alice="of alice", bob="of bob"), Vendor("of alice", "of bob")
    async with connected(server(bank, made)) as alice, connected(server(bank, made), BOB) as bob:
        mine, his = await asyncio.gather(alice.call("who_am_i", times=5), bob.call("who_am_i", times=5))
        assert (mine, his) == (["of alice"] * 5, ["of bob"] * 5)
        assert await alice.call("which_site") == "one"
    assert bank.asked.count(("alice", "")) == 2  # once for a call, however many requests it makes


async def test_a_refused_token_is_renewed_and_the_request_sent_once_more() -> None:
    bank, made = Bank(alice="old"), Vendor("old-renewed")
    async with connected(server(bank, made)) as alice:
        assert await alice.call("be_somebody") == "old-renewed"
    assert made.seen == ["old", "old-renewed"]
    assert bank.asked == [("alice", ""), ("alice", opaque.digest("old"))]


async def test_many_requests_that_are_refused_at_once_renew_once() -> None:
    bank, made = Bank(alice="old"), Vendor("old-renewed")
    async with connected(server(bank, made)) as alice:
        assert await alice.call("who_am_i", times=5) == ["old-renewed"] * 5
    assert len(bank.asked) == 2


async def test_a_vendor_that_takes_no_token_is_asked_twice_at_most() -> None:
    bank, made = Bank(alice="old"), Vendor()
    async with connected(server(bank, made)) as alice:
        with pytest.raises(ToolError, match="forbidden"):
            await alice.call("be_somebody")
    assert made.seen == ["old", "old-renewed"]


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (NotConnected(), "connect"),
        (NoPerson(), "forbidden"),
        (CredentialUnavailable("the vendor does not answer"), "unavailable"),
        (RuntimeError("token=hunter2"), "upstream"),
    ],
)
async def test_what_is_in_the_way_has_a_kind_and_nothing_is_sent(failure: Exception, kind: str) -> None:
    bank, made = Bank(alice="x"), Vendor("x")
    bank.failure = failure
    async with connected(server(bank, made)) as alice:
        with pytest.raises(ToolError) as refused:
            await alice.call("be_somebody")
    assert refused.value.kind == kind
    assert "hunter2" not in str(refused.value)
    assert made.seen == []


async def test_a_server_that_is_given_no_credentials_has_none() -> None:
    async with connected(server(None, Vendor("x"))) as alice:
        with pytest.raises(ToolError, match="unexpectedly"):
            await alice.call("which_site")


async def test_a_refusal_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("servers._kit.http.MAX_ANSWER_BYTES", 1_000)

    async def endless(_request: httpx.Request) -> httpx.Response:
        async def parts() -> AsyncIterator[bytes]:
            while True:
                yield b" " * 600

        return httpx.Response(401, content=parts())

    async with connected(server(Bank(alice="x"), endless)) as alice:
        with pytest.raises(ToolError, match="more than 1000 bytes"):
            await alice.call("be_somebody")


def test_the_kind_is_the_one_signal() -> None:
    assert ConnectNeeded("x").to_json() == {"kind": "connect", "message": "x"}
    assert ALICE.subject == "alice"


GITLAB_SAYS = {"error": "insufficient_scope", "error_description": "more", "scope": "api"}


def refusing(path: str, *, header: str = "", body: Any = None) -> Any:
    async def vendor(request: httpx.Request) -> httpx.Response:
        if request.url.path != path:
            return httpx.Response(200, json="done")
        return httpx.Response(403, json=body, headers={"www-authenticate": header} if header else {})

    return vendor


async def refused(name: str, vendor: Any) -> dict[str, Any]:
    async with connected(server(Bank(alice="t"), vendor)) as connection:
        with pytest.raises(ToolError) as failed:
            await connection.call(name)
    return failed.value.error


@pytest.mark.parametrize(
    ("header", "body", "scopes"),
    [
        ("", GITLAB_SAYS, ["api"]),
        ('Bearer realm="x", error="insufficient_scope", scope="event:write org:read"', {}, ["event:write", "org:read"]),
        ("", {"error": "insufficient_scope"}, []),
        ("", {"error": "insufficient_scope", "scope": 3}, []),
    ],
)
async def test_a_vendor_that_wants_a_wider_grant_is_told_apart(header: str, body: Any, scopes: list[str]) -> None:
    error = await refused("be_somebody", refusing("/me", header=header, body=body))
    assert (error["kind"], error["scopes"], error["status"]) == ("scope", scopes, 403)


@pytest.mark.parametrize(
    ("header", "body"),
    [
        ("", {"error": "forbidden"}),
        ("", "insufficient_scope"),
        ('Bearer error="invalid_token"', {}),
        ('Basic error="insufficient_scope"', []),
    ],
)
async def test_any_other_refusal_is_no_question_of_scope(header: str, body: Any) -> None:
    assert (await refused("be_somebody", refusing("/me", header=header, body=body)))["kind"] == "forbidden"


async def test_after_a_change_a_call_is_not_to_be_made_again() -> None:
    assert (await refused("change_twice", refusing("/first", body=GITLAB_SAYS)))["kind"] == "scope"
    assert (await refused("change_twice", refusing("/second", body=GITLAB_SAYS)))["kind"] == "forbidden"


@pytest.mark.parametrize(
    ("granted", "missing"),
    [({"read_user"}, ["api"]), ({"read_api"}, ["api", "read_user"]), ({"API", "read_user"}, ["api"])],
)
async def test_a_call_that_is_known_to_lack_a_permission_is_not_sent(granted: set[str], missing: list[str]) -> None:
    bank, made = Bank(alice="t", granted=frozenset(granted)), Vendor("t")
    async with connected(server(bank, made)) as alice:
        with pytest.raises(ToolError) as failed:
            await alice.call("be_careful")
        assert (failed.value.kind, failed.value.error["scopes"]) == ("scope", missing)
        assert made.seen == []
        assert await alice.call("be_somebody") == "t"


@pytest.mark.parametrize("granted", [None, frozenset({"api", "read_user", "sudo"})])
async def test_where_nothing_is_known_to_lack_the_vendor_decides(granted: frozenset[str] | None) -> None:
    bank, made = Bank(alice="t", granted=granted), Vendor("t")
    async with connected(server(bank, made)) as alice:
        assert await alice.call("be_careful") == "t"
    assert bank.asked == [("alice", "")]


async def test_who_is_not_connected_is_told_that_and_not_which_permission_lacks() -> None:
    bank = Bank(granted=frozenset())
    bank.failure = NotConnected()
    async with connected(server(bank, Vendor())) as alice:
        with pytest.raises(ToolError, match="connect"):
            await alice.call("be_careful")


async def test_a_server_with_an_account_of_its_own_is_not_asked_what_people_granted() -> None:
    @tool(effect="read", scope="who:read", vendor_scopes=("api",))
    async def look(_client: None) -> str:
        """Look at something with the account of the server."""
        return "seen"

    @asynccontextmanager
    async def nothing() -> AsyncIterator[None]:
        yield

    async with connected(build("own", summary="", tools=[spec_of(look)], client=nothing)) as alice:
        assert await alice.call("look") == "seen"
