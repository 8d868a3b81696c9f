"""Sign-in through the company's provider: the question first, then the provider, then the person that it names."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote_plus

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from jose import jwk
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared_auth import jose, keys, store
from shared_auth.configuration import ConfigurationError
from shared_auth.identity.departure import BURST
from shared_auth.identity.logins import LOGIN_S
from shared_auth.identity.settings import OidcSettings
from shared_auth.service import Auth
from shared_auth.settings import AuthSettings
from tests.shared_auth.company import CLIENT_ID, CLIENT_SECRET, LOGIN, Company
from tests.shared_auth.flow import BOTH, CALLBACK, ISSUER, Clock, Flow, application, hidden, query_of

WEB = "https://app.example/callback"


@pytest.fixture
def company(clock: Clock) -> Company:
    return Company(clock)


@pytest.fixture
def oidc() -> OidcSettings:
    return OidcSettings(issuer=LOGIN, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)


@pytest.fixture
def settings(oidc: OidcSettings) -> AuthSettings:
    return AuthSettings(issuer=ISSUER, resource=f"{ISSUER}/mcp", secret=b"s" * 32, oidc=oidc)


@pytest.fixture
async def flow(settings: AuthSettings, engine: AsyncEngine, clock: Clock, company: Company) -> AsyncIterator[Flow]:
    auth = Auth(settings, engine, clock=clock, transport=company.transport)
    await auth.start()
    found = Flow(auth, clock, application(auth), settings.issuer)
    async with found.agent, found.browser:
        yield found


async def departure(flow: Flow, **metadata: Any) -> tuple[str, str]:
    """Return a client's id and where the browser is sent after the yes."""
    client = await flow.register(**metadata)
    uris = metadata.get("redirect_uris", [CALLBACK])
    page = await flow.authorize(client["client_id"], redirect_uri=uris[0])
    answer = await flow.decide(page)
    assert answer.status_code == 303, answer.text
    return client["client_id"], answer.headers["location"]


async def signed_in(flow: Flow, company: Company, **changes: str | None) -> httpx.Response:
    flow.browser.cookies.clear()
    _, location = await departure(flow)
    return await flow.browser.get(company.comes_back(location, **changes))


async def rows(engine: AsyncEngine, table: Any) -> int:
    async with engine.connect() as connection:
        return int((await connection.execute(select(func.count()).select_from(table))).scalar_one())


@BOTH
async def test_an_agent_gets_in_after_the_yes_and_the_provider(flow: Flow, company: Company) -> None:
    client_id, location = await departure(flow)
    assert location.startswith(f"{LOGIN}/authorize?")
    back = await flow.browser.get(company.comes_back(location))
    assert back.headers["location"].startswith(f"{CALLBACK}?"), back.text
    answer = query_of(back.headers["location"])
    assert (answer["state"], answer["iss"]) == ("a state", ISSUER)
    tokens = (await flow.redeem(client_id, answer["code"])).json()
    principal = (await flow.call(tokens["access_token"])).json()["principal"]
    assert principal["subject"] == "4711@login.example"
    assert (principal["name"], principal["email"]) == ("Grace Hopper", "grace@example.com")
    assert principal["groups"] == ["portal-writers", "staff"]
    refreshed = await flow.refresh(client_id, tokens["refresh_token"])
    assert refreshed.status_code == 200


@pytest.mark.requirement("GW-20", "GW-25")
async def test_the_request_to_the_provider_is_a_code_flow_with_state_nonce_and_pkce_new_each_time(flow: Flow) -> None:
    first, second = [query_of((await departure(flow))[1]) for _ in range(2)]
    assert first["response_type"] == "code"
    assert first["client_id"] == CLIENT_ID
    assert first["redirect_uri"] == f"{ISSUER}/sign-in/callback"
    assert first["scope"] == "openid profile email"
    assert first["code_challenge_method"] == "S256"
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name]) >= 43
        assert first[name] != second[name]


async def test_nothing_of_the_agent_or_its_person_is_told_to_the_provider(flow: Flow, company: Company) -> None:
    client_id, location = await departure(flow)
    await flow.browser.get(company.comes_back(location))
    told = location + "".join(f"{r.url}{r.headers}{r.content!r}" for r in company.asked)
    for private in (client_id, CALLBACK, "a state", "Agent"):
        assert private not in told
        assert quote_plus(private) not in told


