"""The programs of docs/write-programs.md run as they are written, against the catalog server and its demo company."""

from __future__ import annotations

import re
from pathlib import Path

from portal.app import open_portal
from portal.programs.presenting import MAX_ATTACHED, MAX_ATTACHED_BYTES
from portal.sandbox.helpers import NAMES
from portal.sections import LimitsSection, SandboxSection, Upstream
from portal.settings import PortalSettings
from shared_auth.principal import Principal

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "write-programs.md").read_text(encoding="utf-8")
PROGRAMS: list[str] = re.findall(r"^```python[^\n]*\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
ADA = Principal("http://127.0.0.1:8300", "ada", "agent-1")


async def test_the_programs_of_the_page_run_and_its_note_reads_as_it_says(tmp_path: Path) -> None:
    settings = {"roots": [str(ROOT / "catalog-info" / "all.yaml")], "state_dir": str(tmp_path / "catalog")}
    async with open_portal(
        PortalSettings(
            data_dir=tmp_path,
            sandbox=SandboxSection(min_workers=1, engine="monty"),
            limits=LimitsSection(reply_chars=1_000),
            upstreams={"catalog": Upstream(module="servers.catalog", settings=settings)},
        )
    ) as portal:
        # The one over metrics as well is tests/e2e/test_main_job.py's.
        alone = [code for code in PROGRAMS if "prometheus" not in code]
        assert len(alone) >= 2
        for code in alone:
            reply = await portal.programs.execute(ADA, code if "import catalog" in code else f"import catalog\n{code}")
            assert not reply.is_error, reply.text
        reply = await portal.programs.execute(ADA, "[{'name': f'service-{n}'} for n in range(10_000)]")
    shown = re.search(r"^\(shows .*\)$", PAGE, re.MULTILINE)
    assert shown is not None
    same_but_names = [re.sub(r"shows \d+|r_\w+…?", "", note) for note in (reply.text.split("\n")[-1], shown[0])]
    assert same_but_names[0] == same_but_names[1]


def test_the_page_names_what_is_there() -> None:
    assert all(f"`{name}(" in PAGE or f"`await {name}(" in PAGE for name in NAMES)
    assert f"at most {MAX_ATTACHED} files" in PAGE
    assert f"{MAX_ATTACHED_BYTES // 1024 // 1024} MB" in PAGE
