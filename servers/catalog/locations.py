"""From root files to valid descriptors: every Location is followed once, and what is broken hides only itself."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from servers.catalog.contract import Problem, Step
from servers.catalog.folder import Folder, Refused
from servers.catalog.reading import BadYaml, Document, documents
from servers.catalog.refs import DEFAULT_NAMESPACE, make_ref
from servers.catalog.relations import in_order
from servers.catalog.substitutions import BadPlaceholder, Fill, from_folder, substitute
from servers.catalog.validation import faults_of

MAX_PROBLEMS = 1_000
MAX_PATH_CHARS = 300
ORIGIN_ANNOTATION = "backstage.io/managed-by-origin-location"
LOCATION_ANNOTATION = "backstage.io/managed-by-location"


@dataclass(frozen=True, slots=True)
class Root:
    """A target to start from: one of the settings, or a registered location with its id."""

    target: str
    location_id: str | None = None


@dataclass(frozen=True, slots=True)
class Declared:
    """A valid descriptor and where it stands; the last step is its own document."""

    ref: str
    data: Mapping[str, Any]
    steps: tuple[Step, ...]
    location_id: str | None

    @property
    def file(self) -> str:
        return self.steps[-1].file

    @property
    def line(self) -> int:
        return self.steps[-1].line


@dataclass(frozen=True, slots=True)
class _Visit:
    file: str
    steps: tuple[Step, ...]
    root: Root
    required: bool = True


@dataclass(slots=True)
class Loader:
    """Reads what the roots lead to. ``declared`` and ``problems`` have the outcome after ``load``."""

    folder: Folder
    max_files: int
    max_entities: int
    declared: list[Declared] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    _done: set[str] = field(default_factory=set)
    _queue: deque[_Visit] = field(default_factory=deque)

    def load(self, roots: Sequence[Root]) -> None:
        """Read the roots and everything that Locations in them name. Never raises for what files contain."""
        for root in roots:
            self._enqueue(root.target, "", (), root)
        while self._queue:
            visit = self._queue.popleft()
            # A file counts once, however many Locations name it: that also ends every circle.
            if visit.file in self._done:
                continue
            if len(self._done) >= self.max_files:
                self._problem(visit.file, None, None, f"not read: more than {self.max_files} files")
                return
            self._done.add(visit.file)
            self._read(visit)

    def _read(self, visit: _Visit) -> None:
        try:
            text = self.folder.read(visit.file)
        except Refused as refused:
            if visit.required:
                # On show at the Location that names it: the file itself has no entity.
                self._problem(visit.file, None, visit.steps[-1].ref if visit.steps else None, str(refused))
            return
        for found in documents(text):
            if isinstance(found, BadYaml):
                self._problem(visit.file, found.line, None, found.message)
            elif len(self.declared) >= self.max_entities:
                self._problem(visit.file, found.line, None, f"not read: more than {self.max_entities} entities")
                return
            else:
                self._take(found, visit)

    def _take(self, document: Document, visit: _Visit) -> None:
        data, faults = judge(document, from_folder(self.folder, visit.file))
        name = guess_ref(document.value)
        for line, message in faults:
            self._problem(visit.file, line, name, message)
        if faults or data is None or name is None:
            return
        steps = (*visit.steps, Step(visit.file, document.line, name))
        first = steps[0].file
        self.declared.append(Declared(name, _placed(data, visit.file, first), steps, visit.root.location_id))
        if data["kind"] == "Location":
            self._follow(data["spec"], document, steps, visit)

    def _follow(self, spec: Mapping[str, Any], document: Document, steps: tuple[Step, ...], visit: _Visit) -> None:
        if spec.get("type", "file") != "file":
            self._problem(
                visit.file, document.line_of("spec.type"), steps[-1].ref, "only locations of type file are read"
            )
            return
        for target in [*([spec["target"]] if spec.get("target") else []), *(spec.get("targets") or [])]:
            line = document.line_of("spec.targets" if "targets" in spec else "spec.target")
            self._enqueue(target, visit.file, steps, visit.root, line=line, required=spec.get("presence") != "optional")

    def _enqueue(
        self,
        target: str,
        base: str,
        steps: tuple[Step, ...],
        root: Root,
        *,
        line: int | None = None,
        required: bool = True,
    ) -> None:
        name = steps[-1].ref if steps else None
        try:
            if "://" in target:
                raise Refused("only files are read, not web addresses")
            files = self.folder.expand(target, base=base)
        except Refused as refused:
            self._problem(base or target, line, name, f"target {target[:200]!r}: {refused}")
            return
        if not files and required:
            self._problem(base or target, line, name, f"target {target[:200]!r} matches no file")
        self._queue.extend(_Visit(file, steps, root, required) for file in files)

    def _problem(self, file: str, line: int | None, entity: str | None, message: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(file, line, entity, message))


def judge(document: Document, fill: Fill) -> tuple[dict[str, Any] | None, list[tuple[int, str]]]:
    """Return a document with its substitutions done, and every fault in it with its line."""
    try:
        data = substitute(document.value, fill)
    except BadPlaceholder as bad:
        return None, [(document.line_of(bad.path), f"{bad.path}: {bad.message}")]
    # A path has keys of the file in it, which can be of any length.
    faults = [
        (document.line_of(path), f"{path[:MAX_PATH_CHARS]}: {message}" if path else message)
        for path, message in faults_of(data)
    ]
    return data if isinstance(data, dict) else None, faults


def guess_ref(data: Any) -> str | None:
    """Return the reference of a descriptor that may be broken, None when it does not say enough."""
    if not isinstance(data, Mapping) or not isinstance(data.get("metadata"), Mapping):
        return None
    parts = (data.get("kind"), data["metadata"].get("namespace") or DEFAULT_NAMESPACE, data["metadata"].get("name"))
    texts = [part for part in parts if isinstance(part, str) and 0 < len(part) <= 100]
    return str(make_ref(*texts)) if len(texts) == len(parts) else None


def _placed(data: Mapping[str, Any], file: str, first: str) -> dict[str, Any]:
    """Return the descriptor as the catalog has it: with its namespace, and with where it came from."""
    metadata = dict(data["metadata"])
    metadata.setdefault("namespace", DEFAULT_NAMESPACE)
    metadata["annotations"] = {
        **(metadata.get("annotations") or {}),
        LOCATION_ANNOTATION: f"file:{file}",
        ORIGIN_ANNOTATION: f"file:{first}",
    }
    placed = {**data, "metadata": metadata}
    return {**placed, "spec": in_order(data["spec"])} if "spec" in data else placed