async def test_the_client_secret_goes_in_the_header_in_the_form_of_the_standard(flow: Flow, company: Company) -> None:
    await signed_in(flow, company)
    (request,) = [r for r in company.asked if r.url.path == "/token"]
    sent = base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()
    assert sent == f"{quote_plus(CLIENT_ID)}:{quote_plus(CLIENT_SECRET)}"
    assert b"secret" not in request.content


async def test_a_provider_that_only_takes_the_secret_in_the_form_gets_it_there(flow: Flow, company: Company) -> None:
    company.document["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    assert (await signed_in(flow, company)).headers["location"].startswith(CALLBACK)
    (request,) = [r for r in company.asked if r.url.path == "/token"]
    assert "authorization" not in request.headers
    assert f"client_secret={quote_plus(CLIENT_SECRET)}".encode() in request.content


@pytest.mark.requirement("GW-01", "GW-21")
async def test_nobody_is_sent_to_the_provider_and_nothing_is_stored_for_it_before_the_yes(
    flow: Flow, company: Company, engine: AsyncEngine
) -> None:
    client = await flow.register(client_name="Agent A")
    page = await flow.authorize(client["client_id"])
    assert page.status_code == 200
    for shown in ("Agent A", "127.0.0.1:5000", "<dd>mcp</dd>", "login.example", "a program on this computer"):
        assert shown in page.text
    assert not [cookie for cookie in page.headers.get_list("set-cookie") if "login" in cookie]
    assert (company.asked, await rows(engine, store.logins)) == ([], 0)
    denied = await flow.decide(page, "deny")
    assert query_of(denied.headers["location"])["error"] == "access_denied"
    assert (company.asked, await rows(engine, store.logins)) == ([], 0)


@pytest.mark.requirement("GW-11")
async def test_a_question_of_one_browser_is_not_answered_from_another(flow: Flow, company: Company) -> None:
    client = await flow.register()
    page = await flow.authorize(client["client_id"])
    async with flow.client() as other:
        await other.get("/authorize", params=flow.request(client["client_id"]))  # known, but not the one asked
        form = {"consent": hidden(page, "consent"), "decision": "allow"}
        assert (await other.post("/consent", data=form)).status_code == 400
        async with flow.client() as unknown:
            assert (await unknown.post("/consent", data=form)).status_code == 400
    assert company.asked == []
    assert (await flow.decide(page)).status_code == 303, "the question still stands for the browser that was asked"


@pytest.mark.requirement("GW-08")
async def test_a_yes_from_another_site_is_refused(flow: Flow, company: Company) -> None:
    page = await flow.authorize((await flow.register())["client_id"])
    assert (await flow.decide(page, Origin="https://evil.example")).status_code == 403
    assert company.asked == []


@pytest.mark.requirement("AS-132", "GW-22")
async def test_the_answer_counts_only_in_the_browser_that_left(
    flow: Flow, company: Company, engine: AsyncEngine
) -> None:
    _, location = await departure(flow)
    back = company.comes_back(location)
    async with flow.client() as victim:
        answer = await victim.get(back)
        assert answer.status_code == 400
        assert not answer.headers.get_list("set-cookie")
    assert company.count("/token") == 0
    assert await rows(engine, store.sessions) == 0
    assert (await flow.browser.get(back)).status_code == 303, "it was not spent by the attempt"


@pytest.mark.requirement("GW-23")
async def test_the_answer_counts_once(flow: Flow, company: Company) -> None:
    _, location = await departure(flow)
    back = company.comes_back(location)
    cookies = dict(flow.browser.cookies)
    assert (await flow.browser.get(back)).status_code == 303
    async with flow.client() as again:
        again.cookies.update(cookies)
        answer = await again.get(back)
    assert answer.status_code == 400
    assert "finished before" in answer.text
    assert company.count("/token") == 1


@pytest.mark.requirement("GW-23")
@BOTH
async def test_of_many_uses_of_one_answer_at_once_one_signs_in(flow: Flow, company: Company) -> None:
    _, location = await departure(flow)
    back = company.comes_back(location)
    answers = await asyncio.gather(*(flow.browser.get(back) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [303] + [400] * 7
    assert company.count("/token") == 1


@pytest.mark.requirement("GW-24")
async def test_an_answer_after_ten_minutes_is_too_late(flow: Flow, company: Company) -> None:
    _, location = await departure(flow)
    flow.clock.advance(LOGIN_S)
    assert (await flow.browser.get(company.comes_back(location))).status_code == 400
    assert company.count("/token") == 0
    assert await flow.auth.prune() >= 1


@pytest.mark.requirement("GW-22")
@pytest.mark.parametrize("state", [None, "", "mpo_guess", "é", "x" * 9_000])
async def test_an_answer_without_our_state_is_refused(flow: Flow, company: Company, state: Any) -> None:
    _, location = await departure(flow)
    assert (await flow.browser.get(company.comes_back(location, state=state))).status_code in {400, 413}
    assert company.count("/token") == 0


@pytest.mark.requirement("GW-26")
@pytest.mark.parametrize("iss", [None, "https://evil.example", f"{LOGIN}/"])
async def test_an_answer_of_another_provider_is_refused_before_its_code_goes_anywhere(
    flow: Flow, company: Company, iss: Any
) -> None:
    answer = await signed_in(flow, company, iss=iss)
    assert query_of(answer.headers["location"])["error"] == "access_denied"
    assert company.count("/token") == 0


async def test_a_provider_that_never_states_its_issuer_is_believed_without(flow: Flow, company: Company) -> None:
    company.document["authorization_response_iss_parameter_supported"] = None
    assert "code" in query_of((await signed_in(flow, company, iss=None)).headers["location"])


async def test_a_refusal_of_the_provider_reaches_the_agent_in_our_words(flow: Flow, company: Company) -> None:
    answer = await signed_in(flow, company, code=None, error="access_denied", error_description="<b>hello</b>")
    told = query_of(answer.headers["location"])
    assert (told["error"], told["state"], told["iss"]) == ("access_denied", "a state", ISSUER)
    assert "hello" not in answer.headers["location"]


@pytest.mark.requirement("AS-64")
async def test_a_refusal_is_not_redirected_to_a_web_address_unasked(flow: Flow, company: Company) -> None:
    _, location = await departure(flow, redirect_uris=[WEB])
    answer = await flow.browser.get(company.comes_back(location, code=None, error="access_denied"))
    assert answer.status_code == 403
    assert "app.example" in answer.text


async def test_a_code_that_the_provider_does_not_take_signs_nobody_in(
    flow: Flow, company: Company, engine: AsyncEngine
) -> None:
    answer = await signed_in(flow, company, code="stolen")
    assert query_of(answer.headers["location"])["error"] == "server_error"
    assert await rows(engine, store.sessions) == 0


def _alien(claims: Any) -> str:
    return jose.sign(claims, keys.generate(), typ="JWT")


def _unsigned(claims: Any) -> str:
    parts = [{"alg": "none", "typ": "JWT", "kid": "x"}, dict(claims)]
    return ".".join(base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=").decode() for p in parts) + "."


HOSTILE: dict[str, dict[str, Any]] = {
    "wrong issuer": {"iss": "https://evil.example"},
    "no issuer": {"iss": None},
    "swapped nonce": {"nonce": "mpn_of_another_sign_in"},
    "no nonce": {"nonce": None},
    "nonce of another type": {"nonce": 7},
    "another audience": {"aud": "somebody else"},
    "an audience too many": {"aud": [CLIENT_ID, "somebody else"], "azp": CLIENT_ID},
    "another party": {"azp": "somebody else"},
    "expired": {"exp": 1_799_999_939},
    "old": {"iat": 1_799_990_000},
    "from the future": {"iat": 1_800_000_100},
    "not yet valid": {"nbf": 1_800_000_100},
    "endless": {"exp": float("inf")},
    "a true time": {"iat": True},
    "another access token": {"at_hash": "x" * 22},
    "no subject": {"sub": None},
    "an empty subject": {"sub": ""},
    "a subject of another type": {"sub": ["4711"]},
    "a subject with a line": {"sub": "4711\n"},
    "groups of another type": {"groups": {"admin": True}},
    "a group with a line": {"groups": ["a\nb"]},
}


@pytest.mark.requirement("GW-30", "GW-31", "GW-32", "GW-33")
@pytest.mark.parametrize("name", HOSTILE)
async def test_an_id_token_that_is_wrong_in_one_claim_signs_nobody_in(
    flow: Flow, company: Company, engine: AsyncEngine, name: Any
) -> None:
    company.claims = HOSTILE[name]
    answer = await signed_in(flow, company)
    assert query_of(answer.headers["location"])["error"] in {"server_error", "access_denied"}
    assert await rows(engine, store.sessions) + await rows(engine, store.people) + await rows(engine, store.grants) == 0


@pytest.mark.requirement("GW-34")
@pytest.mark.parametrize("sign", [_alien, _unsigned, lambda _: "x.y.z", lambda _: "a" * 100_000])
async def test_an_id_token_with_another_signature_signs_nobody_in(flow: Flow, company: Company, sign: Any) -> None:
    company.sign = sign
    assert query_of((await signed_in(flow, company)).headers["location"])["error"] == "server_error"


async def test_the_refusal_tells_nothing_of_the_token(flow: Flow, company: Company, caplog: Any) -> None:
    company.claims = {"aud": "SECRET-AUDIENCE"}
    answer = await signed_in(flow, company)
    assert "SECRET-AUDIENCE" not in answer.headers["location"] + answer.text + caplog.text


@pytest.mark.requirement("GW-25", "GW-27", "GW-28")
@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"issuer": "https://evil.example"}, "issuer"),
        ({"issuer": None}, "issuer"),
        ({"token_endpoint": "http://login.example/token"}, "https"),
        ({"jwks_uri": "file:///etc/passwd"}, "https"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "https"),
        ({"authorization_endpoint": "https://user@login.example/"}, "https"),
        ({"authorization_endpoint": "https://login.example/\r\nSet-Cookie: a=b"}, "https"),
        ({"authorization_endpoint": "https://login.example:x/"}, "https"),
        ({"authorization_endpoint": "https://login.example/#x"}, "https"),
        ({"token_endpoint": None}, "missing"),
        ({"code_challenge_methods_supported": ["plain"]}, "PKCE"),
        ({"code_challenge_methods_supported": "S256 and more"}, "PKCE"),
        ({"token_endpoint_auth_methods_supported": ["private_key_jwt"]}, "secret"),
    ],
)
async def test_a_provider_that_cannot_be_trusted_gets_no_browser(
    flow: Flow, company: Company, caplog: Any, document: Any, reason: Any
) -> None:
    company.document = document
    page = await flow.authorize((await flow.register())["client_id"])
    answer = await flow.decide(page)
    assert answer.status_code == 503
    assert "location" not in answer.headers
    assert any(reason in record.why for record in caplog.records if record.message == "provider.discovery_failed")


