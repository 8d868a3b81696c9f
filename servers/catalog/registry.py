"""Locations that people registered: one small JSON file, replaced whole and on the disk before anyone is told."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = "locations.json"
LOCK = "locations.lock"
MAX_LOCATIONS = 1_000
MAX_BYTES = 4 * 1024 * 1024


class Damaged(Exception):
    """The file is there and cannot be understood. It is never overwritten: an operator has to look at it."""


class Full(Exception):
    """There are as many registered locations as may be."""


@dataclass(frozen=True, slots=True)
class Location:
    """One registered location: a target relative to the root folder."""

    id: str
    target: str


class Registry:
    """The registered locations of one state folder. All methods block; replicas on one disk exclude one another."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def path(self) -> Path:
        """The file that holds the locations."""
        return self._folder / FILE

    def all(self) -> tuple[Location, ...]:
        """Return every registered location, oldest first. Raises Damaged."""
        try:
            with self.path.open("rb") as file:
                raw = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            return ()
        except OSError:
            raise Damaged("the registered locations cannot be read") from None
        return _parse(raw)

    def add(self, target: str) -> tuple[Location, bool]:
        """Return the location of ``target`` and whether it is new; durable on return. Raises Damaged, Full, OSError."""
        with self._locked():
            known = self.all()
            for location in known:
                if location.target == target:
                    return location, False
            if len(known) >= MAX_LOCATIONS:
                raise Full(f"there are {MAX_LOCATIONS} registered locations already; unregister one first")
            added = Location(secrets.token_hex(8), target)
            self._write((*known, added))
            return added, True

    def remove(self, location_id: str) -> Location | None:
        """Remove a location for good and return it, None when there is none. Raises Damaged, OSError."""
        with self._locked():
            known = self.all()
            gone = next((location for location in known if location.id == location_id), None)
            if gone is not None:
                self._write(tuple(location for location in known if location is not gone))
            return gone

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(self._folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _write(self, locations: tuple[Location, ...]) -> None:
        body = {"version": 1, "locations": [{"id": loc.id, "target": loc.target} for loc in locations]}
        handle, name = tempfile.mkstemp(dir=self._folder, prefix=FILE)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(body, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        # The rename itself must survive a power cut, and it lives in the folder.
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _parse(raw: bytes) -> tuple[Location, ...]:
    try:
        if len(raw) > MAX_BYTES:
            raise ValueError("too large")
        body: Any = json.loads(raw)
        if body["version"] != 1:
            raise ValueError("unknown version")
        found = tuple(Location(id=entry["id"], target=entry["target"]) for entry in body["locations"])
        if not all(isinstance(text, str) for location in found for text in (location.id, location.target)):
            raise TypeError("not text")
    except (ValueError, TypeError, KeyError, RecursionError):
        raise Damaged("the file of registered locations is damaged; an operator has to repair or remove it") from None
    return found
