"""What keeps a portal from starting is said in the words of the setting that mends it."""

from __future__ import annotations

from pathlib import Path

import pytest

from portal.app import open_auth
from portal.settings import ConfigurationError, PortalSettings

pytestmark = pytest.mark.usefixtures("alone")


async def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"^data_dir: .*/file/portal cannot be made \(Not a directory\)$"):
        async with open_auth(PortalSettings(data_dir=tmp_path / "file" / "portal")):
            pass
