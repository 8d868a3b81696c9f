"""The command line finds the portal that runs already, and gives a token to nothing else that may listen there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from portal import remote
from portal.app import Portal, open_portal
from portal.programs.pauses import Person
from portal.sections import AuthSection, PolicySection, SandboxSection, Upstream
from portal.serve import banner
from portal.settings import PortalSettings
from tests.running import free_port
from tests.upstream.serving import Seen, on_port

pytestmark = pytest.mark.usefixtures("alone")


def settings(folder: Path) -> PortalSettings:
    return PortalSettings(
        data_dir=folder,
        port=free_port(),
        sandbox=SandboxSection(jail="degrade", min_workers=1),
        upstreams={"away": Upstream(url="http://127.0.0.1:1/mcp")},
    )


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Portal]:
    async with open_portal(settings(folder)) as portal, on_port(portal.app, portal.settings.port):
        yield portal


async def test_a_running_portal_answers(tmp_path: Path) -> None:
    async with running(tmp_path) as portal:
        answered = await remote.call(portal.settings, "execute", {"code": "6 * 7"})
        assert answered is not None
        assert answered.text.splitlines()[1] == "42"
        assert not answered.is_error
        failed = await remote.call(portal.settings, "execute", {"code": "1 / 0"})
        assert failed is not None
        assert failed.is_error
        assert "ZeroDivisionError" in failed.text


async def test_a_program_that_waits_goes_on_once_its_person_has_decided(tmp_path: Path) -> None:
    (tmp_path / "asking.cedar").write_text('@id("asks") @ask("why") permit (principal, action, resource);')
    chosen = settings(tmp_path).model_copy(
        update={
            "policy": PolicySection(files=[tmp_path / "asking.cedar"]),
            "upstreams": {"notes": Upstream(module="servers._template")},
        }
    )
    shown: list[str] = []
    async with open_portal(chosen) as portal, on_port(portal.app, portal.settings.port):
        loop = asyncio.get_running_loop()

        async def decide() -> bool:
            pauses, person = portal.programs._pauses, Person.of(await portal.auth.local_principal())
            (paused,) = await pauses.waiting(person)
            return await pauses.decide(person, paused.id, [call.id for call in paused.pending], how="page")

        def show(message: str, url: str) -> bool:
            shown.extend([message, url])
            return asyncio.run_coroutine_threadsafe(decide(), loop).result()

        code = "import notes\nlen((await notes.list_notes())['items'])"
        answered = await remote.call(portal.settings, "execute", {"code": code}, show)
        assert answered is not None
        assert answered.text.startswith("ok")
        closed = await remote.call(portal.settings, "execute", {"code": code}, lambda _message, _url: False)
        assert closed is not None
        assert closed.text.startswith("paused")
    assert "notes.list_notes(): why" in shown[0]
    assert shown[1].startswith(f"{chosen.issuer}/programs/")


async def test_when_nothing_listens_there_is_no_answer(tmp_path: Path) -> None:
    assert await remote.call(settings(tmp_path), "search", {}) is None


@pytest.mark.parametrize(
    "metadata",
    [
        JSONResponse({"resource": "http://127.0.0.1:1/mcp"}),
        JSONResponse({}),
        JSONResponse([]),
        JSONResponse("text"),
        PlainTextResponse("<html>"),
        Response(status_code=404),
        Response(status_code=302, headers={"location": "/elsewhere"}),
    ],
)
async def test_something_else_at_the_address_gets_no_token(tmp_path: Path, metadata: Response) -> None:
    async def answer(_request: Request) -> Response:
        return metadata

    wanted = settings(tmp_path)
    seen = Seen(Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])]))
    async with on_port(seen, wanted.port):
        assert await remote.call(wanted, "search", {}) is None
    assert len(seen.headers) == 1
    assert "authorization" not in seen.headers[0]


@pytest.mark.parametrize("change", [{"host": "10.0.0.1"}, {"auth": AuthSection(local_sign_in=False)}])
async def test_without_a_local_person_or_a_local_address_none_is_asked(
    tmp_path: Path, change: dict[str, object]
) -> None:
    wanted = settings(tmp_path).model_copy(update=change)
    assert await remote.call(wanted, "search", {}) is None
    assert not list(tmp_path.iterdir())


async def test_the_banner_says_what_does_not_work(tmp_path: Path) -> None:
    async with open_portal(settings(tmp_path)) as portal:
        text = await banner(portal)
        assert "  away: 0 tools (down: cannot be reached)\n" in text
        assert f"mcp: {portal.settings.endpoint}\n" in text
        missing = [layer.name for layer in portal.sandbox.layers() if not layer.active]
        assert all(f"warning: sandbox layer {name} is not in force: " in text for name in missing)
