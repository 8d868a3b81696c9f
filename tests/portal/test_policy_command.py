"""`portal policy explain`: what an operator is told of a person, a client and a tool, and what is left untouched."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import func, select

from portal import app
from portal.app import open_record
from portal.explaining import explain
from portal.policy.sources import DEFAULT
from portal.sections import PolicySection, SandboxSection, Upstream, VendorSection
from portal.settings import PortalSettings
from portal.store.tables import audit_calls, audit_programs

ASK = """
@id("notes-after-a-yes")
@ask("Everybody reads it.")
permit (principal in Group::"asked", action == Action::"write", resource in Server::"notes");
@id("not-through-that-one")
forbid (principal, action, resource) when { principal.client == "toy" };
"""


@pytest.fixture
def settings(tmp_path: Path) -> PortalSettings:
    (tmp_path / "asking.cedar").write_text(ASK, encoding="utf-8")
    return PortalSettings(
        data_dir=tmp_path / "data",
        upstreams={"notes": Upstream(module="servers._template")},
        policy=PolicySection(files=[tmp_path / "asking.cedar"], write_groups=["writers"]),
        sandbox=SandboxSection(jail="degrade", min_workers=1, engine="monty"),
    )


@pytest.mark.parametrize(
    ("tool", "groups", "client", "allowed", "says"),
    [
        (
            "notes.list_notes",
            [],
            "cli",
            True,
            ["notes.list_notes (read) for ada: allowed", "permitted by anyone-may-read"],
        ),
        (
            "notes.add_note",
            [],
            "cli",
            False,
            ["denied", "no policy permits it", "policy.write_groups may write: writers"],
        ),
        ("notes.add_note", ["writers"], "cli", True, ["allowed", "writers-may-write", "writes in one program"]),
        (
            *("notes.add_note", ["writers", "asked"], "cli", True),
            ["allowed after a person's yes", "notes-after-a-yes, writers-may-write", "asks: Everybody reads it."],
        ),
        ("notes.list_notes", [], "toy", False, ["denied", "forbidden by not-through-that-one", "client: toy"]),
        ("notes.add_notes", [], "cli", False, ["no tool notes.add_notes; did you mean notes.add_note"]),
    ],
)
async def test_it_says_which_rule_decides(
    settings: PortalSettings, tool: str, groups: list[str], client: str, allowed: bool, says: list[str]
) -> None:
    said, may = await explain(settings, tool, subject="ada", groups=groups, client_id=client)
    assert may is allowed
    for words in says:
        assert words in said


@pytest.mark.parametrize(
    ("tool", "groups", "client", "files"),
    [
        ("notes.list_notes", [], "cli", ["  anyone-may-read: {default}:8"]),
        ("notes.list_notes", [], "toy", ["  not-through-that-one: {asking}:5"]),
        (
            *("notes.add_note", ["writers", "asked"], "cli"),
            ["  notes-after-a-yes: {asking}:2", "  writers-may-write: {default}:17"],
        ),
    ],
)
async def test_it_says_where_the_rule_stands(
    settings: PortalSettings, tool: str, groups: list[str], client: str, files: list[str]
) -> None:
    said, _ = await explain(settings, tool, subject="ada", groups=groups, client_id=client)
    for line in files:
        assert line.format(default=DEFAULT, asking=settings.policy.files[0]) in said.splitlines()


async def test_it_starts_no_sandbox_and_touches_neither_database_nor_data_dir(
    settings: PortalSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for room in ("Engines", "Audit", "Auth", "open_database"):
        monkeypatch.delattr(app, room)
    personal = Upstream(
        module="servers._template",
        credential="person",
        oauth=VendorSection(preset="gitlab", client_id="portal"),
    )
    upstreams = settings.upstreams | {"personal": personal}
    chosen = settings.model_copy(update={"upstreams": upstreams})
    for tool in ("notes.list_notes", "personal.list_notes"):
        _, allowed = await explain(chosen, tool, subject="ada", groups=[], client_id="cli")
        assert allowed
    assert not settings.data_dir.exists()


async def test_where_a_server_takes_tokens_of_ours_nothing_is_left_on_record(settings: PortalSettings) -> None:
    away = Upstream(url="http://127.0.0.1:1/mcp", auth="exchange")
    chosen = settings.model_copy(update={"upstreams": settings.upstreams | {"away": away}})
    said, allowed = await explain(chosen, "away.get_it", subject="ada", groups=[], client_id="cli")
    assert (said, allowed) == (
        "no tool away.get_it: away is down (cannot be reached), and what it offers is not known",
        False,
    )
    async with open_record(chosen) as engine, engine.connect() as connection:
        for table in (audit_programs, audit_calls):
            assert await connection.scalar(select(func.count()).select_from(table)) == 0
