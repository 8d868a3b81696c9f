"""The main job on real input: one program joins the catalog with live metrics, through the front door."""

from __future__ import annotations

import re
import time
from pathlib import Path

from tests.asking import agent, ask
from tests.running import ROOT, portal
from tests.sandbox.test_jail import whole_jail

SERVICES = {"cart-api", "checkout-api", "voucher-service"}
ROW = re.compile(r"^\| ([a-z-]+) \| ([0-9.]+) \| ([0-9.]+|None) \| (.+) \|$", re.MULTILINE)

KINDS = """
import asyncio, enum, statistics
import catalog

class Kind(enum.Enum):
    COMPONENT = "Component"
    SYSTEM = "System"

async with asyncio.TaskGroup() as group:
    tasks = [group.create_task(catalog.query_entities(kind=kind.value)) for kind in Kind]
counts = [len(task.result()["items"]) for task in tasks]
return [statistics.fmean(counts) > 0, [kind.value for kind in Kind]]
"""


async def test_an_owners_services_with_their_rates_and_alerts_are_one_table(tmp_path: Path) -> None:
    program = (ROOT / "docs" / "owner_report.py").read_text(encoding="utf-8")
    config = (ROOT / "portal.toml").read_text(encoding="utf-8")
    with portal(tmp_path, config) as running:
        async with agent(running, running.token()) as client:
            deadline_s = time.monotonic() + 60
            while time.monotonic() < deadline_s:
                text, failed = await ask(client, "execute", code=program)
                assert not failed, text
                rows = {service: (float(rate), alerts) for service, rate, _, alerts in ROW.findall(text)}
                assert set(rows) == SERVICES, text
                # A fresh Prometheus needs a few scrapes for a rate, and some seconds for an alert to fire.
                if all(rate > 0 for rate, _ in rows.values()) and rows["checkout-api"][1] == "HighErrorRate":
                    break
            else:
                raise AssertionError(text)
        from_shell = running.command("run", str(ROOT / "docs" / "owner_report.py"))
        assert from_shell.returncode == 0, from_shell.stderr
        assert {row[0] for row in ROW.findall(from_shell.stdout)} == SERVICES
        if whole_jail():
            program_file = tmp_path / "kinds.py"
            program_file.write_text(KINDS, encoding="utf-8")
            on_cpython = running.command("run", str(program_file))
            assert "[true, ['Component', 'System']]" in on_cpython.stdout.replace('"', "'"), on_cpython
            assert "(ran on cpython)" in on_cpython.stdout
