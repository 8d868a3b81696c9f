"""Every address of the whole portal, asked nearly right: whatever was sent, nothing breaks and nothing comes back.

``--fuzz-examples`` makes up more requests: `make test ARGS="tests/fuzz --fuzz-examples 10000"`.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from tests.fuzz.requests import METHODS, Change, Draft, Template, changes, templates
from tests.fuzz.standing import CANARY, GONE, HOSTILE, WAYS, Answer, Asked, Stage, Standing, watched

PUBLIC = re.compile(r"/\.well-known/oauth-(protected-resource(/mcp)?|authorization-server)|/jwks\.json")
PROGRAMS_OWN = r"Traceback (most recent call last):\n  File \"program.py\""
"""What an agent reads of its own program, in JSON: no other traceback leaves the portal."""
RENEW_EVERY = 60


@pytest.fixture(params=WAYS)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    with Stage(tmp_path, request.param) as found:
        yield found


def known(standing: Standing) -> list[Template]:
    """Return a request for every address: a valid one where there is one, and at least a plain one where not."""
    found = templates(standing.held)
    bare = [
        Template(route.path, method, cookies=standing.held["cookies"])
        for route in standing.portal.routes
        for method in sorted(route.methods or {"GET"})
        if not any(route.path_regex.match(template.path) for template in found)
    ]
    return found + bare


def judge(asked: Asked, answer: Answer) -> None:
    """Every rule that holds for every answer."""
    if answer is GONE:
        return
    said = f"{asked} → {answer}"
    assert 200 <= answer.status < 500, said
    for name, value in answer.headers:
        assert re.fullmatch(rb"[a-z0-9-]+", name.lower()), said
        assert re.fullmatch(rb"[\x20-\x7e]*", value), said
        assert name.lower() == b"location" or CANARY.encode() not in value, said
    location = answer.header("location")
    assert not set(location) & set("<>\"' \\"), said
    text = answer.body.decode("utf-8")
    assert HOSTILE not in text, said
    assert "Traceback" not in (text.replace(PROGRAMS_OWN, "") if asked.path == "/mcp" else text), said
    kind = answer.header("content-type").partition(";")[0]
    if kind == "application/json" and answer.status >= 400 and asked.path != "/mcp":
        assert CANARY not in text, said
        assert json.loads(text), said
    if kind == "text/html":
        assert "<script" not in text, said
        assert "default-src 'none'" in answer.header("content-security-policy"), said
    else:
        assert "<html" not in text, said
    assert "frame-ancestors 'none'" in answer.header("content-security-policy"), said
    assert answer.header("x-frame-options") == "DENY", said
    assert answer.header("x-content-type-options") == "nosniff", said
    assert answer.header("referrer-policy") == "same-origin", said
    if not (PUBLIC.fullmatch(asked.path) and answer.status < 300) and asked.path != "/mcp":
        assert answer.header("cache-control") == "no-store", said
    assert "max-age" not in answer.header("cache-control") or PUBLIC.fullmatch(asked.path), said
    for name, value in answer.headers:
        if name.lower() == b"set-cookie":
            assert b"HttpOnly" in value, said
            assert b"SameSite=lax" in value, said


async def ask(standing: Standing, draft: Draft) -> None:
    asked = draft.done()
    judge(asked, await standing.ask(asked))


@pytest.mark.requirement("SH-07", "AS-134", "AS-135")
def test_nearly_right_requests_break_nothing_and_nothing_comes_back(stage: Stage, pytestconfig: pytest.Config) -> None:
    standing = stage.standing
    count = len(known(standing))
    asked = 0

    @settings(
        max_examples=pytestconfig.getoption("fuzz_examples"),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, count - 1), st.lists(changes, min_size=1, max_size=4))
    def spoilt(which: int, spoiling: list[Change]) -> None:
        nonlocal asked
        asked += 1
        if asked % RENEW_EVERY == 0:
            stage.run(standing.renew())
        draft = Draft(known(standing)[which])
        for change in spoiling:
            change(draft)
        stage.run(ask(standing, draft))

    with watched() as faults:
        spoilt()
    assert faults == []


@pytest.mark.requirement("SH-07")
def test_every_address_takes_its_own_methods_alone(stage: Stage) -> None:
    standing = stage.standing

    def taken(path: str) -> set[str]:
        return {one for route in standing.portal.routes if route.path_regex.match(path) for one in route.methods or ()}

    async def everything() -> None:
        for which in range(len(known(standing))):
            template = known(standing)[which]
            for method in METHODS:
                draft = Draft(template)
                draft.method = method
                asked = draft.done()
                answer = await standing.ask(asked)
                judge(asked, answer)
                if taken(template.path) and method not in taken(template.path) | {"OPTIONS"}:
                    assert answer.status == 405, f"{method} {template.path}: {answer}"
            await standing.renew()

    with watched() as faults:
        stage.run(everything())
    assert faults == []


@pytest.mark.requirement("SH-07", "RS-19")
def test_with_a_silent_database_whatever_needs_it_answers_503_and_lets_nobody_in(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    standing = stage.standing
    found = known(standing)
    standing.clock.advance(5)  # what was looked up just now is looked up again
    down = OperationalError("SELECT", {}, Exception("down"))

    def silent(*_: Any, **__: Any) -> Any:
        raise down

    async def everything() -> dict[str, set[int]]:
        statuses: dict[str, set[int]] = {}
        for template in found:
            asked = Draft(template).done()
            answer = await standing.ask(asked)
            statuses.setdefault(template.path, set()).add(answer.status)
            assert not answer.header("location"), f"{asked} → {answer}"
            assert b'"access_token"' not in answer.body, f"{asked} → {answer}"
            if answer.status != 503:
                judge(asked, answer)
        return statuses

    monkeypatch.setattr(type(standing.portal.engine), "connect", silent)
    monkeypatch.setattr(type(standing.portal.engine), "begin", silent)
    monkeypatch.setattr(sqlalchemy.Engine, "connect", silent)
    with watched() as faults:
        statuses = stage.run(everything())
    assert faults == []
    needing = {"/mcp", "/", "/register", "/authorize", "/consent", "/token", "/revoke", "/introspect", "/device"}
    needing |= {"/access", "/programs", f"/programs/{standing.held['pause']}", "/connections", "/connect/callback"}
    needing |= {"/connect/boards", "/connect/boards/site", "/disconnect/boards"}
    for path in needing:
        assert 503 in statuses[path], path
        # What settings alone decide: 200 is the page that says how to sign in, to a browser without a cookie, about a
        # declared client; 400 a target that is not the declared client's own.
        known_anyway = {"/authorize": {200}, "/token": {400, 401}}.get(path, {401})
        assert statuses[path] <= {503} | known_anyway, (path, statuses[path])


def test_what_reaches_nobody_is_noticed() -> None:
    """The rules of this file can fail."""
    headers = tuple(
        (name, value)
        for name, value in (
            (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
            (b"x-frame-options", b"DENY"),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"same-origin"),
            (b"cache-control", b"no-store"),
            (b"content-type", b"text/html"),
        )
    )
    good = Answer(200, headers, b"<p>fine</p>")
    judge(Asked(), good)
    bad = [
        Answer(500, headers, b""),
        Answer(200, headers, HOSTILE.encode()),
        Answer(200, headers, PROGRAMS_OWN.encode()),
        Answer(200, (*headers, (b"x", b"a\nb")), b""),
        Answer(200, (*headers, (b"x", CANARY.encode())), b""),
        Answer(303, (*headers, (b"location", b"https://a.example/<")), b""),
        Answer(200, (*headers, (b"set-cookie", b"a=b; SameSite=lax")), b""),
        Answer(400, ((b"content-type", b"application/json"), *headers[:5]), json.dumps({"error": CANARY}).encode()),
        *(Answer(200, headers[:n] + headers[n + 1 :], b"") for n in range(5)),
    ]
    for answer in bad:
        with pytest.raises(AssertionError):
            judge(Asked(), answer)
    programs, ours = PROGRAMS_OWN.encode(), PROGRAMS_OWN.replace("program", "portal").encode()
    judge(Asked(path="/mcp"), Answer(200, headers, programs))
    with pytest.raises(AssertionError):
        judge(Asked(path="/mcp"), Answer(200, headers, programs + ours))
    with watched() as faults:
        asyncio.run(_logs())
    assert len(faults) == 1


async def _logs() -> None:
    import logging

    logging.getLogger("anything").error("broken")
    logging.getLogger("anything").warning("fine")
