"""The demo company, and small companies in temporary folders, as connected servers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from servers._kit.testing import Connection, connected
from servers.catalog.server import create

ROOT = Path(__file__).resolve().parents[3]

Open = Callable[..., AbstractAsyncContextManager[Connection]]


@pytest.fixture
def demo(tmp_path: Path) -> Open:
    """Open the demo company, with its checks and a fresh state folder."""

    def opened(**settings: Any) -> AbstractAsyncContextManager[Connection]:
        base = {"folder": str(ROOT), "scores": "catalog-info/checks.yaml", "state_dir": str(tmp_path / "state")}
        return connected(create({**base, **settings}))

    return opened


class Company:
    """A folder of entity files, read again at every call."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "company"
        self.state = folder / "state"
        self.folder.mkdir()

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def open(self, **settings: Any) -> AbstractAsyncContextManager[Connection]:
        base = {"folder": str(self.folder), "roots": ["all.yaml"], "refresh_s": 0, "state_dir": str(self.state)}
        return connected(create({**base, **settings}))


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return Company(tmp_path)
