"""The two ways a query fails: it cannot be read, or it cannot be computed."""

from __future__ import annotations


class QueryError(Exception):
    """A query that gets no answer; ``kind`` is Prometheus's errorType."""

    kind = "bad_data"


class ParseError(QueryError):
    """The query cannot be read. The text begins with ``line:column``, both counted from 1."""

    def __init__(self, query: str, position: int, message: str) -> None:
        before = query[: min(position, len(query))]
        line = before.count("\n") + 1
        column = len(before) - (before.rfind("\n") + 1) + 1
        super().__init__(f"{line}:{column}: parse error: {message}")


class ExecutionError(QueryError):
    """The query was read and cannot be computed on this data."""

    kind = "execution"
