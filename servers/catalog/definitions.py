"""An API entity's definition as its tool answers it: the operations that match, or a window of the text."""

from __future__ import annotations

from servers.catalog import apis, views
from servers.catalog.apis.models import ApiDefinition, Operation
from servers.catalog.contract import Entity


def as_operations(entity: Entity, definition: str, *, match: str, limit: int) -> ApiDefinition:
    """Return at most ``limit`` operations that have every word of ``match``; a definition beyond us is a problem."""
    try:
        parsed = apis.parse(str(entity.spec.get("type", "")), definition)
    except apis.BadDefinition as bad:
        return _answer(entity, definition, apis.Parsed(None, None, []), [], problem=str(bad))
    wanted = match.lower().split()
    found = [operation for operation in parsed.operations if all(word in _all_text(operation) for word in wanted)]
    answer = _answer(entity, definition, parsed, found[:limit], problem=None)
    return answer.model_copy(update={"total_operations": len(found), "truncated": len(found) > limit})


def as_text(entity: Entity, definition: str, *, start: int, max_chars: int) -> ApiDefinition:
    """Return a window of the text."""
    answer = _answer(entity, definition, apis.Parsed(None, None, []), [], problem=None)
    window = definition[start : start + max_chars]
    return answer.model_copy(
        update={"raw": window, "raw_start": start, "truncated": start + max_chars < len(definition)}
    )


def _answer(
    entity: Entity, definition: str, parsed: apis.Parsed, operations: list[Operation], *, problem: str | None
) -> ApiDefinition:
    return ApiDefinition(
        ref=entity.ref,
        type=views.text(entity, "spec.type"),
        title=parsed.title or views.title(entity),
        version=parsed.version,
        operations=operations,
        total_operations=len(operations),
        raw=None,
        raw_start=0,
        raw_chars=len(definition),
        truncated=False,
        problem=problem,
    )


def _all_text(operation: Operation) -> str:
    parts = (operation.kind, operation.name, operation.method, operation.path, operation.summary, operation.input)
    return " ".join(part for part in (*parts, operation.output) if part).lower()
