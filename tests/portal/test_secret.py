"""The one secret: made once, kept for its owner alone, the same for every process, and never replaced."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from portal.secret import SECRET_BYTES, secret_of
from portal.sections import AuthSection
from portal.settings import ConfigurationError, PortalSettings

pytestmark = pytest.mark.usefixtures("alone")


def test_the_file_is_its_owners_alone_and_stays(tmp_path: Path) -> None:
    settings = PortalSettings(data_dir=tmp_path)
    first = secret_of(settings)
    file = tmp_path / "secret"
    assert len(first) == SECRET_BYTES
    assert file.read_bytes() == first
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert secret_of(settings) == first
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_many_that_start_at_once_get_one_secret(tmp_path: Path) -> None:
    settings = PortalSettings(data_dir=tmp_path)
    with ThreadPoolExecutor(16) as pool:
        found = {future.result() for future in [pool.submit(secret_of, settings) for _ in range(64)]}
    assert len(found) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33])
def test_a_file_of_another_length_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret").write_bytes(content)
    with pytest.raises(ConfigurationError, match="is not a secret of 32 bytes; restore it"):
        secret_of(PortalSettings(data_dir=tmp_path))
    assert (tmp_path / "secret").read_bytes() == content


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read or written"):
        secret_of(PortalSettings(data_dir=tmp_path / "none"))


def test_a_shared_database_needs_a_shared_secret(tmp_path: Path) -> None:
    shared = PortalSettings(data_dir=tmp_path, database_url="postgresql://u:p@db/portal")
    with pytest.raises(ConfigurationError) as caught:
        secret_of(shared)
    assert str(caught.value) == "auth.secret: must be set with a shared database, the same on every replica"
    assert not list(tmp_path.iterdir())
    assert len(secret_of(PortalSettings(data_dir=tmp_path, database_url="sqlite:///x.db"))) == SECRET_BYTES


def test_a_given_secret_is_condensed_and_the_same_everywhere(tmp_path: Path) -> None:
    given = "correct horse battery staple, and more"
    replicas = [PortalSettings(data_dir=tmp_path / name, auth=AuthSection(secret=given)) for name in "ab"]
    first, second = (secret_of(settings) for settings in replicas)
    assert first == second
    assert len(first) == SECRET_BYTES
    assert secret_of(PortalSettings(auth=AuthSection(secret=given + "."))) != first
    assert given.encode() not in first
    assert not list(tmp_path.iterdir())
