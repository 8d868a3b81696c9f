"""What the tools answer: small, flat, every field always present."""

from __future__ import annotations

from pydantic import AwareDatetime

from servers._kit import Output


class Note(Output):
    """One note."""

    id: str
    title: str
    text: str
    author: str
    created: AwareDatetime


class NoteSummary(Output):
    """A note without its text."""

    id: str
    title: str
