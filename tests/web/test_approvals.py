"""The page on which a person decides: what it shows, to whom, and that an answer counts once and only from there."""

from __future__ import annotations

import asyncio
import html
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from starlette.requests import Request
from starlette.responses import Response

from portal.app import Portal, open_portal
from portal.sections import AuthSection, PolicySection, SandboxSection, Upstream
from portal.sections import Person as LocalPerson
from portal.settings import PortalSettings
from portal.web.approvals import MAX_CALL_CHARS
from portal.web.visible import visible
from shared_auth.people import Person as Somebody
from shared_auth.principal import Principal
from tests.web.test_home import HOSTILE, is_confined, sign_in

pytestmark = pytest.mark.asyncio(loop_scope="module")

REASON = "Notes are read by everybody."
POLICY = f'@id("notes-after-a-yes") @ask("{REASON}") permit (principal, action == Action::"write", resource);'
ADD = "import notes\nn = await notes.add_note(title={title!r}, text='.')\nn['title']"


@dataclass
class Opened:
    portal: Portal
    browser: httpx.AsyncClient
    principal: Principal

    async def pause(self, code: str) -> str:
        """Run ``code`` as an agent of the signed-in person until it is paused; return the path of its page."""
        reply = await self.portal.programs.execute(self.principal, code)
        found = re.search(r'resume="([0-9a-f]+)"', reply.text)
        assert found is not None, reply.text
        return f"/programs/{found[1]}"

    async def resume(self, path: str) -> str:
        return (await self.portal.programs.resume(self.principal, path.removeprefix("/programs/"))).text

    async def form(self, path: str) -> str:
        page = (await self.browser.get(path)).text
        found = re.search(r'name="form_token" value="([^"]+)"', page)
        assert found is not None, page
        return html.unescape(found[1])

    async def send(self, path: str, *, origin: str = "", **fields: str) -> httpx.Response:
        headers = {"Origin": origin or self.portal.settings.issuer}
        return await self.browser.post(path, data=fields, headers=headers)

    async def decide(self, path: str, decision: str, **fields: str) -> httpx.Response:
        return await self.send(path, form_token=await self.form(path), decision=decision, **fields)

    async def titles(self) -> list[str]:
        reply = await self.portal.programs.execute(
            self.principal, "import notes\n[n['title'] for n in (await notes.list_notes())['items']]"
        )
        return re.findall(r'"([^"]+)"', reply.text.split("\n")[1])


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Opened]:
    policy = folder / "asking.cedar"
    policy.write_text(POLICY, encoding="utf-8")
    settings = PortalSettings(
        data_dir=folder,
        sandbox=SandboxSection(jail="degrade", min_workers=1, engine="monty"),
        auth=AuthSection(local_person=LocalPerson(groups=["portal-writers"])),
        policy=PolicySection(files=[policy]),
        upstreams={"notes": Upstream(module="servers._template")},
    )
    async with open_portal(settings) as portal:
        transport = httpx.ASGITransport(app=portal.app)
        async with httpx.AsyncClient(transport=transport, base_url=settings.issuer, follow_redirects=True) as browser:
            yield Opened(portal, browser, await portal.auth.local_principal())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Opened]:
    """One portal for all: opening it takes longer than any test. In a task of its own, which opens and closes it."""
    ready, done = asyncio.get_running_loop().create_future(), asyncio.Event()

    async def hold() -> None:
        async with opened(tmp_path_factory.mktemp("portal")) as found:
            await sign_in(found.portal, found.browser)
            found.portal.programs._resume_wait_s = 0.0
            ready.set_result(found)
            await done.wait()

    holding = asyncio.create_task(hold())
    await asyncio.wait([holding, ready], return_when=asyncio.FIRST_COMPLETED)
    if holding.done():
        await holding
    yield await ready
    done.set()
    await holding


@pytest.mark.requirement("RS-76")
async def test_nobody_who_is_not_signed_in_sees_or_decides_anything(at: Opened) -> None:
    path = await at.pause(ADD.format(title="kept"))
    transport = httpx.ASGITransport(app=at.portal.app)
    async with httpx.AsyncClient(transport=transport, base_url=at.portal.settings.issuer) as stranger:
        for answer in (await stranger.get("/programs"), await stranger.get(path)):
            assert answer.status_code == 401
            assert "portal_page" in answer.headers["set-cookie"]
            assert "kept" not in answer.text
            assert is_confined(answer)
        answer = await stranger.post(path, data={"form_token": await at.form(path), "decision": "allow"})
        assert answer.status_code == 403
    assert (await at.resume(path)).startswith("paused")


