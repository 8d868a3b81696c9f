"""The note in data_dir by which a command finds the portal that runs on it, whatever port it was started with.

A credential goes to the address in the note, so it is believed only as a plain file of our own user that nobody else
may write to, naming an address of this machine and a process of ours that lives. Whether a portal answers there is
asked by whoever reads it (``portal.remote``).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared_auth.configuration import is_loopback, is_protected

FILE_NAME = "running.json"
MAX_BYTES = 4_096

log = structlog.get_logger(__name__)


class _Note(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    address: str
    pid: int = Field(ge=1)


@contextlib.contextmanager
def noted(data_dir: Path, address: str) -> Iterator[None]:
    """Leave a note of this process and its public ``address``, and take it away at the end if it is still ours.

    A portal that cannot write it runs without: it is a convenience for whoever types commands.
    """
    path, note = data_dir / FILE_NAME, _Note(address=address, pid=os.getpid()).model_dump_json().encode()
    try:
        _write(path, note)
    except OSError as error:
        log.warning("whereabouts.not_noted", error=type(error).__name__)
    try:
        yield
    finally:
        # Another portal may have started on the same data_dir since: the last one is the one that is found.
        if _read(path) == note:
            with contextlib.suppress(OSError):
                path.unlink()


def noted_address(data_dir: Path) -> str | None:
    """Return the address of the portal that has left a note, None when there is none to believe."""
    try:
        note = _Note.model_validate_json(_read(data_dir / FILE_NAME))
    except ValidationError:
        return None
    parts = urlsplit(note.address) if is_protected(note.address) else None
    is_ours = parts is not None and parts.path == parts.query == "" and is_loopback(parts.hostname or "")
    return note.address if is_ours and _lives(note.pid) else None


def _write(path: Path, note: bytes) -> None:
    # Renamed into place: nobody reads half a note, and a link that somebody laid there is replaced, not followed.
    staged = path.with_name(f".{FILE_NAME}-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(note)
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)


def _read(path: Path) -> bytes:
    """Return what a file of ours holds, nothing when it is not there, too long, a link or anybody else's to write."""
    try:
        # Not blocking: what stands there may be a pipe.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            found = os.fstat(file.fileno())
            ours = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022
            return file.read(MAX_BYTES) if ours and found.st_size <= MAX_BYTES else b""
    except OSError:
        return b""


def _lives(pid: int) -> bool:
    """Say whether a process of ours has this number. One of another user has got the number since."""
    try:
        os.kill(pid, 0)
    except (OSError, OverflowError):
        return False
    return True
