"""One server's share of the search index: everything that depends on its own tools alone.

Made once for a listing and a summary, and used again in every later index until one of the two changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portal.catalogue.meaning import TextVectors, Vectors
from portal.catalogue.pacing import unhurried
from portal.catalogue.records import Tool
from portal.catalogue.words import pairs, spaced, terms

FIELDS = ("name", "server", "description", "parameter names", "parameter descriptions")
PAIRED = frozenset({0, 2})
"""The fields whose neighbouring words count as pairs: those that people write as phrases."""
MAX_COUNT = 255
MAX_PARAMETER_CHARS = 200
MEANING_DESCRIPTION_CHARS = 300
"""Past its beginning a description tells of formats and limits, which draw a mean away from what the tool is for."""


@dataclass(frozen=True, slots=True, eq=False)
class Section:
    """``tools`` in row order. A posting is one term of one tool: ``keys`` holds the term (see ``key``), ``rows`` the
    tool's row, ``counts`` (postings, fields) how often it stands in each field. ``lengths`` is (tools, fields) in
    words; ``vectors`` is (tools, dimensions), or None when there are none.
    """

    tools: tuple[Tool, ...]
    summary: str
    keys: NDArray[np.int64]
    rows: NDArray[np.int32]
    counts: NDArray[np.uint8]
    lengths: NDArray[np.int32]
    vectors: Vectors | None


def section(tools: Sequence[Tool], summary: str, vectors: TextVectors | None) -> Section:
    """Return the section of one server."""
    keys: list[int] = []
    rows: list[int] = []
    counts: list[list[int]] = []
    lengths: list[list[int]] = []
    meanings: list[Vectors] = []
    about_server = terms(f"{tools[0].server} {summary}") if tools else []
    for row, tool in enumerate(unhurried(tools)):
        fields = _fields(tool, about_server)
        found = _counted(fields)
        keys += map(key, found)
        rows += [row] * len(found)
        counts += found.values()
        lengths.append([len(stems) for stems in fields])
        if vectors is not None:
            meanings.append(vectors.of(_about(tool)))
    width = len(FIELDS)
    return Section(
        tools=tuple(tools),
        summary=summary,
        keys=np.array(keys, np.int64),
        rows=np.array(rows, np.int32),
        counts=np.array(counts, np.uint8).reshape(-1, width),
        lengths=np.array(lengths, np.int32).reshape(-1, width),
        vectors=None if vectors is None else np.array(meanings, np.float32).reshape(-1, vectors.dimensions),
    )


def key(term: str) -> int:
    """Return the number that stands for a term in this process.

    A hash saves the dictionary of all terms: a hundred bytes each, and rebuilt with every change. It is seeded at
    random, so that nobody can write a term that collides with another.
    """
    return hash(term)


def _fields(tool: Tool, about_server: list[str]) -> list[list[str]]:
    properties = tool.input_schema.get("properties")
    described = properties.values() if isinstance(properties, Mapping) else ()
    return [
        terms(tool.name if not tool.title else f"{tool.name} {tool.title}"),
        about_server,
        terms(tool.description),
        terms(" ".join(tool.parameters.values())),
        [term for schema in described for term in terms(_description(schema))],
    ]


def _counted(fields: Sequence[list[str]]) -> dict[str, list[int]]:
    counts: dict[str, list[int]] = {}
    for number, stems in enumerate(fields):
        both = [*stems, *pairs(stems)] if number in PAIRED else stems
        for term, count in Counter(both).items():
            counts.setdefault(term, [0] * len(fields))[number] = min(count, MAX_COUNT)
    return counts


def _about(tool: Tool) -> str:
    name = tool.name if not tool.title else f"{tool.name} {tool.title}"
    return f"{spaced(tool.server)} {spaced(name)}. {tool.description[:MEANING_DESCRIPTION_CHARS]}"


def _description(schema: Any) -> str:
    text = schema.get("description") if isinstance(schema, Mapping) else None
    return text[:MAX_PARAMETER_CHARS] if isinstance(text, str) else ""
