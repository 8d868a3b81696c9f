"""`portal policy explain`: what an operator is told of a person, a client and a tool."""

from __future__ import annotations

from pathlib import Path

import pytest

from portal.explaining import explain
from portal.sections import PolicySection, SandboxSection, Upstream
from portal.settings import PortalSettings

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
