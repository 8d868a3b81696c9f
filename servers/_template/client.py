"""The vendor's API in the words of our tools: the only file that knows its addresses and fields."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from servers._kit.http import Http, open_http, path
from servers._template.emulator import emulator
from servers._template.models import Note, NoteSummary
from servers._template.settings import TemplateSettings


class Template:
    """A connection to the vendor."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def notes(self, *, query: str, cursor: str | None, limit: int) -> tuple[list[NoteSummary], str | None]:
        """Return (notes, cursor of the next page). Raises ToolFailure."""
        answer = await self._http.get("/api/notes", {"q": query, "cursor": cursor, "limit": limit})
        return [NoteSummary(id=n["id"], title=n["title"]) for n in answer["notes"]], answer["next"]

    async def note(self, note_id: str) -> Note:
        """Return one note. Raises NotFound and every other ToolFailure."""
        return _note(await self._http.get(path("api", "notes", note_id)))

    async def add_note(self, *, title: str, text: str, author: str) -> Note:
        """Store a note and return it as stored. Raises ToolFailure."""
        return _note(await self._http.send("POST", "/api/notes", body={"title": title, "text": text, "author": author}))


@asynccontextmanager
async def open_client(settings: TemplateSettings, *, as_caller: bool = False) -> AsyncIterator[Template]:
    """Yield the client for as long as the server runs. With ``as_caller``, each request is that of whoever calls."""
    headers = {"Authorization": f"Bearer {settings.token.get_secret_value()}"} if settings.token else {}
    transport = None if settings.url else httpx.ASGITransport(app=emulator())
    async with open_http(
        settings.url or "http://emulator.invalid",
        vendor="Template",
        headers=headers,
        as_caller=as_caller,
        timeout_s=settings.timeout_s,
        transport=transport,
    ) as http:
        yield Template(http)


def _note(value: dict[str, Any]) -> Note:
    return Note.model_validate({name: value[name] for name in Note.model_fields})
