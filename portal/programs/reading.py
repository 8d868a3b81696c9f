"""Kept results as MCP resources: a person's list of them, and their text page by page, each reading on the record."""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from portal.audit.audit import Audit, AuditUnavailable
from portal.programs.handles import JSON, Kept, NoSuchResult, Results, is_handle
from portal.programs.presenting import URI
from shared_auth.principal import Principal

LISTED = 50
MAX_BLOB_BYTES = 4 * 1024 * 1024
_ADDRESS = re.compile(rf"{re.escape(URI)}(r_\w{{1,40}})(?:\?offset=(\d{{1,12}}))?", re.ASCII)
_CURSOR = re.compile(r"(\d{1,15})\.(r_\w{1,40})", re.ASCII)
_CHARACTER_BYTES = 4


class BadCursor(Exception):
    """The cursor is not one of ours."""


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of what a reader gets: text, or data as base64."""

    uri: str
    media_type: str
    text: str | None = None
    blob: str | None = None


class Reading:
    """Answers readers of kept results, each with their own."""

    def __init__(self, results: Results, audit: Audit, *, page_bytes: int) -> None:
        self._results = results
        self._audit = audit
        self._page_bytes = page_bytes

    async def listed(self, principal: Principal, cursor: str | None) -> tuple[Sequence[Kept], str | None]:
        """Return a page of a person's results, newest first, and the cursor of the next page, None after the last.

        Raises BadCursor, ResultsUnavailable.
        """
        before = None
        if cursor is not None:
            found = _CURSOR.fullmatch(cursor)
            if found is None:
                raise BadCursor
            before = (int(found[1]), found[2])
        # One more than is shown, to know whether there is a next page.
        kept = await self._results.mine(principal, LISTED + 1, before=before)
        page = kept[:LISTED]
        return page, f"{page[-1].created_ms}.{page[-1].handle}" if len(kept) > LISTED else None

    async def read(self, principal: Principal, uri: str) -> list[Part]:
        """Return a page of a result, and where the next one is. Raises NoSuchResult, ResultsUnavailable,
        AuditUnavailable.
        """
        address = _ADDRESS.fullmatch(uri)
        if address is None or not is_handle(address[1]):
            raise NoSuchResult
        record = await self._audit.begin(principal, source=uri, kind="read_result")
        outcome, size = "unavailable", None
        try:
            parts, size = await self._parts(principal, address[1], int(address[2] or 0))
            outcome = "ok"
        except NoSuchResult:
            outcome = "not_found"
            raise
        finally:
            failing = outcome != "ok"
            with contextlib.suppress(AuditUnavailable) if failing else contextlib.nullcontext():
                await record.finish(outcome, result_bytes=size)
        return parts

    async def _parts(self, principal: Principal, handle: str, offset: int) -> tuple[list[Part], int]:
        found = await self._results.find(principal, handle)
        here = f"{URI}{handle}"
        if not _is_text(found.media_type):
            if found.size_bytes > MAX_BLOB_BYTES:
                said = f"{found.size_bytes:,} bytes: too large to be read here. A program may load it."
                return [Part(here, "text/plain", text=said)], 0
            _, data = await self._results.read(principal, handle)
            return [Part(here, found.media_type, blob=base64.b64encode(data).decode("ascii"))], len(data)
        start, data = await self._page(principal, handle, offset)
        end = start + len(data)
        parts = [Part(_at(here, start), found.media_type, text=data.decode("utf-8", "replace"))]
        if end < found.size_bytes:
            said = f"bytes {start:,} to {end:,} of {found.size_bytes:,}; the next page is {_at(here, end)}"
            parts.append(Part(_at(here, end), "text/plain", text=said))
        return parts, len(data)

    async def _page(self, principal: Principal, handle: str, offset: int) -> tuple[int, bytes]:
        """Return a page that begins and ends between characters, and where it begins."""
        _, data = await self._results.read(principal, handle, offset, self._page_bytes + _CHARACTER_BYTES)
        # An offset that somebody made up may point into a character: the page begins after it.
        head = data[: _CHARACTER_BYTES - 1]
        first = next((place for place, byte in enumerate(head) if byte & 0xC0 != 0x80), len(head))
        last = min(len(data), first + self._page_bytes)
        while first < last < len(data) and data[last] & 0xC0 == 0x80:
            last -= 1
        return offset + first, data[first:last]


def _at(here: str, offset: int) -> str:
    return f"{here}?offset={offset}" if offset else here


def _is_text(media_type: str) -> bool:
    return media_type == JSON or media_type.startswith("text/")
