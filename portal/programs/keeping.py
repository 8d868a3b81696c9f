"""What one program keeps and reads back: ``save`` and ``load``, the files that its calls answer, its whole result.

None of it is a call of a tool: policy has no say, for it is the person's own. It is on the record all the same, and
bounded: what one program saves, and what it loads, together, is at most what a person may keep.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from pydantic_core import to_json

from portal.audit.audit import AuditUnavailable, ProgramLog
from portal.programs.handles import INLINE_BYTES, JSON, Kept, NoSuchResult, Results, ResultsUnavailable, TooLarge
from portal.programs.media import NotBase64, decoded, media_type
from portal.sandbox.contract import CallFailed, CallRevoked, Dispatch, Json
from portal.sandbox.encode import is_small
from portal.sandbox.helpers import HOST, LOAD
from portal.upstream.results import Blocks
from shared_auth.principal import Principal

ON_RECORD = "(portal)"
"""The server of these steps on the record: no server can be called so."""

MAX_FILES = 20
"""Files of one answer that are kept."""

JSON_FILE = "text/json"
"""What a file is kept as that says it is JSON: only what a program made is known to be."""

log = structlog.get_logger(__name__)


class Keeping:
    """The kept results as one program sees them."""

    def __init__(self, results: Results, principal: Principal, record: ProgramLog) -> None:
        self._results = results
        self._principal = principal
        self._record = record
        self._saved_left = self._loaded_left = results.bounds.person_bytes
        # One at a time: what several may still load, each would take for its own.
        self._loading = asyncio.Lock()

    @property
    def life_s(self) -> int:
        """How long what is kept now can be read."""
        return self._results.bounds.life_s

    def go_on(self, record: ProgramLog) -> None:
        """Note what comes now in ``record``."""
        self._record = record

    def around(self, call: Dispatch) -> Dispatch:
        """Return a Dispatch that answers ``load`` and ``save`` itself, and keeps the files that ``call`` answers."""

        async def dispatch(module: str, function: str, arguments: dict[str, Json]) -> Json:
            if module == HOST:
                return await (self._load(arguments) if function == LOAD else self._save(arguments))
            return await self.stowed(await call(module, function, arguments))

        return dispatch

    async def stowed(self, answer: Json) -> Json:
        """Return what a call answered, with a handle in place of each file's data."""
        return await self._stowed(answer) if isinstance(answer, Blocks) else answer

    async def keep(self, value: Json) -> str:
        """Keep what the program returned, however much it has saved, and return its handle.

        Raises TooLarge, ResultsUnavailable, AuditUnavailable.
        """
        return await self._keep(await _json(value), JSON)

    async def read(self, handle: str, max_bytes: int) -> tuple[Kept, bytes]:
        """Return what is kept, for the reply, no more than ``max_bytes``. Raises NoSuchResult, ResultsUnavailable."""
        return await self._results.read(self._principal, handle, 0, max_bytes)

    async def _save(self, arguments: dict[str, Json]) -> Json:
        if "value" not in arguments:
            raise CallFailed("save() takes the value to keep", "ValueError")
        try:
            data = await _json(arguments["value"])
            self._pay(len(data))
            return await self._keep(data, JSON)
        except TooLarge as error:
            raise CallFailed(f"save(): a handle holds at most {error.allowed:,} bytes of JSON", "ValueError") from None
        except _Spent:
            raise CallFailed("save(): this program has saved as much as it may", "ValueError") from None
        except ResultsUnavailable as error:
            raise _unavailable("save", error) from None
        except AuditUnavailable:
            raise _unrecorded() from None

    async def _load(self, arguments: dict[str, Json]) -> str:
        """Return what is kept as JSON text."""
        handle = arguments.get("handle")
        if not isinstance(handle, str):
            raise CallFailed('load() takes a handle: a text such as "r_…"', "ValueError")
        try:
            async with self._noted("load", hashlib.sha256(handle.encode("utf-8", "replace")).hexdigest()) as ended:
                async with self._loading:
                    found, data = await self._results.read(self._principal, handle, 0, self._loaded_left)
                    if len(data) < found.size_bytes:
                        raise CallFailed("load(): this program has loaded as much as it may", "ValueError")
                    self._loaded_left -= len(data)
                ended(len(data))
        except NoSuchResult:
            raise CallFailed(
                f"load(): you have no such result. Results are kept for {minutes(self.life_s)}; the oldest make room",
                "LookupError",
            ) from None
        except ResultsUnavailable as error:
            raise _unavailable("load", error) from None
        except AuditUnavailable:
            raise _unrecorded() from None
        return _text(found, data) if len(data) <= INLINE_BYTES else await asyncio.to_thread(_text, found, data)

    async def _stowed(self, blocks: Blocks) -> Json:
        """Return the blocks with a handle in place of each file's data."""
        files = 0
        out: list[Json] = []
        for block in blocks:
            part = block.get("resource") if block.get("type") == "resource" else block
            data = part.get("blob" if part is not block else "data") if isinstance(part, dict) else None
            if isinstance(part, dict) and isinstance(data, str):
                files += 1
                out.append(await self._file(block, part, data, wanted=files <= MAX_FILES))
            else:
                out.append(block)
        return out

    async def _file(self, block: dict[str, Any], part: dict[str, Any], text: str, *, wanted: bool) -> dict[str, Json]:
        name = media_type(part.get("mimeType"))
        shown: dict[str, Json] = {"type": block["type"], "mimeType": name}
        if isinstance(part.get("uri"), str):
            shown["uri"] = part["uri"]
        try:
            data = decoded(text) if len(text) <= INLINE_BYTES else await asyncio.to_thread(decoded, text)
        except NotBase64:
            return shown | {"error": "its data is not base64"}
        shown["bytes"] = len(data)
        if not wanted:
            return shown | {"error": f"not kept: only {MAX_FILES} files of one answer are"}
        # The call was made, and may have changed something: that its file cannot be kept does not make it fail.
        try:
            self._pay(len(data))
            return shown | {"handle": await self._keep(data, JSON_FILE if name == JSON else name)}
        except TooLarge as error:
            return shown | {"error": f"not kept: a handle holds at most {error.allowed} bytes"}
        except _Spent:
            return shown | {"error": "not kept: this program has saved as much as it may"}
        except ResultsUnavailable as error:
            log.warning("results.unavailable", reason=str(error))
            return shown | {"error": "could not be kept"}
        except AuditUnavailable:
            raise _unrecorded() from None

    def _pay(self, size: int) -> None:
        """Charge the program for what it saves. Raises TooLarge, _Spent."""
        if size > self._results.bounds.handle_bytes:
            raise TooLarge(self._results.bounds.handle_bytes)
        if size > self._saved_left:
            raise _Spent
        self._saved_left -= size

    async def _keep(self, data: bytes, name: str) -> str:
        async with self._noted("save", hashlib.sha256(data).hexdigest(), len(data)) as ended:
            handle = await self._results.keep(self._principal, data, name)
            ended(len(data))
        return handle

    @asynccontextmanager
    async def _noted(self, step: str, sha256: str, size: int = 0) -> AsyncIterator[Any]:
        """Put a step on the record, and how it ended. Raises AuditUnavailable."""
        started_s = time.perf_counter()
        entry = await self._record.call(
            ON_RECORD, step, "", "allow", (), argument_names=(), arguments_sha256=sha256, argument_bytes=size
        )
        outcome, size_bytes = "cancelled", None

        def ended(done_bytes: int) -> None:
            nonlocal outcome, size_bytes
            outcome, size_bytes = "ok", done_bytes

        try:
            yield ended
        except NoSuchResult:
            outcome = "not_found"
            raise
        except (CallFailed, TooLarge):
            outcome = "over budget"
            raise
        except ResultsUnavailable:
            outcome = "unavailable"
            raise
        finally:
            # As with a call: a record that is lost is refused when the program's end is written.
            with contextlib.suppress(AuditUnavailable):
                entry.finish(outcome, size_bytes, (time.perf_counter() - started_s) * 1e3)


class _Spent(Exception):
    """The program has saved as much as it may."""


def minutes(life_s: int) -> str:
    """Return a duration as people say it."""
    return f"{life_s // 60} min" if life_s >= 60 else f"{life_s} s"


async def _json(value: Json) -> bytes:
    return to_json(value) if is_small(value) else await asyncio.to_thread(to_json, value)


def _text(found: Kept, data: bytes) -> str:
    return data.decode() if found.media_type == JSON else f'"{base64.b64encode(data).decode("ascii")}"'


def _unavailable(step: str, error: ResultsUnavailable) -> CallFailed:
    log.warning("results.unavailable", reason=str(error))
    return CallFailed(f"{step}(): kept results cannot be reached now; try again a little later", "OSError")


def _unrecorded() -> CallRevoked:
    return CallRevoked("record", "the portal cannot write its record, so the program was stopped. Try again later")
