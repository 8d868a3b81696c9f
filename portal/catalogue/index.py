"""The search index: BM25F over name, server, description and parameters, with every impact computed beforehand.

Immutable once built. Built in a thread (a second per ten thousand tools); a query touches only the postings of its own
words, so that it costs a millisecond or two on the event loop.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from portal.catalogue.records import Tool
from portal.catalogue.similar import corrections
from portal.catalogue.synonyms import related
from portal.catalogue.words import pairs, terms

K1 = 1.2
B = 0.5
WEIGHTS = (3.0, 1.0, 1.0, 0.5, 0.3)  # name, server, description, parameter names, parameter descriptions
PAIR_WEIGHT = 0.5
SYNONYM_WEIGHT = 0.2
CORRECTION_WEIGHT = 0.6
MAX_QUERY_TERMS = 40
MAX_PARAMETER_CHARS = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """One tool as the index sees it: how often each term stands in each field, and how long each field is."""

    counts: Mapping[str, tuple[int, ...]]
    lengths: tuple[int, ...]


def entry(tool: Tool, summary: str) -> Entry:
    """Return a tool's terms."""
    properties = tool.input_schema.get("properties")
    described = properties.values() if isinstance(properties, Mapping) else ()
    fields = [
        terms(tool.name if not tool.title else f"{tool.name} {tool.title}"),
        terms(f"{tool.server} {summary}"),
        terms(tool.description),
        terms(" ".join(tool.parameters.values())),
        [term for schema in described for term in terms(_description(schema))],
    ]
    counts: dict[str, list[int]] = {}
    for number, stems in enumerate(fields):
        both = [*stems, *pairs(stems)] if number in {0, 2} else stems
        for term, count in Counter(both).items():
            counts.setdefault(term, [0] * len(fields))[number] = count
    return Entry({term: tuple(found) for term, found in counts.items()}, tuple(len(stems) for stems in fields))


class Index:
    """Answers which tools fit a query. A document is the number of its entry."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._size = len(entries)
        means = [sum(e.lengths[n] for e in entries) / (self._size or 1) or 1.0 for n in range(len(WEIGHTS))]
        postings: dict[str, tuple[array[int], array[float]]] = {}
        for number, found in enumerate(entries):
            scales = [
                weight / (1 - B + B * length / mean)
                for weight, length, mean in zip(WEIGHTS, found.lengths, means, strict=True)
            ]
            for term, counts in found.counts.items():
                strength = sum(scale * count for scale, count in zip(scales, counts, strict=True))
                documents, impacts = postings.setdefault(term, (array("l"), array("d")))
                documents.append(number)
                impacts.append(strength * (K1 + 1) / (K1 + strength))
        for documents, impacts in postings.values():
            rarity = math.log(1 + (self._size - len(documents) + 0.5) / (len(documents) + 0.5))
            for position, impact in enumerate(impacts):
                impacts[position] = impact * rarity
        self._postings = postings

    def scores(self, query: str, visible: Callable[[int], bool]) -> dict[int, float]:
        """Return the score of every document, visible or not, that shares a term with the query.

        A word that no visible document has is taken for a slip, as if the others were not there. (How rare a word is
        counts all documents: that can move a tool among its like, but no score is ever shown.)
        """
        found: dict[int, float] = {}
        for term, weight in self._weighted(query, visible).items():
            documents, impacts = self._postings[term]
            for document, impact in zip(documents, impacts, strict=True):
                found[document] = found.get(document, 0.0) + weight * impact
        return found

    def _weighted(self, query: str, visible: Callable[[int], bool]) -> dict[str, float]:
        """Return the terms of a query that the index knows, each with its weight."""
        stems = terms(query)[:MAX_QUERY_TERMS]
        wanted: dict[str, float] = {}
        for term in dict.fromkeys(stems):
            if self._seen(term, visible):
                _raise(wanted, [term], 1.0)
            else:
                slips = corrections(term, lambda word: self._seen(word, visible))
                _raise(wanted, slips, CORRECTION_WEIGHT)
            _raise(wanted, related(term), SYNONYM_WEIGHT)
        for pair in pairs(stems):
            _raise(wanted, [pair], PAIR_WEIGHT)
            _raise(wanted, related(pair), SYNONYM_WEIGHT)
        return {term: weight for term, weight in wanted.items() if term in self._postings}

    def _seen(self, term: str, visible: Callable[[int], bool]) -> bool:
        found = self._postings.get(term)
        return found is not None and any(map(visible, found[0]))


def _raise(wanted: dict[str, float], found: Iterable[str], weight: float) -> None:
    for term in found:
        wanted[term] = max(wanted.get(term, 0.0), weight)


def _description(schema: Any) -> str:
    text = schema.get("description") if isinstance(schema, Mapping) else None
    return text[:MAX_PARAMETER_CHARS] if isinstance(text, str) else ""
