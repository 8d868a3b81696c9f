"""The one place that touches entity files: inside one root folder, bounded, and aware of what it has looked at.

A target is resolved on its text first and on the disk afterwards, so neither ``..`` nor a symbolic link leads out.
Hidden names are never read, and only document suffixes are: an entity file must not publish a key or a database.
"""

from __future__ import annotations

import fnmatch
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from servers.catalog.braces import TooMany, expanded

ENTITY_SUFFIXES = frozenset({".yaml", ".yml", ".json"})
TEXT_SUFFIXES = ENTITY_SUFFIXES | {
    ".graphql",
    ".graphqls",
    ".gql",
    ".proto",
    ".md",
    ".txt",
    ".avsc",
    ".xml",
    ".wsdl",
    ".raml",
}
MAX_LISTED = 50_000
MAX_SEGMENTS = 40
MAX_TOTAL_BYTES = 256 * 1024 * 1024

Stamp = tuple[int, int, int, int]


class Refused(Exception):
    """A path may not be read or cannot be; the message names no path outside the folder."""


@dataclass(slots=True)
class Folder:
    """A root folder. ``seen`` has the stamp of everything looked at, None for what was not there."""

    root: Path
    max_bytes: int
    seen: dict[Path, Stamp | None] = field(default_factory=dict)
    listed: int = 0
    total: int = 0

    def __post_init__(self) -> None:
        self.root = self.root.resolve()

    def expand(self, target: str, *, base: str = "") -> list[str]:
        """Return the files that ``target`` names, relative to the root; ``base`` is the file that names it.

        Wildcards ``*``, ``?`` and ``[…]`` match within one segment, ``**`` any number of folders and, as the last,
        every file below; none matches a hidden name. ``{a,b}`` and ``{1..3}`` stand for several targets. A target
        without any of these is returned whether or not it exists. Raises Refused.
        """
        try:
            targets = expanded(target)
        except TooMany as many:
            raise Refused(str(many)) from None
        found: dict[str, None] = {}
        for one in targets:
            segments = self._segments(one, base)
            if len(targets) == 1 and not any(_wild(segment) for segment in segments):
                return ["/".join(segments)]
            found |= {"/".join(path): None for path in sorted(self._matches((), segments))}
        return list(found)

    def read(self, file: str, *, suffixes: frozenset[str] = ENTITY_SUFFIXES) -> str:
        """Return the text of a file given relative to the root. Raises Refused."""
        path = self.root.joinpath(*file.split("/"))
        self.seen[path] = _stamp(path)
        try:
            real = path.resolve(strict=True)
        except (OSError, RuntimeError):
            raise Refused("there is no such file") from None
        if not real.is_relative_to(self.root):
            raise Refused("the file lies outside the root folder")
        if any(part.startswith(".") for part in real.relative_to(self.root).parts):
            raise Refused("hidden files are not read")
        if real.suffix.lower() not in suffixes:
            raise Refused(f"only {', '.join(sorted(suffixes))} files are read here")
        self.seen[real] = _stamp(real)
        return self._text(real)

    def watch(self, path: Path) -> None:
        """Have ``changed`` look at a file that is not ours to read, such as the registered locations."""
        self.seen[path] = _stamp(path)

    def changed(self) -> bool:
        """Say whether anything looked at is different on the disk now."""
        return any(_stamp(path) != stamp for path, stamp in self.seen.items())

    def _text(self, real: Path) -> str:
        try:
            # Without O_NONBLOCK a named pipe would hold this thread for ever.
            handle = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            raise Refused("the file cannot be opened") from None
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise Refused("this is not a regular file")
            with os.fdopen(handle, "rb", closefd=False) as file:
                raw = file.read(self.max_bytes + 1)
        except OSError:
            raise Refused("the file cannot be read") from None
        finally:
            os.close(handle)
        if len(raw) > self.max_bytes:
            raise Refused(f"the file is larger than {self.max_bytes} bytes")
        # A small entity file can name one large file a thousand times.
        self.total += len(raw)
        if self.total > MAX_TOTAL_BYTES:
            raise Refused(f"all files together are larger than {MAX_TOTAL_BYTES} bytes")
        try:
            return raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise Refused("the file is not UTF-8 text") from None

    def _segments(self, target: str, base: str) -> list[str]:
        if "\\" in target or not target.isprintable():
            raise Refused("a target is a relative path with forward slashes")
        if target.endswith("/"):
            raise Refused("a target names files, not a folder")
        if target.startswith("/"):
            target, base = self._inside(target), ""
        found = list(PurePosixPath(base).parent.parts) if base else []
        for segment in target.split("/"):
            if segment in {"", "."}:
                continue
            if segment == "..":
                if not found:
                    raise Refused("the target lies outside the root folder")
                found.pop()
            elif segment.startswith("."):
                raise Refused("hidden files are not read")
            else:
                found.append(segment)
        if not found or len(found) > MAX_SEGMENTS:
            raise Refused("the target names no file")
        return found

    def _inside(self, target: str) -> str:
        try:
            return Path(os.path.normpath(target)).relative_to(self.root).as_posix()
        except ValueError:
            raise Refused("the target lies outside the root folder") from None

    def _matches(self, done: tuple[str, ...], rest: list[str]) -> set[tuple[str, ...]]:
        """Return the paths below ``done`` that match ``rest``."""
        segment, *below = rest
        if segment == "**":
            found = self._matches(done, below or ["*"])
            for name, is_folder in self._list(done):
                if is_folder:
                    found |= self._matches((*done, name), rest)
            return found
        if not _wild(segment):
            return self._descend((*done, segment), below)
        found = set[tuple[str, ...]]()
        for name, is_folder in self._list(done):
            # A class is negated by ! here, and by ^ as well there.
            if fnmatch.fnmatchcase(name, segment.replace("[^", "[!")) and is_folder == bool(below):
                found |= self._descend((*done, name), below)
        return found

    def _descend(self, done: tuple[str, ...], below: list[str]) -> set[tuple[str, ...]]:
        if below:
            return self._matches(done, below)
        path = self.root.joinpath(*done)
        self.seen[path] = _stamp(path)
        # Not Path.is_file: it raises for a name that is too long.
        return {done} if os.path.isfile(path) else set()  # noqa: PTH113

    def _list(self, done: tuple[str, ...]) -> list[tuple[str, bool]]:
        path = self.root.joinpath(*done)
        self.seen[path] = _stamp(path)
        found = []
        try:
            if not path.resolve().is_relative_to(self.root):
                return []
            with os.scandir(path) as entries:
                for entry in entries:
                    self.listed += 1
                    if self.listed > MAX_LISTED:
                        raise Refused(f"wildcards go through more than {MAX_LISTED} names; name a narrower folder")
                    # A linked folder is not walked into: it could lead out, or round in a circle.
                    if not entry.name.startswith("."):
                        found.append((entry.name, entry.is_dir(follow_symlinks=False)))
        except (OSError, RuntimeError):
            # RuntimeError is what a circle of links is.
            return []
        return sorted(found)


def _wild(segment: str) -> bool:
    return any(char in segment for char in "*?[")


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    # ctime as well: tools that copy files set mtime back.
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
