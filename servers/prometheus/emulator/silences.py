"""Silences: checked, kept in memory and, if a file is given, written to it before anybody is told that they exist."""

from __future__ import annotations

import json
import os
import re
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from servers.prometheus.emulator.promql.matchers import Matcher, all_match, matcher

State = Literal["pending", "active", "expired"]
Labels = Mapping[str, str]

MAX_SILENCES = 2_000
MAX_TEXT_CHARS = 4_096
KEPT_AFTER_END_MS = 120 * 3_600_000
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class BadSilence(ValueError):
    """A silence or a filter cannot be used; answered with status 400."""


class NoSuchSilence(LookupError):
    """No silence has this id."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Alerts whose labels satisfy every matcher are silent in [starts_ms, ends_ms)."""

    id: str
    matchers: tuple[Matcher, ...]
    starts_ms: int
    ends_ms: int
    updated_ms: int
    created_by: str
    comment: str

    def state(self, now_ms: int) -> State:
        """Return the state at a moment."""
        if now_ms >= self.ends_ms:
            return "expired"
        return "pending" if now_ms < self.starts_ms else "active"

    def silences(self, labels: Labels, now_ms: int) -> bool:
        """Say whether an alert with these labels is silent."""
        return self.state(now_ms) == "active" and all_match(self.matchers, tuple(labels.items()))


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody asks to be silenced; ``id`` is set to change an existing silence."""

    matchers: tuple[Matcher, ...]
    starts_ms: int
    ends_ms: int
    created_by: str
    comment: str
    id: str = ""


class Silences:
    """All silences. Blocks when it writes; safe from any thread."""

    def __init__(self, now_ms: Callable[[], int], file: Path | None = None) -> None:
        self._now_ms = now_ms
        self._file = file
        self._lock = threading.Lock()
        self._silences = _read(file) if file and file.exists() else {}

    def all(self) -> list[Silence]:
        """Return every silence, those that end last first."""
        return sorted(self._silences.values(), key=lambda s: (-s.ends_ms, s.id))

    def get(self, silence_id: str) -> Silence:
        """Return one silence. Raises NoSuchSilence."""
        if silence_id not in self._silences:
            raise NoSuchSilence("silence not found")
        return self._silences[silence_id]

    def silencing(self, labels: Labels) -> list[str]:
        """Return the ids of the silences that silence an alert with these labels now."""
        now_ms = self._now_ms()
        return sorted(s.id for s in list(self._silences.values()) if s.silences(labels, now_ms))

    def put(self, draft: Draft) -> str:
        """Store a silence and return its id. Raises BadSilence or NoSuchSilence."""
        with self._lock:
            now_ms = self._now_ms()
            old = self.get(draft.id) if draft.id else None
            starts_ms = max(draft.starts_ms, now_ms)
            if draft.ends_ms < draft.starts_ms:
                raise BadSilence("Failed to create silence: start time must be before end time")
            if draft.ends_ms <= now_ms:
                raise BadSilence("Failed to create silence: end time can't be in the past")
            changed = dict(self._kept(now_ms))
            if len(changed) >= MAX_SILENCES:
                raise BadSilence(f"silence invalid: the emulator keeps at most {MAX_SILENCES} silences")
            new_id = str(uuid.uuid4())
            if old is not None and old.state(now_ms) != "expired":
                if old.matchers == draft.matchers and (old.starts_ms <= now_ms) == (starts_ms <= now_ms):
                    new_id, starts_ms = old.id, old.starts_ms if old.starts_ms <= now_ms else starts_ms
                else:
                    # Other matchers silence something else: the old one ends and a new one begins.
                    changed[old.id] = replace(old, ends_ms=now_ms, updated_ms=now_ms)
            changed[new_id] = Silence(
                new_id, draft.matchers, starts_ms, draft.ends_ms, now_ms, draft.created_by, draft.comment
            )
            self._store(changed)
            return new_id

    def expire(self, silence_id: str) -> None:
        """End a silence now; one that is over stays as it is. Raises NoSuchSilence."""
        with self._lock:
            now_ms = self._now_ms()
            found = self.get(silence_id)
            if found.state(now_ms) == "expired":
                return
            ended = replace(found, starts_ms=min(found.starts_ms, now_ms), ends_ms=now_ms, updated_ms=now_ms)
            self._store({**self._kept(now_ms), silence_id: ended})

    def _kept(self, now_ms: int) -> dict[str, Silence]:
        return {k: s for k, s in self._silences.items() if s.ends_ms > now_ms - KEPT_AFTER_END_MS}

    def _store(self, silences: dict[str, Silence]) -> None:
        if self._file is not None:
            _write(self._file, silences.values())
        self._silences = silences


def draft_of(body: Mapping[str, Any], moment_ms: Callable[[str], int | None]) -> Draft:
    """Return the checked draft in a request's body. Raises BadSilence."""
    times = [moment_ms(str(body.get(name))) for name in ("startsAt", "endsAt")]
    if times[0] is None or times[1] is None:
        raise BadSilence("startsAt and endsAt must be RFC 3339 times")
    matchers = _matchers(body["matchers"])
    texts = [body.get(name) for name in ("createdBy", "comment", "id")]
    if any(text is not None and (not isinstance(text, str) or len(text) > MAX_TEXT_CHARS) for text in texts):
        raise BadSilence(f"createdBy, comment and id must be strings of at most {MAX_TEXT_CHARS} characters")
    created_by, comment, silence_id = (text or "" for text in texts)
    return Draft(matchers, times[0], times[1], created_by, comment, silence_id)


def _matchers(values: Sequence[Any]) -> tuple[Matcher, ...]:
    found = []
    for number, value in enumerate(values):
        if (
            not isinstance(value, dict)
            or not isinstance(value.get("name"), str)
            or not isinstance(value.get("value"), str)
        ):
            raise BadSilence(f"silence invalid: invalid label matcher {number}: name and value must be strings")
        if _LABEL.fullmatch(value["name"]) is None:
            raise BadSilence(f'silence invalid: invalid label matcher {number}: invalid label name "{value["name"]}"')
        operator = ("=" if value.get("isEqual", True) else "!") + ("~" if value.get("isRegex") else "=")
        operator = "=" if operator == "==" else operator
        try:
            found.append(matcher(value["name"], operator, value["value"]))
        except ValueError as error:
            reason = f'invalid regular expression "{value["value"]}": {error}'
            raise BadSilence(f"silence invalid: invalid label matcher {number}: {reason}") from None
    if all(m.matches("") for m in found):
        raise BadSilence("silence invalid: at least one matcher must not match the empty string")
    return tuple(found)


def _read(file: Path) -> dict[str, Silence]:
    found = {}
    for value in json.loads(file.read_text(encoding="utf-8")):
        matchers = tuple(Matcher(m["name"], m["operator"], m["value"]) for m in value["matchers"])
        found[value["id"]] = Silence(**{**value, "matchers": matchers})
    return found


def _write(file: Path, silences: Any) -> None:
    beside = file.with_name(f"{file.name}.new")
    with beside.open("w", encoding="utf-8") as out:
        json.dump([asdict(silence) for silence in silences], out)
        out.flush()
        os.fsync(out.fileno())
    beside.replace(file)
