"""From a program's value to what its agent is shown: text within bounds, files beside it, and a handle for the rest."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass
from typing import Any, Protocol, cast

import structlog

from portal.programs.handles import INLINE_BYTES, Kept, NoSuchResult, ResultsUnavailable, TooLarge, is_handle
from portal.programs.keeping import Keeping, minutes
from portal.programs.media import Kind, NotBase64, decoded, media_type, unfit
from portal.programs.results import Rendered, render
from portal.sandbox.contract import Json

URI = "portal://results/"
MAX_ATTACHED = 10
MAX_ATTACHED_BYTES = 4 * 1024 * 1024
_KINDS = frozenset({"image", "audio", "resource"})

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes beside the text: ``data`` is base64. ``uri`` names a kept one."""

    kind: Kind
    media_type: str
    data: str
    uri: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A value as its agent sees it. ``note`` says what is not in ``text`` and how to get it, "" when nothing is."""

    text: str
    note: str = ""
    attachments: tuple[Attachment, ...] = ()


class Reader(Protocol):
    """Reads what a person has kept, no more than ``max_bytes`` of it."""

    async def read(self, handle: str, max_bytes: int) -> tuple[Kept, bytes]: ...


async def present(value: Json, keeping: Keeping, max_chars: int) -> Shown:
    """Return what the agent is shown. A value that does not fit is kept whole before this returns.

    When it cannot be kept, the note says so. Raises AuditUnavailable.
    """
    said, attachments = await _attach(value, keeping)
    rendered = render(said, max_chars) if _is_small(said) else await asyncio.to_thread(render, said, max_chars)
    return Shown(rendered.text, await _note(value, rendered, keeping), tuple(attachments))


async def _note(value: Json, rendered: Rendered, keeping: Keeping) -> str:
    if not rendered.left_out:
        return ""
    less = "filter or aggregate in the program, and return less"
    try:
        handle = await keeping.keep(value)
    except TooLarge as error:
        return f"({rendered.left_out}; the whole is more than the {error.allowed:,} bytes that are kept: {less})"
    except ResultsUnavailable as error:
        log.warning("results.unavailable", reason=str(error))
        return f"({rendered.left_out}; the whole could not be kept: {less})"
    return (
        f'({rendered.left_out}; whole for {minutes(keeping.life_s)}: load("{handle}") in a program, or {URI}{handle})'
    )


async def _attach(value: Json, reader: Reader) -> tuple[Json, list[Attachment]]:
    """Return the value with a word in place of each file in it, and the files: those that are the value itself, or
    stand in its list or under its keys.
    """
    attached: list[Attachment] = []
    if _is_file(value):
        return await _word(value, reader, attached), attached
    if isinstance(value, list) and any(map(_is_file, value)):
        return [await _word(item, reader, attached) if _is_file(item) else item for item in value], attached
    if isinstance(value, dict) and any(map(_is_file, value.values())):
        return {
            key: await _word(item, reader, attached) if _is_file(item) else item for key, item in value.items()
        }, attached
    return value, attached


def _is_file(value: Json) -> bool:
    if not isinstance(value, dict) or value.get("type") not in _KINDS:
        return False
    handle = value.get("handle")
    if isinstance(handle, str) and is_handle(handle):
        return True
    return value["type"] != "resource" and isinstance(value.get("data"), str) and isinstance(value.get("mimeType"), str)


async def _word(block: dict[str, Any], reader: Reader, attached: list[Attachment]) -> str:
    """Attach a file, if it may be, and return what stands for it in the text."""
    kind = cast("Kind", block["type"])
    if len(attached) >= MAX_ATTACHED:
        return f"<{kind}, not attached: only {MAX_ATTACHED} files are>"
    handle = block.get("handle")
    left = MAX_ATTACHED_BYTES - sum(len(one.data) * 3 // 4 for one in attached)
    try:
        if isinstance(handle, str) and is_handle(handle):
            found, data = await reader.read(handle, left)
            # What it is, its tool has said: not what the program makes of it.
            name, size, uri = found.media_type, found.size_bytes, f"{URI}{handle}"
        else:
            data = await _of_base64(block["data"])
            name, size, uri = media_type(block["mimeType"]), len(data), ""
    except NoSuchResult:
        return f"<{kind}, not attached: you have no such result>"
    except ResultsUnavailable as error:
        log.warning("results.unavailable", reason=str(error))
        return f"<{kind}, not attached: it cannot be reached now>"
    except NotBase64:
        return f"<{kind}, not attached: its data is not base64>"
    why = (size > left and f"more than {MAX_ATTACHED_BYTES:,} bytes together") or unfit(kind, name, data)
    if why:
        return f"<{name}, {size:,} bytes, not attached: {why}>"
    attached.append(Attachment(kind, name, await _to_base64(data), uri))
    return f"<{name}, {size:,} bytes, attached as {len(attached)}>"


async def _of_base64(text: str) -> bytes:
    return decoded(text) if len(text) <= INLINE_BYTES else await asyncio.to_thread(decoded, text)


async def _to_base64(data: bytes) -> str:
    if len(data) <= INLINE_BYTES:
        return base64.b64encode(data).decode("ascii")
    return (await asyncio.to_thread(base64.b64encode, data)).decode("ascii")


def _is_small(value: Any) -> bool:
    """Say whether rendering the value cannot take long: a scalar, or a short text or list of scalars."""
    if isinstance(value, str):
        return len(value) < 10_000
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return len(value) < 50 and all(not isinstance(v, dict | list) and _is_small(v) for v in value)
    return True
