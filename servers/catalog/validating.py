"""Descriptor text that a caller wants judged: the rules of the catalog, without storing it or reading any file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from servers.catalog.contract import Entity, Judged, Problem
from servers.catalog.locations import guess_ref, judge
from servers.catalog.reading import BadYaml, documents
from servers.catalog.relations import declared
from servers.catalog.substitutions import unread

TEXT = "(text)"
MAX_DOCUMENTS = 200


def judge_text(text: str, known: Mapping[str, Entity]) -> Judged:
    """Return the valid entities of the text, every fault with its line, and the targets that nobody declares."""
    valid: dict[str, Mapping[str, Any]] = {}
    problems = []
    for at, found in enumerate(documents(text)):
        if at >= MAX_DOCUMENTS:
            problems.append(Problem(TEXT, None, None, f"more than {MAX_DOCUMENTS} documents; judge them in parts"))
            break
        if isinstance(found, BadYaml):
            problems.append(Problem(TEXT, found.line, None, found.message))
            continue
        data, faults = judge(found, unread)
        ref = guess_ref(found.value)
        problems += [Problem(TEXT, line, ref, message) for line, message in faults]
        if ref in valid:
            problems.append(Problem(TEXT, found.line, ref, "the text declares this entity twice"))
        elif data is not None and ref is not None and not faults:
            valid[ref] = data
    if not valid and not problems:
        problems.append(Problem(TEXT, None, None, "the text has no entity"))
    missing = tuple(
        (ref, kind, target)
        for ref, data in valid.items()
        for kind, target in declared(data)
        if target not in known and target not in valid
    )
    return Judged(tuple(valid), tuple(problems), missing)
