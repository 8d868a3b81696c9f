"""The one secret of a portal: 32 bytes that seal what the database must not show."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from pathlib import Path

from portal.settings import ConfigurationError, PortalSettings

SECRET_BYTES = 32
FILE_NAME = "secret"


def secret_of(settings: PortalSettings) -> bytes:
    """Return the secret: ``auth.secret`` condensed to 32 bytes, or the file that the first start made in data_dir.

    Raises ConfigurationError when the database is shared and no secret is set: each replica would make its own.
    """
    given = settings.auth.secret
    if given is not None:
        return hashlib.blake2b(
            given.get_secret_value().encode(), digest_size=SECRET_BYTES, person=b"mcp-portal"
        ).digest()
    if settings.database_url is not None and not settings.database.startswith("sqlite"):
        raise ConfigurationError("auth.secret: must be set with a shared database, the same on every replica")
    return _kept(settings.data_dir / FILE_NAME)


def _kept(path: Path) -> bytes:
    # Written whole under another name and linked: a second process never reads half a secret, and never replaces one.
    staged = path.with_name(f".{FILE_NAME}-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        if not path.exists():
            with os.fdopen(os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(secrets.token_bytes(SECRET_BYTES))
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(staged, path)
        found = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read or written ({error.strerror})") from None
    finally:
        staged.unlink(missing_ok=True)
    if len(found) != SECRET_BYTES:
        raise ConfigurationError(f"{path} is not a secret of {SECRET_BYTES} bytes; restore it, or sealed keys are lost")
    return found
