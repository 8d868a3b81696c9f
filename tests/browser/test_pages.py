"""The pages in a real Chromium, which enforces what they only say: where forms may go, what is loaded, who may frame."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest

from tests.asking import agent, ask
from tests.browser.chromium import Browser, chromium, window
from tests.browser.listening import Site, site
from tests.e2e.test_pauses import TITLES, config, id_in
from tests.person import Asking
from tests.running import Running, portal

ADD = "import notes\ntry:\n    n = await notes.add_note(title={title!r}, text='.')\nexcept PermissionError as e:\n    n = {{'title': 'refused'}}\nn['title']"
SCRIPT = "</pre><script>document.title = 'taken over'</script><img src=x onerror=\"document.title = 'taken over'\">"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("portal")
    with portal(folder, config(folder)) as found:
        yield found


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with chromium(tmp_path_factory.mktemp("driver")) as found:
        yield found


@pytest.fixture
def fresh(driver: httpx.Client, tmp_path: Path) -> Iterator[Browser]:
    """A browser that nobody is signed in with."""
    with window(driver, tmp_path / "profile") as found:
        yield found


@pytest.fixture
def person(fresh: Browser, running: Running) -> Browser:
    """A browser that the local person is signed in with."""
    fresh.open(running.command("sign-in").stdout.strip())
    fresh.press("Sign in")
    fresh.until("Sign out")
    return fresh


@pytest.fixture
def elsewhere() -> Iterator[Site]:
    with site() as found:
        yield found


async def paused(running: Running, title: str) -> str:
    """Return the id of a program that waits for its person."""
    async with agent(running, running.token()) as client:
        text, failed = await ask(client, "execute", code=ADD.format(title=title))
    assert not failed, text
    return id_in(text)


async def gone_on(running: Running, pause_id: str) -> tuple[str, bool]:
    async with agent(running, running.token()) as client:
        return await ask(client, "execute", resume=pause_id)


async def titles(running: Running) -> str:
    async with agent(running, running.token()) as client:
        return (await ask(client, "execute", code=TITLES))[0]


def test_a_link_signs_in_and_no_page_breaks_its_own_rules(person: Browser, running: Running) -> None:
    for path, text in (("/", "Signed in as"), ("/access", "You are"), ("/programs", "Programs that wait for you")):
        person.open(running.base + path)
        person.until(text)
        # The style is there: a rule that does not name its hash would leave the page bare.
        assert person.run("return document.styleSheets[0].cssRules.length") > 0
        assert person.run("return getComputedStyle(document.body).maxWidth") != "none"
    assert person.complaints() == []


def test_an_agent_gets_its_code_by_the_yes_of_a_person(person: Browser, running: Running, elsewhere: Site) -> None:
    callback = f"{elsewhere.base}/callback"
    metadata = {"client_name": "Agent", "redirect_uris": [callback], "token_endpoint_auth_method": "none"}
    client_id = httpx.post(f"{running.base}/register", json=metadata, trust_env=False).json()["client_id"]
    asking = Asking(running.base, client_id, callback)
    person.open(f"{running.base}/authorize?{urlencode(asking.query())}")
    person.until("It calls itself")
    # Chromium holds a form to its page's form-action through every redirect that follows.
    person.press("Yes, let it act for me")
    person.until("Elsewhere")
    (answer,) = [query for query in elsewhere.queries if "code" in query]
    assert answer["state"] == [asking.state]
    assert person.complaints() == []
    tokens = httpx.post(f"{running.base}/token", data=asking.redeemed(answer["code"][0]), trust_env=False)
    assert tokens.status_code == 200, tokens.text


@pytest.mark.parametrize(("button", "title", "shown"), [("Allow this call", "yes", "yes"), ("Refuse", "no", "refused")])
async def test_what_a_person_presses_is_what_becomes_of_a_program(
    person: Browser, running: Running, button: str, title: str, shown: str
) -> None:
    async with agent(running, running.token()) as client:
        pause_id = id_in((await ask(client, "execute", code=ADD.format(title=f"pressed {title}")))[0])
        person.open(f"{running.base}/programs/{pause_id}")
        assert f"pressed {title}" in person.text
        person.press(button)
        person.until("You have")
        text, failed = await ask(client, "execute", resume=pause_id)
    assert not failed, text
    assert shown in text
    assert (f"pressed {title}" in await titles(running)) is (title == "yes")
    assert person.complaints() == []


async def test_who_was_signed_out_is_led_back_to_the_program(fresh: Browser, running: Running) -> None:
    path = f"/programs/{await paused(running, 'led back')}"
    fresh.open(running.base + path)
    assert "led back" not in fresh.text
    fresh.open(running.command("sign-in").stdout.strip())
    fresh.press("Sign in")
    assert "led back" in fresh.until("Allow this call")
    assert fresh.url == running.base + path


async def test_what_a_program_says_is_text(person: Browser, running: Running) -> None:
    person.open(f"{running.base}/programs/{await paused(running, SCRIPT)}")
    assert "</pre><script>document.title = 'taken over'</script><img src=x" in person.text
    assert "taken over" not in person.title
    assert person.run("return document.scripts.length + document.images.length") == 0
    assert person.complaints() == []
    # Were it not text, the page would still apply no style of theirs, nor load or run anything.
    person.run(f"document.querySelector('main').innerHTML += {json.dumps(SCRIPT)} + '<p style=\"color: red\" id=p>'")
    person.run(
        "document.head.append(Object.assign(document.createElement('style'), {textContent: 'p { color: red }'}))"
    )
    assert person.run("return getComputedStyle(document.getElementById('p')).color") != "rgb(255, 0, 0)"
    assert "taken over" not in person.title
    assert len([said for said in person.complaints() if "Content Security Policy" in said]) >= 3


@pytest.mark.requirement("RS-76")
async def test_another_site_can_neither_answer_nor_frame_nor_read(
    person: Browser, running: Running, elsewhere: Site
) -> None:
    page = f"{running.base}/programs/{await paused(running, 'not by them')}"
    elsewhere.page = (
        f'<title>waiting</title><form method="post" action="{page}"><input name="decision" value="allow"></form>'
        "<script>document.forms[0].submit()</script>"
    )
    person.open(elsewhere.base)
    assert person.url == page  # the browser did send it, with the person's cookies
    person.open(page)
    person.until("Allow this call")  # and nothing was decided
    person.complaints()

    elsewhere.page = f'<title>waiting</title><iframe src="{page}"></iframe>'
    person.open(elsewhere.base)
    assert person.frame() == "chrome-error://chromewebdata/"
    assert any("frame" in said for said in person.complaints())

    for url, method in ((page, "GET"), (f"{running.base}/mcp", "POST")):
        reading = json.dumps({"method": method, "credentials": "include"})
        elsewhere.page = (
            f"<title>waiting</title><script>fetch({json.dumps(url)}, {reading})"
            ".then(a => a.text()).then(t => document.title = 'read ' + t, () => document.title = 'refused')"
            ".then(() => document.body.append(document.title))</script><body></body>"
        )
        person.open(elsewhere.base)
        assert "refused" in person.until("re")
    text, failed = await gone_on(running, page.rpartition("/")[2])
    assert failed, text
    assert "not by them" not in await titles(running)
