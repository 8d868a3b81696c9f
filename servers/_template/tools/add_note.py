"""Write a note."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from servers._kit import tool
from servers._template.client import Template
from servers._template.models import Note
from shared_auth.principal import Principal


@tool(effect="write", scope="template:write")
async def add_note(
    client: Template,
    principal: Principal,
    title: Annotated[str, Field(min_length=1, max_length=200)],
    text: Annotated[str, Field(max_length=10_000)],
) -> Note:
    """Write a new note; its author is the person who asks."""
    return await client.add_note(title=title, text=text, author=principal.email or principal.subject)
