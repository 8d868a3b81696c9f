"""Reads policy files. What comes out parses, uses only words of the schema, and names every policy once.

A file that does not is refused at start with its name and line: a policy that silently said nothing would be worse.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cedarpy

from portal.settings import ConfigurationError

HERE = Path(__file__).parent
DEFAULT = HERE / "default.cedar"
SCHEMA = HERE / "schema.cedarschema"
MAX_FILE_BYTES = 1_048_576
MAX_ASK_CHARS = 300
_STRING_OR_COMMENT = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*')


@dataclass(frozen=True, slots=True)
class _Source:
    path: Path
    text: str

    def refused(self, line: int, why: str) -> ConfigurationError:
        return ConfigurationError(f"policy: {self.path}, line {line}: {why}")

    def line_of(self, annotation: str) -> int:
        """Return where the policy with this ``@id`` has it; 1 when that cannot be told."""
        return self._found(annotation) or 1

    def place_of(self, annotation: str) -> str:
        """Return the file and, unless the ``@id`` is written in a way that hides it, the line."""
        line = self._found(annotation)
        return f"{self.path}:{line}" if line else str(self.path)

    def _found(self, annotation: str) -> int | None:
        code = _STRING_OR_COMMENT.sub(lambda found: "" if found[0].startswith("//") else found[0], self.text)
        found = re.search(rf'@\s*id\s*\(\s*"{re.escape(annotation)}"\s*\)', code)
        return code.count("\n", 0, found.start()) + 1 if found else None


@dataclass(frozen=True, slots=True)
class Policies:
    """All policies as one set. By ``@id``: the reason of each permit with ``@ask``, and the file and line of each."""

    policies: cedarpy.PolicySet
    asks: Mapping[str, str]
    places: Mapping[str, str]


def read_policies(files: Sequence[Path]) -> Policies:
    """Return default.cedar and ``files`` as one set. Raises ConfigurationError."""
    asks: dict[str, str] = {}
    places: dict[str, str] = {}
    schema = cedarpy.Schema.from_str(SCHEMA.read_text(encoding="utf-8"))
    named: dict[str, Path] = {}
    sources = [_read(path) for path in (DEFAULT, *files)]
    for source in sources:
        for name, policy in _policies(source).items():
            if name in named:
                raise source.refused(source.line_of(name), f'@id("{name}") is already used in {named[name]}')
            named[name] = source.path
            places[name] = source.place_of(name)
            if "ask" in policy.annotations:
                asks[name] = _ask(source, name, policy)
        _validate(source, schema)
    return Policies(cedarpy.PolicySet.from_str("\n".join(source.text for source in sources)), asks, places)


def _read(path: Path) -> _Source:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise ConfigurationError(f"policy: {path} has more than {MAX_FILE_BYTES} bytes")
        return _Source(path, content.decode())
    except OSError as error:
        raise ConfigurationError(f"policy: {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"policy: {path}, line {line}: not UTF-8") from None


def _ask(source: _Source, name: str, policy: Any) -> str:
    """Return what the person is told who is asked. Only a permit can ask: what is forbidden nobody may allow."""
    reason: str = policy.annotations["ask"].strip()
    if policy.effect != "permit":
        raise source.refused(source.line_of(name), f'policy "{name}": @ask goes with a permit only')
    if not reason or len(reason) > MAX_ASK_CHARS or not reason.isprintable():
        why = f"@ask needs a reason of one line, at most {MAX_ASK_CHARS} characters"
        raise source.refused(source.line_of(name), f'policy "{name}": {why}')
    return reason


def _policies(source: _Source) -> dict[str, Any]:
    """Return the policies by ``@id``. Each must have one: it is how the record says which rule decided."""
    try:
        found = cedarpy.policies_to_pst(source.text)
    except ValueError as error:
        raise source.refused(_line_of_error(source.text, str(error)), str(error)) from None
    if found.templates:
        raise source.refused(1, "templates (?principal, ?resource) permit nothing by themselves; write the policy out")
    names: dict[str, Any] = {}
    for policy in found.static_policies.values():
        name = policy.annotations.get("id")
        if not name:
            last = next(reversed(names), "")
            after = f'the one after @id("{last}")' if names else "the first one"
            raise source.refused(
                source.line_of(last) if names else 1, f'every policy needs @id("name"); {after} has none'
            )
        if name in names:
            raise source.refused(source.line_of(name), f'@id("{name}") is used twice')
        names[name] = policy
    return names


def _validate(source: _Source, schema: cedarpy.Schema) -> None:
    result = cedarpy.validate_policies(source.text, schema)
    if result.validation_passed:
        return
    for error in result.errors:
        name = result.id_annotations_by_policy_id.get(error.policy_id, "")
        raise source.refused(source.line_of(name), f'policy "{name}": {error.error}')
    raise source.refused(1, "the policies do not fit the schema")


def _line_of_error(text: str, message: str) -> int:
    """Return the line at which parsing fails with ``message``, which says what is wrong but not where.

    It is the first line that makes the text before it fail in the same way.
    """
    lines = text.splitlines(keepends=True)
    for count in range(1, len(lines)):
        try:
            cedarpy.PolicySet.from_str("".join(lines[:count]))
        except ValueError as error:
            if str(error) == message:
                return count
    return max(len(lines), 1)
