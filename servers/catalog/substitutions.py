"""``$text``, ``$json`` and ``$yaml`` placeholders of entity files, filled from files of the same folder only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from servers.catalog.folder import TEXT_SUFFIXES, Folder, Refused
from servers.catalog.reading import BadYaml, load, load_json

NAMES = ("$text", "$json", "$yaml")

Fill = Callable[[str, str], Any]
"""(placeholder, target) -> its value."""


class BadPlaceholder(Exception):
    """A placeholder cannot be filled; ``path`` says where it stands."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


def substitute(data: Any, fill: Fill, path: str = "") -> Any:
    """Return ``data`` with each placeholder, a mapping of one key ``$text``, ``$json`` or ``$yaml``, filled.

    Any other mapping with a key that begins with ``$`` is left as it is, with all below it. What a file brings is taken
    as it is: a placeholder inside it is not filled again. Raises BadPlaceholder.
    """
    if isinstance(data, dict):
        if any(name.startswith("$") for name in data):
            name, target = next(iter(data.items()))
            return _filled(name, target, fill, path) if len(data) == 1 and name in NAMES else data
        return {name: substitute(value, fill, f"{path}.{name}" if path else name) for name, value in data.items()}
    if isinstance(data, list):
        return [substitute(value, fill, f"{path}.{at}") for at, value in enumerate(data)]
    return data


def _filled(name: str, target: Any, fill: Fill, path: str) -> Any:
    if not isinstance(target, str):
        raise BadPlaceholder(path, f"{name}: the target must be text")
    try:
        return fill(name, target)
    except Refused as refused:
        raise BadPlaceholder(path, f"{name}: {refused}") from None


def from_folder(folder: Folder, base: str) -> Fill:
    """Return the fill that reads files beside ``base``, the entity file."""

    def fill(name: str, target: str) -> Any:
        if "://" in target:
            raise Refused("only files are read, not web addresses")
        files = folder.expand(target, base=base)
        if len(files) != 1:
            raise Refused("the target must name one file")
        text = folder.read(files[0], suffixes=TEXT_SUFFIXES)
        if name == "$text":
            return text
        return _loaded(text, load_json if name == "$json" else load)

    return fill


def unread(_name: str, _target: str) -> str:
    """Fill a placeholder without reading anything: descriptor text of a caller must not open our files."""
    return "(not read)"


def _loaded(text: str, reader: Callable[[str], Any]) -> Any:
    try:
        return reader(text)
    except BadYaml as bad:
        raise Refused(f"line {bad.line}: {bad.message}") from None
