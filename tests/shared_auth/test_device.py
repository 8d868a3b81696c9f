"""Machines without a browser: RFC 8628, section by section, and what an attacker would try."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared_auth import store
from shared_auth.authorization import device, tries, user_codes
from shared_auth.authorization.client import Client
from shared_auth.authorization.devices import COLLECT_S, DEVICE_S, INTERVAL_S, REMEMBER_S, Devices
from shared_auth.authorization.grants import Grants
from shared_auth.reasons import Denied
from shared_auth.service import Auth
from shared_auth.settings import AuthSettings
from tests.shared_auth.flow import BOTH, ISSUER, RESOURCE, Clock, Flow, application, hidden, refused
from tests.shared_auth.headless import BUILD, EDITOR, KIOSK, SECRET, TERMINAL

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture
async def auth(settings: AuthSettings, engine: AsyncEngine, clock: Clock) -> Auth:
    found = Auth(settings, engine, clients=[TERMINAL, KIOSK, EDITOR, BUILD], clock=clock)
    await found.start()
    return found


async def start(flow: Flow, client_id: str = "terminal", **form: Any) -> dict[str, Any]:
    answer = await flow.agent.post("/device_authorization", data={"client_id": client_id} | form)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def poll(flow: Flow, started: Any, client_id: str = "terminal", **form: Any) -> httpx.Response:
    return await flow.token(
        **({"grant_type": GRANT_TYPE, "client_id": client_id, "device_code": started["device_code"]} | form)
    )


async def type_in(flow: Flow, code: str, browser: httpx.AsyncClient | None = None) -> httpx.Response:
    return await (browser or flow.browser).post("/device", data={"user_code": code})


async def decide(flow: Flow, page: httpx.Response, decision: str = "allow", **headers: str) -> httpx.Response:
    form = {"consent": hidden(page, "consent"), "decision": decision}
    return await flow.browser.post("/device", data=form, headers=headers)


@pytest.mark.requirement("AS-126")
@BOTH
async def test_a_machine_is_let_in_by_a_person_at_another_browser(flow: Flow) -> None:
    started = await start(flow, scope="mcp", resource=RESOURCE)
    assert sorted(started) == ["device_code", "expires_in", "interval", "user_code", "verification_uri"]
    assert (started["expires_in"], started["interval"]) == (DEVICE_S, INTERVAL_S)
    assert started["verification_uri"] == f"{ISSUER}/device"
    assert refused(await poll(flow, started), 400, "authorization_pending")
    await flow.sign_in()
    assert "user_code" in (await flow.browser.get("/device")).text
    page = await type_in(flow, started["user_code"])
    assert "Terminal agent" in page.text
    assert "Did somebody send you this code?" in page.text
    assert "Ada Lovelace" in page.text
    flow.clock.advance(INTERVAL_S)
    assert refused(await poll(flow, started), 400, "authorization_pending")
    assert "connected" in (await decide(flow, page)).text
    tokens = (await poll(flow, started)).json()
    assert sorted(tokens) == ["access_token", "expires_in", "refresh_token", "scope", "token_type"]
    principal = (await flow.call(tokens["access_token"])).json()["principal"]
    assert (principal["subject"], principal["client_id"]) == ("ada", "terminal")
    assert principal["client_name"] == "Terminal agent"
    assert (await flow.refresh("terminal", tokens["refresh_token"])).status_code == 200


async def test_a_confidential_machine_proves_itself_and_gets_no_more_than_it_declared(flow: Flow) -> None:
    answer = await flow.agent.post("/device_authorization", data={"client_id": "kiosk"})
    assert refused(answer, 401, "invalid_client")
    started = await start(flow, "kiosk", client_secret=SECRET)
    await flow.sign_in()
    await decide(flow, await type_in(flow, started["user_code"]))
    assert refused(await poll(flow, started, "kiosk"), 401, "invalid_client")
    assert "refresh_token" not in (await poll(flow, started, "kiosk", client_secret=SECRET)).json()


async def test_nothing_is_granted_before_the_yes_nor_after_a_no(flow: Flow, engine: AsyncEngine) -> None:
    started = await start(flow)
    await flow.sign_in()
    page = await type_in(flow, started["user_code"])
    assert refused(await poll(flow, started), 400, "authorization_pending")
    assert "Nothing was granted" in (await decide(flow, page, "deny")).text
    assert refused(await poll(flow, started), 400, "access_denied")
    async with engine.connect() as connection:
        assert (await connection.scalar(select(func.count()).select_from(store.grants))) == 0
    assert (await decide(flow, page)).status_code == 400


@pytest.mark.requirement("AS-127")
@BOTH
async def test_of_many_polls_at_once_at_most_one_wins_and_a_second_use_revokes(flow: Flow) -> None:
    started = await start(flow)
    await flow.sign_in()
    await decide(flow, await type_in(flow, started["user_code"]))
    answers = await asyncio.gather(*(poll(flow, started) for _ in range(6)))
    won = [answer.json() for answer in answers if answer.status_code == 200]
    assert len(won) <= 1
    assert all(answer.json()["error"] == "invalid_grant" for answer in answers if answer.status_code != 200)
    for tokens in won:
        assert (await flow.call(tokens["access_token"])).status_code == 401


@pytest.mark.requirement("AS-124")
async def test_a_machine_that_asks_too_often_is_slowed_down_for_good(flow: Flow) -> None:
    started = await start(flow)
    assert refused(await poll(flow, started), 400, "authorization_pending")
    flow.clock.advance(INTERVAL_S - 1)
    assert refused(await poll(flow, started), 400, "slow_down")
    flow.clock.advance(INTERVAL_S)
    assert refused(await poll(flow, started), 400, "slow_down")
    flow.clock.advance(3 * INTERVAL_S)
    assert refused(await poll(flow, started), 400, "authorization_pending")
    flow.clock.advance(3 * INTERVAL_S)
    assert refused(await poll(flow, started), 400, "authorization_pending")


@pytest.mark.requirement("AS-127")
async def test_codes_expire_for_the_machine_and_for_the_person(flow: Flow) -> None:
    started = await start(flow)
    await flow.sign_in()
    page = await type_in(flow, started["user_code"])
    flow.clock.advance(DEVICE_S)
    assert refused(await poll(flow, started), 400, "expired_token")
    assert (await decide(flow, page)).status_code == 400
    assert (await type_in(flow, started["user_code"])).status_code == 400
    flow.clock.advance(REMEMBER_S + 1)
    await flow.auth.prune()
    assert refused(await poll(flow, started), 400, "invalid_grant")


async def test_a_yes_in_the_last_moment_leaves_time_to_collect_and_no_more(flow: Flow) -> None:
    await flow.sign_in()
    for late, status in ((COLLECT_S - 1, 200), (COLLECT_S, 400)):
        started = await start(flow)
        flow.clock.advance(DEVICE_S - 1)
        await decide(flow, await type_in(flow, started["user_code"]))
        flow.clock.advance(late)
        assert (await poll(flow, started)).status_code == status


async def test_a_person_who_is_revoked_between_the_yes_and_the_poll_gives_nothing(flow: Flow) -> None:
    started = await start(flow)
    await flow.sign_in()
    await decide(flow, await type_in(flow, started["user_code"]))
    assert await flow.auth.revoke_grants(subject="ada") == 1
    assert refused(await poll(flow, started), 400, "expired_token")


@pytest.mark.requirement("AS-127")
async def test_a_device_code_is_of_its_own_client_only(flow: Flow) -> None:
    started = await start(flow)
    await flow.sign_in()
    await decide(flow, await type_in(flow, started["user_code"]))
    assert refused(await poll(flow, started, "kiosk", client_secret=SECRET), 400, "invalid_grant")
    assert refused(await poll(flow, {"device_code": "guess"}), 400, "invalid_grant")
    assert refused(await poll(flow, {"device_code": started["user_code"]}), 400, "invalid_grant")
    assert refused(await poll(flow, {"device_code": None}), 400, "invalid_request")
    assert (await poll(flow, started)).status_code == 200


@pytest.mark.requirement("AS-126")
async def test_strangers_and_other_clients_cannot_start(flow: Flow) -> None:
    client = await flow.register()
    for client_id in (client["client_id"], "editor"):
        answer = await flow.agent.post("/device_authorization", data={"client_id": client_id})
        assert refused(answer, 400, "unauthorized_client")
        assert refused(await poll(flow, {"device_code": "x"}, client_id), 400, "unauthorized_client")
    assert refused(await flow.agent.post("/device_authorization", data={"client_id": "x"}), 401, "invalid_client")
    assert refused(await flow.agent.post("/device_authorization", data={"scope": "mcp"}), 401, "invalid_client")


@pytest.mark.requirement("AS-80")
@pytest.mark.parametrize(
    ("form", "error"),
    [({"resource": "https://evil.example/mcp"}, "invalid_target"), ({"scope": "admin"}, "invalid_scope")],
)
async def test_scope_and_resource_are_judged_at_the_start(flow: Flow, form: Any, error: Any) -> None:
    answer = await flow.agent.post("/device_authorization", data={"client_id": "terminal"} | form)
    assert refused(answer, 400, error)


async def test_one_address_cannot_start_without_end(flow: Flow) -> None:
    for _ in range(device.STARTS):
        await start(flow)
    answer = await flow.agent.post("/device_authorization", data={"client_id": "terminal"})
    assert refused(answer, 429, "temporarily_unavailable")
    assert answer.headers["retry-after"] == "60"


@pytest.mark.requirement("AS-125")
async def test_codes_cannot_be_guessed_in_number_however_many_browsers_one_person_has(flow: Flow) -> None:
    started = await start(flow)
    await flow.sign_in()
    for _ in range(tries.BURST):
        assert (await type_in(flow, "BCDF-GHJK")).status_code == 400
    async with flow.client() as second:
        await flow.sign_in(second)
        assert (await type_in(flow, started["user_code"], second)).status_code == 429
    assert (await type_in(flow, started["user_code"])).status_code == 429
    flow.clock.advance(60)
    assert (await type_in(flow, started["user_code"])).status_code == 200


@BOTH
async def test_more_replicas_are_not_more_guesses(
    flow: Flow, settings: AuthSettings, engine: AsyncEngine, clock: Clock
) -> None:
    started = await start(flow)
    other = Auth(settings, engine, clients=[TERMINAL], clock=clock)
    await other.start()
    there = Flow(other, clock, application(other))
    await flow.sign_in()
    await flow.sign_in(there.browser)
    answers = await asyncio.gather(
        *(type_in(where, "BCDF-GHJK", where.browser) for where in (flow, there) for _ in range(tries.BURST))
    )
    assert sorted(answer.status_code for answer in answers) == [400] * tries.BURST + [429] * tries.BURST
    clock.advance(2 * tries.EVERY_S)
    await other.prune()
    assert (await type_in(there, "BCDF-GHJK", there.browser)).status_code == 400
    assert (await type_in(flow, started["user_code"])).status_code == 200
    assert (await type_in(flow, started["user_code"])).status_code == 429


@pytest.mark.parametrize("typed", ["", "BCDF", "AEIO-UAEI", "BCDF-GHJK-L", "<script>", "b" * 5_000])
async def test_what_is_no_code_is_refused_without_being_shown(flow: Flow, typed: Any) -> None:
    await flow.sign_in()
    answer = await type_in(flow, typed)
    assert answer.status_code == 400
    assert not typed or typed not in answer.text


async def test_the_page_needs_a_signed_in_person(flow: Flow) -> None:
    started = await start(flow)
    page = await flow.browser.get("/device")
    assert "Nobody is signed in" in page.text
    assert "user_code" not in page.text
    assert (await type_in(flow, started["user_code"])).status_code == 403


@pytest.mark.requirement("AS-131")
async def test_another_site_can_neither_type_nor_decide(flow: Flow) -> None:
    started = await start(flow)
    await flow.sign_in()
    page = await type_in(flow, started["user_code"])
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert (await decide(flow, page, **headers)).status_code == 403
        answer = await flow.browser.post("/device", data={"user_code": started["user_code"]}, headers=headers)
        assert answer.status_code == 403
    assert (await flow.browser.get("/device", params={"user_code": started["user_code"]})).text.count("BCDF") == 1
    assert "connected" in (await decide(flow, page)).text


async def test_a_question_is_answered_by_its_own_browser_once(flow: Flow) -> None:
    started = await start(flow)
    await flow.sign_in()
    page = await type_in(flow, started["user_code"])
    form = {"consent": hidden(page, "consent"), "decision": "allow"}
    async with flow.client() as attacker:
        await flow.sign_in(attacker)
        assert (await attacker.post("/device", data=form)).status_code == 400
    assert (await flow.browser.post("/device", data=form | {"decision": "perhaps"})).status_code == 400
    assert (await flow.browser.post("/device", data=form | {"consent": "guess"})).status_code == 400
    assert (await flow.browser.post("/device", data=form)).status_code == 200
    assert (await flow.browser.post("/device", data=form)).status_code == 400


@pytest.mark.requirement("AS-130")
async def test_the_pages_cannot_be_framed_or_stored(flow: Flow) -> None:
    started = await start(flow)
    await flow.sign_in()
    page = await type_in(flow, started["user_code"])
    for answer in (await flow.browser.get("/device"), page, await decide(flow, page)):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "form-action 'self';" in answer.headers["content-security-policy"]


@pytest.mark.requirement("AS-106")
async def test_codes_are_stored_so_that_a_reader_of_the_database_cannot_use_them(
    flow: Flow, engine: AsyncEngine
) -> None:
    started = await start(flow)
    code = user_codes.typed(started["user_code"])
    assert code is not None
    async with engine.connect() as connection:
        rows = str((await connection.execute(select(store.devices))).all())
    for secret in (started["device_code"], started["user_code"], code, user_codes.digest(code, b"other secret")):
        assert secret not in rows


async def test_a_client_that_is_no_longer_declared_is_not_asked_about(
    flow: Flow, settings: AuthSettings, engine: AsyncEngine
) -> None:
    started = await start(flow)
    later = Auth(settings, engine, clients=[KIOSK], clock=flow.clock)
    await later.start()
    after = Flow(later, flow.clock, application(later))
    async with after.agent, after.browser:
        await after.sign_in()
        assert (await type_in(after, started["user_code"])).status_code == 400


@pytest.mark.requirement("AS-03")
async def test_the_metadata_names_the_endpoint_only_with_a_client_for_it(
    flow: Flow, settings: AuthSettings, engine: AsyncEngine
) -> None:
    document = (await flow.agent.get("/.well-known/oauth-authorization-server")).json()
    assert document["device_authorization_endpoint"] == f"{ISSUER}/device_authorization"
    assert GRANT_TYPE in document["grant_types_supported"]
    plain = Auth(settings, engine, clock=flow.clock)
    await plain.start()
    without_devices = Flow(plain, flow.clock, application(plain))
    async with without_devices.agent, without_devices.browser:
        document = (await without_devices.agent.get("/.well-known/oauth-authorization-server")).json()
        assert "device_authorization_endpoint" not in document
        assert (await without_devices.agent.post("/device_authorization")).status_code == 404
        assert (await without_devices.browser.get("/device")).status_code == 404
        answer = await without_devices.token(grant_type=GRANT_TYPE, client_id=(await flow.register())["client_id"])
        assert refused(answer, 400, "unsupported_grant_type")


@given(st.text(alphabet=user_codes.LETTERS, min_size=8, max_size=8), st.sampled_from(["-", " ", "", ".", " - "]))
def test_a_code_is_read_however_it_is_typed(code: str, between: str) -> None:
    assert user_codes.typed(f" {code[:4]}{between}{code[4:]} ".lower()) == code


@given(st.text(max_size=30))
def test_whatever_is_typed_becomes_a_code_of_known_letters_or_nothing(text: str) -> None:
    code = user_codes.typed(text)
    assert code is None or (len(code) == 8 and set(code) <= set(user_codes.LETTERS))


async def test_a_user_code_that_somebody_is_typing_in_is_not_given_out_twice(engine: AsyncEngine, clock: Clock) -> None:
    client = Client("terminal", "Terminal agent", (), "none", may_refresh=True, declared=TERMINAL)
    drawn = iter(["BCDF-GHJK", "BCDF-GHJK", "LMNP-QRST", *["BCDF-GHJK"] * 5])
    grants = Grants(engine, clock=clock)
    devices = Devices(engine, grants, secret=b"s" * 32, clock=clock, draw=lambda: next(drawn))
    assert (await devices.issue(client, "mcp")).user_code == "BCDF-GHJK"
    assert (await devices.issue(client, "mcp")).user_code == "LMNP-QRST"
    with pytest.raises(Denied, match="devices_full"):
        await devices.issue(client, "mcp")


async def test_a_person_who_is_no_longer_known_is_asked_nothing(flow: Flow, engine: AsyncEngine) -> None:
    started = await start(flow)
    await flow.sign_in()
    async with engine.begin() as connection:
        await connection.execute(delete(store.people))
    assert (await type_in(flow, started["user_code"])).status_code == 403