async def _hangs(_request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("never")


BROKEN: dict[str, Any] = {
    "giant": lambda _: httpx.Response(200, json={"x": "x" * 400_000}),
    "endless": lambda _: httpx.Response(200, content=_endless(), headers={"content-type": "application/json"}),
    "slow": _hangs,
    "redirecting": lambda _: httpx.Response(302, headers={"location": "http://169.254.169.254/"}),
    "no JSON": lambda _: httpx.Response(200, text="<html>", headers={"content-type": "application/json"}),
    "a page": lambda _: httpx.Response(200, html="<html>"),
    "deep": lambda _: httpx.Response(200, content=b"[" * 60_000, headers={"content-type": "application/json"}),
    "a list": lambda _: httpx.Response(200, json=[]),
    "failing": lambda _: httpx.Response(500, json={}),
    "compressed": lambda _: httpx.Response(
        200, content=b"", headers={"content-encoding": "br", "content-type": "application/json"}
    ),
}


async def _endless() -> AsyncIterator[bytes]:
    while True:
        yield b" " * 10_000


@pytest.mark.requirement("AS-42", "AS-43")
@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/keys", "/token"])
async def test_a_broken_document_signs_nobody_in_and_breaks_nothing(
    flow: Flow, company: Company, engine: AsyncEngine, path: Any, how: Any
) -> None:
    company.replies[path] = BROKEN[how]
    page = await flow.authorize((await flow.register())["client_id"])
    answer = await flow.decide(page)
    if path == "/.well-known/openid-configuration":
        assert answer.status_code == 503
    else:
        answer = await flow.browser.get(company.comes_back(answer.headers["location"]))
        assert query_of(answer.headers["location"])["error"] in {"temporarily_unavailable", "server_error"}
    assert await rows(engine, store.sessions) == 0
    assert not any("169.254" in str(request.url) for request in company.asked)
    del company.replies[path]
    flow.clock.advance(30)
    assert "code" in query_of((await signed_in(flow, company)).headers["location"])


async def test_the_operator_can_ask_whether_the_provider_is_ready(flow: Flow, company: Company) -> None:
    company.replies["/keys"] = lambda _: httpx.Response(200, json={"keys": []})
    assert await flow.auth.provider_ready() is False
    flow.clock.advance(30)
    del company.replies["/keys"]
    assert await flow.auth.provider_ready() is True
    company.replies["/.well-known/openid-configuration"] = lambda _: httpx.Response(500)
    flow.clock.advance(3_600)
    assert await flow.auth.provider_ready() is False


async def test_a_provider_that_is_down_is_not_asked_by_everybody(flow: Flow, company: Company) -> None:
    company.replies["/.well-known/openid-configuration"] = lambda _: httpx.Response(500)
    await asyncio.gather(*(flow.browser.post("/sign-in") for _ in range(20)))
    assert company.count("/.well-known/openid-configuration") == 1


@pytest.mark.requirement("GW-35")
async def test_a_new_key_is_fetched_once_and_made_up_key_ids_are_not(flow: Flow, company: Company) -> None:
    await signed_in(flow, company)
    assert company.count("/keys") == 1
    flow.clock.advance(31)
    company.rotate()
    assert "code" in query_of((await signed_in(flow, company)).headers["location"])
    assert company.count("/keys") == 2
    company.sign = _alien
    for _ in range(20):
        assert "error" in query_of((await signed_in(flow, company)).headers["location"])
    assert company.count("/keys") == 2, "within the cool-down nobody asks again"
    flow.clock.advance(31)
    backs = [company.comes_back((await departure(flow))[1]) for _ in range(20)]
    await asyncio.gather(*(flow.browser.get(back) for back in backs))
    assert company.count("/keys") == 3


@pytest.mark.requirement("GW-35")
async def test_a_key_that_the_provider_withdrew_is_not_believed_for_long(flow: Flow, company: Company) -> None:
    await signed_in(flow, company)
    company.published.clear()
    flow.clock.advance(600)
    assert "error" in query_of((await signed_in(flow, company)).headers["location"])


async def test_the_keys_of_a_provider_that_is_down_count_until_they_are_old(flow: Flow, company: Company) -> None:
    await signed_in(flow, company)
    company.replies["/keys"] = lambda _: httpx.Response(500)
    flow.clock.advance(599)
    assert "code" in query_of((await signed_in(flow, company)).headers["location"])
    flow.clock.advance(1)
    told = query_of((await signed_in(flow, company)).headers["location"])
    assert told["error"] == "temporarily_unavailable"


async def test_who_is_signed_in_already_is_asked_by_name_and_not_sent_again(flow: Flow, company: Company) -> None:
    await signed_in(flow, company)
    count = company.count("/token")
    page = await flow.authorize((await flow.register())["client_id"])
    assert "Grace Hopper (grace@example.com)" in page.text
    assert (await flow.decide(page)).headers["location"].startswith(f"{CALLBACK}?code=")
    assert company.count("/token") == count


async def test_of_two_windows_both_get_their_answer(flow: Flow, company: Company) -> None:
    one, two = [await flow.authorize((await flow.register())["client_id"], state=s) for s in ("one", "two")]
    three = await flow.authorize((await flow.register())["client_id"], state="three")
    left = [(await flow.decide(page)).headers["location"] for page in (one, two)]
    for location, state in zip(left, ("one", "two"), strict=True):
        back = await flow.browser.get(company.comes_back(location))
        assert query_of(back.headers["location"])["state"] == state
    # Asked as a browser, answered as the person who has signed in meanwhile in another window of it.
    assert (await flow.decide(three)).headers["location"].startswith(f"{CALLBACK}?code=")


@pytest.mark.requirement("GW-13")
async def test_a_client_that_has_gone_meanwhile_is_told_nothing(
    flow: Flow, company: Company, engine: AsyncEngine
) -> None:
    _, location = await departure(flow)
    async with engine.begin() as connection:
        await connection.execute(store.clients.delete())
    answer = await flow.browser.get(company.comes_back(location))
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert company.count("/token") == 0


async def test_one_address_cannot_fill_the_store_with_questions_and_does_not_slow_the_others(flow: Flow) -> None:
    client_id = (await flow.register())["client_id"]
    for _ in range(BURST):
        flow.browser.cookies.clear()
        answer = await flow.browser.post("/sign-in")
    assert answer.status_code == 303
    assert (await flow.browser.post("/sign-in")).status_code == 429
    assert (await flow.authorize(client_id)).status_code == 429
    async with flow.client("192.0.2.7") as elsewhere:
        assert (await elsewhere.get("/authorize", params=flow.request(client_id))).status_code == 200
    flow.clock.advance(1)
    assert (await flow.authorize(client_id)).status_code == 200


async def test_a_sign_in_that_was_sealed_with_another_secret_is_unknown(
    flow: Flow, company: Company, engine: AsyncEngine
) -> None:
    _, location = await departure(flow)
    async with engine.begin() as connection:
        await connection.execute(store.logins.update().values(sealed=b"x" * 40))
    assert (await flow.browser.get(company.comes_back(location))).status_code == 400


@pytest.mark.parametrize("answer", [{}, {"id_token": 7}, {"id_token": "a.b.c", "access_token": 7}])
async def test_an_answer_without_an_id_token_signs_nobody_in(flow: Flow, company: Company, answer: Any) -> None:
    company.replies["/token"] = lambda _: httpx.Response(200, json=answer)
    assert query_of((await signed_in(flow, company)).headers["location"])["error"] == "server_error"


async def test_keys_that_cannot_verify_are_left_out_and_an_ambiguous_id_refuses_all(
    flow: Flow, company: Company
) -> None:
    good = company.published[0]
    useless: list[Any] = [
        "no key",
        {"kty": "oct", "k": "c2VjcmV0", "kid": good["kid"]},
        {**good, "kid": "for encryption", "use": "enc"},
        {name: value for name, value in good.items() if name != "kid"},
    ]
    company.published[:0] = useless
    assert "code" in query_of((await signed_in(flow, company)).headers["location"])
    company.published.append(good)
    flow.clock.advance(600)
    assert "error" in query_of((await signed_in(flow, company)).headers["location"])
    company.published[:] = [good] * 65
    flow.clock.advance(30)
    assert "error" in query_of((await signed_in(flow, company)).headers["location"])


async def test_a_provider_without_a_secret_for_us_is_asked_as_a_public_client(
    settings: AuthSettings, engine: AsyncEngine, clock: Clock, company: Company
) -> None:
    assert settings.oidc is not None
    public = dataclasses.replace(settings, oidc=dataclasses.replace(settings.oidc, client_secret=""))
    auth = Auth(public, engine, clock=clock, transport=company.transport)
    await auth.start()
    flow = Flow(auth, clock, application(auth))
    async with flow.agent, flow.browser:
        assert "code" in query_of((await signed_in(flow, company)).headers["location"])
    (request,) = [r for r in company.asked if r.url.path == "/token"]
    assert "authorization" not in request.headers
    assert f"client_id={quote_plus(CLIENT_ID)}".encode() in request.content


@pytest.mark.requirement("JW-13")
async def test_a_sender_of_rs256_id_tokens_is_believed_too_and_its_key_is_no_hmac_secret(
    flow: Flow, company: Company
) -> None:
    private = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    key = jwk.construct(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), "RS256")
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    company.published[:] = [{**key.public_key().to_dict(), "kid": "rsa"}]
    company.sign = lambda claims: jose.sign(claims, {**key.to_dict(), "kid": "rsa"}, typ="JWT")
    assert "code" in query_of((await signed_in(flow, company)).headers["location"])

    def confused(claims: Any) -> str:
        parts = [{"alg": "HS256", "typ": "JWT", "kid": "rsa"}, dict(claims)]
        signed = ".".join(base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=").decode() for p in parts)
        mac = hmac.new(pem, signed.encode(), "sha256").digest()
        return f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"

    company.sign = confused
    assert query_of((await signed_in(flow, company)).headers["location"])["error"] == "server_error"


async def test_an_access_token_of_ours_or_theirs_is_no_id_token(flow: Flow, company: Company) -> None:
    company.sign = lambda claims: jose.sign(claims, company.key, typ="at+jwt")
    assert query_of((await signed_in(flow, company)).headers["location"])["error"] == "server_error"


async def test_a_person_may_sign_in_without_an_agent_and_only_by_pressing_the_button(
    flow: Flow, company: Company
) -> None:
    page = await flow.browser.get("/sign-in")
    assert "login.example" in page.text
    assert company.asked == []
    assert "form-action 'self' https:;" in page.headers["content-security-policy"]
    assert (await flow.browser.post("/sign-in", headers={"Origin": "https://evil.example"})).status_code == 403
    left = await flow.browser.post("/sign-in")
    back = await flow.browser.get(company.comes_back(left.headers["location"]))
    assert back.headers["location"] == f"{ISSUER}/"
    assert any("portal_session" in cookie for cookie in back.headers.get_list("set-cookie"))


async def test_what_goes_wrong_without_an_agent_is_a_page(flow: Flow, company: Company) -> None:
    left = await flow.browser.post("/sign-in")
    answer = await flow.browser.get(company.comes_back(left.headers["location"], code=None, error="login_required"))
    assert answer.status_code == 403
    assert "did not let you in" in answer.text


@pytest.mark.requirement("AS-132")
async def test_a_sign_in_ends_the_session_that_was_there(flow: Flow, company: Company, engine: AsyncEngine) -> None:
    for _ in range(2):
        left = await flow.browser.post("/sign-in")
        await flow.browser.get(company.comes_back(left.headers["location"]))
    assert await rows(engine, store.sessions) == 1


async def test_signing_out_shows_the_way_to_sign_out_at_the_provider(
    flow: Flow, company: Company, engine: AsyncEngine
) -> None:
    await signed_in(flow, company)
    page = await flow.browser.post("/sign-out")
    assert f"{LOGIN}/leave?client_id=" in page.text
    assert quote_plus(f"{ISSUER}/") in page.text
    assert "id_token_hint" not in page.text
    assert await rows(engine, store.sessions) == 0


async def test_signing_out_does_not_wait_for_a_provider_that_is_down(flow: Flow, company: Company) -> None:
    company.replies["/.well-known/openid-configuration"] = lambda _: httpx.Response(500)
    assert (await flow.browser.post("/sign-out")).status_code == 200
    flow.clock.advance(5)
    del company.replies["/.well-known/openid-configuration"]
    company.document["end_session_endpoint"] = "javascript:alert(1)"
    assert "javascript" not in (await flow.browser.post("/sign-out")).text


@pytest.mark.requirement("AS-109")
async def test_an_agent_is_sent_to_sign_in_again_when_the_sign_in_is_old(
    flow: Flow, company: Company, oidc: OidcSettings
) -> None:
    client_id, location = await departure(flow)
    back = await flow.browser.get(company.comes_back(location))
    tokens = (await flow.redeem(client_id, query_of(back.headers["location"])["code"])).json()
    flow.clock.advance(oidc.sign_in_again_s)
    tokens = (await flow.refresh(client_id, tokens["refresh_token"])).json()
    flow.clock.advance(1)
    late = await flow.refresh(client_id, tokens["refresh_token"])
    assert (late.status_code, late.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("claims", "email", "name"),
    [
        ({"email_verified": False}, "", "Grace Hopper"),
        ({"name": None, "preferred_username": "grace"}, "grace@example.com", "grace"),
        ({"name": None}, "grace@example.com", "grace@example.com"),
        ({"name": None, "email": None}, "", "4711"),
        ({"name": "\u202eecarG\n"}, "grace@example.com", "ecarG"),
        ({"name": ["x"], "email": 7}, "", "4711"),
    ],
)
async def test_a_person_is_shown_as_the_provider_vouches(
    flow: Flow, company: Company, claims: Any, email: Any, name: Any
) -> None:
    company.claims = claims
    await signed_in(flow, company)
    page = await flow.authorize((await flow.register())["client_id"])
    assert f"<dd>{name}{f' ({email})' if email else ''}</dd>" in page.text


@pytest.mark.parametrize(
    ("required", "claims", "admitted"),
    [
        ({"hd": "example.com"}, {"hd": "example.com"}, True),
        ({"hd": "example.com"}, {"hd": "evil.example"}, False),
        ({"hd": "example.com"}, {}, False),
        ({"groups": "staff"}, {}, True),
        ({"groups": "admins"}, {}, False),
        ({"groups": "staff"}, {"groups": "staffing"}, False),
    ],
)
async def test_only_people_with_the_required_claims_are_admitted(
    settings: AuthSettings,
    engine: AsyncEngine,
    clock: Clock,
    company: Company,
    required: Any,
    claims: Any,
    admitted: Any,
) -> None:
    assert settings.oidc is not None
    narrow = dataclasses.replace(settings, oidc=dataclasses.replace(settings.oidc, required_claims=required))
    auth = Auth(narrow, engine, clock=clock, transport=company.transport)
    await auth.start()
    company.claims = claims
    flow = Flow(auth, clock, application(auth))
    async with flow.agent, flow.browser:
        told = query_of((await signed_in(flow, company)).headers["location"])
    assert ("code" in told) is admitted


async def test_too_many_groups_are_refused_rather_than_cut(flow: Flow, company: Company) -> None:
    company.claims = {"groups": [f"group-{number}" for number in range(600)]}
    told = query_of((await signed_in(flow, company)).headers["location"])
    assert told["error"] == "access_denied"
    assert "too many groups" in told["error_description"]


@pytest.mark.requirement("GW-10")
async def test_on_https_every_cookie_is_bound_to_the_host(
    oidc: OidcSettings, engine: AsyncEngine, clock: Clock, company: Company
) -> None:
    issuer = "https://portal.example"
    settings = AuthSettings(issuer=issuer, resource=f"{issuer}/mcp", secret=b"s" * 32, oidc=oidc)
    auth = Auth(settings, engine, clock=clock, transport=company.transport)
    await auth.start()
    flow = Flow(auth, clock, application(auth), issuer)
    async with flow.agent, flow.browser:
        client = await flow.register()
        page = await flow.authorize(client["client_id"])
        left = await flow.decide(page)
        back = await flow.browser.get(company.comes_back(left.headers["location"]))
        set_ = [cookie for one in (page, left, back) for cookie in one.headers.get_list("set-cookie")]
    assert len(set_) == 4
    for cookie in set_:
        assert cookie.startswith("__Host-portal_")
        for attribute in ("Secure", "HttpOnly", "Path=/", "SameSite=lax"):
            assert attribute in cookie
        assert "Domain" not in cookie


@pytest.mark.requirement("AS-106")
async def test_what_is_stored_for_a_sign_in_opens_with_the_secret_alone(flow: Flow, engine: AsyncEngine) -> None:
    _, location = await departure(flow)
    asked = query_of(location)
    async with engine.connect() as connection:
        (row,) = (await connection.execute(select(store.logins))).all()
    for secret in (asked["state"], asked["nonce"], "a state"):
        assert secret not in str(row)
        assert secret.encode() not in row.sealed


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"issuer": "http://login.example"}, "issuer"),
        ({"issuer": "https://login.example/?x"}, "issuer"),
        ({"issuer": "https://login.example/#x"}, "issuer"),
        ({"issuer": "login.example"}, "issuer"),
        ({"client_id": ""}, "client_id"),
        ({"scopes": ("profile",)}, "scopes"),
        ({"scopes": ("openid", "a b")}, "scopes"),
        ({"groups_claim": ""}, "groups_claim"),
        ({"sign_in_again_s": 60}, "sign_in_again_s"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_by_name(oidc: OidcSettings, change: Any, names: Any) -> None:
    with pytest.raises(ConfigurationError, match=names) as error:
        dataclasses.replace(oidc, **change)
    assert CLIENT_SECRET not in str(error.value) + repr(oidc)


def test_beside_a_provider_there_is_no_local_sign_in(settings: AuthSettings) -> None:
    with pytest.raises(ConfigurationError, match="local_sign_in, oidc"):
        dataclasses.replace(settings, local_sign_in=True)


def test_a_provider_on_this_machine_may_be_http_and_is_a_form_target() -> None:
    found = OidcSettings(issuer="http://127.0.0.1:9000", client_id="x")
    assert found.form_target == "https: http://127.0.0.1:9000"