async def test_it_shows_the_call_the_reason_and_the_program(at: Opened) -> None:
    path = await at.pause(ADD.format(title="A new note"))
    answer = await at.browser.get(path)
    assert is_confined(answer)
    page = html.unescape(answer.text)
    for shown in ("notes.add_note", "(write)", '"A new note"', REASON, "await notes.add_note", "portal command line"):
        assert shown in page
    listing = await at.browser.get("/programs")
    assert f'href="{path}"' in listing.text
    assert is_confined(listing)
    assert re.search(r"\d+ programs? of yours waits? for you", (await at.browser.get("/")).text)


async def test_a_yes_lets_the_call_be_made_once(at: Opened) -> None:
    path = await at.pause(ADD.format(title="yes"))
    answer = await at.decide(path, "allow")
    assert answer.status_code == 200
    assert "You have allowed it" in answer.text
    assert "<button name" not in answer.text
    assert '"yes"' in await at.resume(path)
    assert (await at.titles()).count("yes") == 1
    assert "It ended: ok." in (await at.browser.get(path)).text
    assert path not in (await at.browser.get("/programs")).text


async def test_a_no_reaches_the_program(at: Opened) -> None:
    path = await at.pause(ADD.format(title="no"))
    assert "You have refused it" in (await at.decide(path, "refuse")).text
    assert "PermissionError: notes.add_note: refused by the person" in await at.resume(path)
    assert "no" not in await at.titles()


async def test_of_several_calls_only_what_is_ticked_is_allowed(at: Opened) -> None:
    code = """\
import asyncio, notes
async def add(title):
    try:
        return (await notes.add_note(title=title, text='.'))['title']
    except PermissionError:
        return 'refused'
await asyncio.gather(*[add(f'note {i}') for i in range(4)])"""
    path = await at.pause(code)
    page = (await at.browser.get(path)).text
    boxes = re.findall(r'type="checkbox" id="(call-\d+)"', page)
    assert len(boxes) == 4
    assert " checked>" not in page
    await at.decide(path, "allow", **{boxes[1]: "on", boxes[3]: "on", "call-99": "on"})
    assert '["refused", "note 1", "refused", "note 3"]' in await at.resume(path)


async def test_allowing_with_nothing_ticked_allows_nothing(at: Opened) -> None:
    code = "import asyncio, notes\nawait asyncio.gather(*[notes.add_note(title=f't{i}', text='.') for i in range(2)])"
    path = await at.pause(code)
    assert "You have refused it" in (await at.decide(path, "allow")).text


@pytest.mark.requirement("RS-74")
async def test_an_answer_counts_once(at: Opened) -> None:
    path = await at.pause(ADD.format(title="once"))
    form = await at.form(path)
    assert (await at.send(path, form_token=form, decision="refuse")).status_code == 200
    again = await at.send(path, form_token=form, decision="allow")
    assert again.status_code == 400
    assert "answered before" in again.text
    assert "refused" in await at.resume(path)


@pytest.mark.requirement("RS-76")
@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"origin": "https://evil.example"}, 403),
        ({"form_token": ""}, 403),
        ({"form_token": "x" * 64}, 403),
        ({"form_token": "é"}, 403),
        ({"decision": ""}, 400),
        ({"decision": "yes"}, 400),
    ],
)
async def test_an_answer_from_anywhere_else_is_refused(at: Opened, change: dict[str, str], status: int) -> None:
    path = await at.pause(ADD.format(title="forged"))
    fields = {"form_token": await at.form(path), "decision": "allow"} | change
    assert (await at.send(path, **fields)).status_code == status
    assert (await at.resume(path)).startswith("paused")


@pytest.mark.requirement("RS-76")
async def test_the_form_of_one_program_does_not_decide_on_another(at: Opened) -> None:
    first, second = await at.pause(ADD.format(title="one")), await at.pause(ADD.format(title="two"))
    answer = await at.send(second, form_token=await at.form(first), decision="allow")
    assert answer.status_code == 403
    assert (await at.resume(second)).startswith("paused")
    access = re.search(r'name="form_token" value="([^"]+)"', (await at.browser.get("/access")).text)
    assert access is not None
    assert (await at.send(second, form_token=access[1], decision="allow")).status_code == 403
    ended = await at.browser.post("/access", data={"form_token": await at.form(first), "end": "all-mine"})
    assert ended.status_code == 403
    assert (await at.resume(second)).startswith("paused")


