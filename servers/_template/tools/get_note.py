"""Read one note."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from servers._kit import tool
from servers._template.client import Template
from servers._template.models import Note


@tool(effect="read", scope="template:read")
async def get_note(client: Template, note: Annotated[str, Field(min_length=1, max_length=100)]) -> Note:
    """Read a whole note by its id."""
    return await client.note(note)
