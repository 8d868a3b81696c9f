"""`portal audit verify` says what the record's chains say, and fails when one is broken."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

from portal.audit.audit import Audit
from portal.store.database import migrate, open_database
from shared_auth.principal import Principal

ROOT = Path(__file__).resolve().parents[2]


async def record(folder: Path) -> None:
    engine = open_database(f"sqlite:///{folder / 'portal.db'}")
    await migrate(engine)
    async with Audit(engine, instance="one") as audit:
        for _ in range(3):
            await (await audit.begin(Principal("i", "ada", "agent"), source="1")).finish("ok")
    await engine.dispose()


def verify(folder: Path) -> tuple[int, str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PORTAL_")}
    environment |= {"PORTAL_DATA_DIR": str(folder)}
    command = [sys.executable, "-m", "portal.cli", "audit", "verify"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout


def test_a_chain_is_whole_until_somebody_changes_it(tmp_path: Path) -> None:
    asyncio.run(record(tmp_path))
    code, said = verify(tmp_path)
    assert code == 0
    assert re.match(r"one: 3 programs, whole, ends at 3 [0-9a-f]{64}\n0 programs in no chain", said)
    with sqlite3.connect(tmp_path / "portal.db") as database:
        database.execute("UPDATE audit_programs SET subject = 'eve' WHERE sequence = 2")
    code, said = verify(tmp_path)
    assert code == 1
    assert said.startswith("one: BROKEN at 2, program ")