@pytest.mark.requirement("RS-76")
async def test_the_form_of_one_person_or_session_does_not_decide_in_another(at: Opened) -> None:
    path, auth = await at.pause(ADD.format(title="mine")), at.portal.auth
    form, now = await at.form(path), int(time.time())
    transport = httpx.ASGITransport(app=at.portal.app)
    async with httpx.AsyncClient(transport=transport, base_url=at.portal.settings.issuer) as other:
        await sign_in(at.portal, other)
        again = re.search(r'name="form_token" value="([^"]+)"', (await other.get(path)).text)
        assert again is not None
        assert again[1] != form
        assert (await at.send(path, form_token=again[1], decision="allow")).status_code == 403
        assert (await other.post(path, data={"form_token": form, "decision": "allow"})).status_code == 403
    async with httpx.AsyncClient(transport=transport, base_url=at.portal.settings.issuer) as grace:
        await auth._people.remember(Somebody("grace", "Grace", "", frozenset()), now=now)
        response = Response()
        auth._cookies.start(response, await auth._sessions.start("grace"))
        cookie = {"Cookie": response.headers["set-cookie"].partition(";")[0]}
        assert (await grace.get("/programs", headers=cookie)).status_code == 200
        answer = await grace.post(path, data={"form_token": form, "decision": "allow"}, headers=cookie)
        assert answer.status_code == 403
        session = Request({"type": "http", "headers": [(b"cookie", cookie["Cookie"].encode())]})
        hers = await auth.form_token(session, about=path.replace("/programs/", "program:"))
        answer = await grace.post(path, data={"form_token": hers, "decision": "allow"}, headers=cookie)
        assert answer.status_code == 400
    assert (await at.resume(path)).startswith("paused")


@pytest.mark.requirement("RS-70")
@pytest.mark.parametrize("path", ["/programs/" + "f" * 40, "/programs/x", "/programs/%00", "/programs/é"])
async def test_what_does_not_exist_and_what_is_anothers_are_one_page(at: Opened, path: str) -> None:
    answer = await at.browser.get(path)
    assert answer.status_code == 404
    assert "There is no such program" in answer.text
    assert is_confined(answer)
    other = Principal(at.principal.issuer, "somebody-else", "agent", groups=frozenset({"portal-writers"}))
    reply = await at.portal.programs.execute(other, ADD.format(title="theirs"))
    found = re.search(r'resume="([0-9a-f]+)"', reply.text)
    assert found is not None
    theirs = await at.browser.get(f"/programs/{found[1]}")
    assert (theirs.status_code, theirs.text) == (404, answer.text)


async def test_hostile_text_is_text_and_what_cannot_be_seen_is_shown(at: Opened) -> None:
    title = "\u202eevil\u200b\u00ad\u3164" + HOSTILE
    path = await at.pause("# \u202e hidden\u2066\n" + ADD.format(title=title))
    page = (await at.browser.get(path)).text
    assert "<script" not in page
    assert "<img" not in page
    assert "\\u202eevil\\u200b\\u00ad\\u3164" in html.unescape(page)
    assert "# \\u202e hidden\\u2066" in page
    assert not set("\u202e\u200b\u00ad\u3164\u2066") & set(page)


@pytest.mark.requirement("RS-76")
async def test_a_call_that_cannot_be_shown_whole_can_only_be_refused(at: Opened) -> None:
    code = f"import notes\nawait notes.add_note(title='\\u200b' * 150, text='\\u200b' * {MAX_CALL_CHARS // 6})"
    path = await at.pause(code)
    page = (await at.browser.get(path)).text
    assert "it can only be refused" in page
    assert 'value="allow"' not in page
    assert "You have refused it" in (await at.decide(path, "allow")).text


async def test_a_program_that_is_not_ours_to_escape_stays_as_it_is() -> None:
    assert visible("plain ascii <&>") == "plain ascii <&>"
    assert visible("é ü 漢字 🎉 العربية") == "é ü 漢字 🎉 العربية"
    assert visible("a\nb\tc") == "a\\u000ab\\u0009c"
    assert visible("a\nb\tc", lines=True) == "a\nb\tc"


@pytest.mark.parametrize("c", "\x00\x1b\r\x7f\x85\u00a0\u00ad\u034f\u061c\u115f\u180e\u200b\u200d\u200f\u2028\u202e\u2060\u2066\u2800\u3000\u3164\ufe0f\ufeff\uffa0\U000e0041\U000e0101\ud800")  # fmt: skip
async def test_every_character_that_hides_or_moves_text_is_escaped(c: str) -> None:
    shown = visible(f"a{c}b", lines=True)
    assert shown.isascii()
    assert f"{ord(c):04x}" in shown
