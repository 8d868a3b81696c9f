"""One shape for every list, so that a program pages any tool with the same loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from servers._kit.failures import InvalidInput

T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    """One page of a list."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    items: list[T]
    next_page: str | None = Field(default=None, description="Pass as `page` for the next page; null on the last.")
    truncated: bool = Field(default=False, description="True when there is more than this page holds.")
    total: int | None = Field(default=None, description="Number of items on all pages, when the source tells.")


def page_of(items: Sequence[T], *, page: str | None, limit: int) -> Page[T]:
    """Return the page of an in-memory list that the token ``page`` (from next_page) names.

    Raises InvalidInput for a token that next_page never gave.
    """
    start = 0
    if page is not None:
        if not (page.isascii() and page.isdigit() and len(page) < 10) or int(page) > len(items):
            raise InvalidInput("page is not a token from next_page; leave it out for the first page")
        start = int(page)
    end = start + limit
    more = end < len(items)
    return Page(items=list(items[start:end]), next_page=str(end) if more else None, truncated=more, total=len(items))
