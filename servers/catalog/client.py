"""The catalog of entity files: the only file that knows where entities come from. A REST client would stand beside it.

Files are looked at again at most every ``refresh_s``, in a thread; an answer is made from one snapshot, and callers go
on with the last one while a new one is read.
"""

from __future__ import annotations

import asyncio
import difflib
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from servers._kit import InvalidInput, NotFound, VendorUnavailable
from servers._kit.failures import quote
from servers.catalog import validating
from servers.catalog.contract import Catalog, Entity, Found, Hit, Judged, Origin, Problem, Registered
from servers.catalog.folder import Folder
from servers.catalog.locations import Root
from servers.catalog.predicates import Filter, holds
from servers.catalog.registry import Damaged, Full, Registry
from servers.catalog.scores import Check, Verdict, judge
from servers.catalog.settings import CatalogSettings
from servers.catalog.snapshot import Snapshot, build

MAX_NAMES_COMPARED = 5_000
DRY_RUN = "dry-run"

R = TypeVar("R")

log = logging.getLogger(__name__)


class FileCatalog:
    """The entities of the files that the settings name. Fulfils ``contract.Catalog``."""

    def __init__(self, settings: CatalogSettings) -> None:
        self._settings = settings
        self._registry = Registry(Path(settings.state_dir)) if settings.state_dir else None
        self._lock = asyncio.Lock()
        self._changing = asyncio.Lock()
        self._current: Snapshot | None = None
        self._looked_at = 0.0

    @property
    def tier_label(self) -> str:
        return self._settings.tier_label

    async def by_refs(self, refs: Sequence[str]) -> list[Entity | None]:
        now = await self._snapshot()
        return [now.by_ref.get(ref) for ref in refs]

    async def named(self, name: str) -> list[Entity]:
        return list((await self._snapshot()).by_name.get(name.lower(), ()))

    async def similar(self, name: str) -> list[str]:
        now = await self._snapshot()
        return await asyncio.to_thread(_similar, now, name.lower())

    async def query(
        self, filters: Sequence[Filter], *, order: Sequence[str] = (), offset: int = 0, limit: int = 1_000
    ) -> Found:
        now = await self._snapshot()
        found = await asyncio.to_thread(_ordered, now, filters, order)
        return Found(tuple(found[offset : offset + limit]), len(found))

    async def facets(self, fields: Sequence[str], filters: Sequence[Filter]) -> dict[str, dict[str, int]]:
        now = await self._snapshot()
        return await asyncio.to_thread(_facets, now, fields, filters)

    async def search(self, term: str, kinds: Sequence[str]) -> list[Hit]:
        now = await self._snapshot()
        wanted = {kind.lower() for kind in kinds}
        scored = await asyncio.to_thread(now.index.search, term)
        hits = [Hit(now.entities[one.position], one.score, one.fields) for one in scored]
        return [hit for hit in hits if not wanted or hit.entity.kind.lower() in wanted]

    async def origin(self, ref: str) -> Origin | None:
        return (await self._snapshot()).origin(ref)

    async def validate(self, text: str) -> Judged:
        now = await self._snapshot()
        return await asyncio.to_thread(validating.judge_text, text, now.by_ref)

    async def refresh(self, ref: str) -> None:
        if (await self._reload()).origin(ref) is None:
            raise NotFound(f"no file declares {quote(ref)}")

    async def register(self, target: str, *, dry_run: bool) -> Registered:
        registry = self._writable()
        async with self._changing:
            known = next((loc for loc in await self._durably(registry.all) if loc.target == target), None)
            if known is not None:
                refs = (await self._snapshot()).refs_of(known.id)
                return Registered(known.id, target, created=False, entities=refs, problems=())
            refs, problems = await self._try(target)
            if dry_run:
                return Registered(None, target, created=False, entities=refs, problems=problems)
            if not refs:
                # A problem names keys of the file, which are not our words.
                why = (
                    quote(f"{problems[0].file}: {problems[0].message}")
                    if problems
                    else "its files are in the catalog already"
                )
                raise InvalidInput(f"the location brings no entity: {why}")
            added, created = await self._durably(lambda: registry.add(target))
            await self._reload()
            return Registered(added.id, target, created=created, entities=refs, problems=problems)

    async def unregister(self, location_id: str) -> tuple[str, ...]:
        registry = self._writable()
        async with self._changing:
            refs = (await self._reload()).refs_of(location_id)
            if await self._durably(lambda: registry.remove(location_id)) is None:
                raise NotFound(
                    "no registered location has this id; get_entity_origin tells the id of an entity's location"
                )
            await self._reload()
            return refs

    async def checks(self) -> tuple[Check, ...]:
        return (await self._snapshot()).checks

    async def run_checks(self, entities: Sequence[Entity], ids: Sequence[str]) -> list[Verdict]:
        checks = (await self._snapshot()).checks
        unknown = [one for one in ids if one not in {check.id for check in checks}]
        if unknown:
            raise InvalidInput(f"there is no check {quote(unknown[0])}; list_checks has them all")
        chosen = [check for check in checks if not ids or check.id in ids]
        return await asyncio.to_thread(judge, entities, chosen)

    async def _snapshot(self) -> Snapshot:
        """Return the catalog, read again first when it is time to look and something changed."""
        if self._current is None:
            return await self._reload()
        # Whoever comes while another caller reads goes on with what there is: nobody queues behind a slow disk.
        if self._lock.locked() or time.monotonic() - self._looked_at < self._settings.refresh_s:
            return self._current
        async with self._lock:
            if await asyncio.to_thread(self._changed):
                self._current = await asyncio.to_thread(self._build)
            self._looked_at = time.monotonic()
            return self._current

    async def _reload(self) -> Snapshot:
        async with self._lock:
            self._current = await asyncio.to_thread(self._build)
            self._looked_at = time.monotonic()
            return self._current

    def _changed(self) -> bool:
        return self._current is None or self._current.changed()

    def _build(self, *extra: Root) -> Snapshot:
        folder = Folder(Path(self._settings.folder), self._settings.max_file_bytes)
        roots, problems = list[Root](), list[Problem]()
        if self._registry is not None:
            folder.watch(self._registry.path)
            try:
                roots = [Root(location.target, location.id) for location in self._registry.all()]
            except Damaged as damaged:
                # The catalog without them is worth more than none, and the problem is on show.
                log.warning("registered locations are left out: %s", damaged)
                problems = [Problem(self._registry.path.name, None, None, str(damaged))]
        built = build(self._settings, folder, [*roots, *extra], problems)
        if built.problems and not extra:
            first = built.problems[0]
            log.warning(
                "%d problems in entity files, the first in %s, line %s: %s",
                len(built.problems), first.file, first.line, first.message,
            )  # fmt: skip
        return built

    async def _try(self, target: str) -> tuple[tuple[str, ...], tuple[Problem, ...]]:
        """Return what a location would bring and what is wrong with it."""
        before = await self._reload()
        trial = await asyncio.to_thread(self._build, Root(target, DRY_RUN))
        known = set(before.problems)
        return trial.refs_of(DRY_RUN), tuple(p for p in trial.problems if p not in known)

    def _writable(self) -> Registry:
        if self._registry is None:
            raise InvalidInput("locations cannot be registered here: the server has no state_dir in its settings")
        return self._registry

    async def _durably(self, change: Callable[[], R]) -> R:
        try:
            return await asyncio.to_thread(change)
        except Full as full:
            raise InvalidInput(str(full)) from None
        except Damaged as damaged:
            raise VendorUnavailable(str(damaged)) from None
        except OSError:
            log.exception("registered locations cannot be written")
            raise VendorUnavailable("the registered locations cannot be written; nothing was changed") from None


@asynccontextmanager
async def open_client(settings: CatalogSettings) -> AsyncIterator[Catalog]:
    """Yield the catalog for as long as the server runs; its files are read before the first call."""
    catalog = FileCatalog(settings)
    await catalog.checks()
    yield catalog


def _similar(now: Snapshot, name: str) -> list[str]:
    names = list(now.by_name)[:MAX_NAMES_COMPARED]
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    found = [entity.ref for one in close for entity in now.by_name[one]]
    found += [now.entities[one.position].ref for one in now.index.search(name)[:3]]
    return list(dict.fromkeys(found))[:5]


def _ordered(now: Snapshot, filters: Sequence[Filter], order: Sequence[str]) -> list[Entity]:
    found = [entity for entity in now.entities if all(holds(rule, entity.keys) for rule in filters)]
    found.sort(key=lambda entity: entity.ref)
    for field in reversed(order):
        name = field.removeprefix("-").lower()
        having = [entity for entity in found if entity.keys.get(name)]
        having.sort(key=lambda entity: min(entity.keys[name]), reverse=field.startswith("-"))
        # As in Backstage, entities without the field come last in either direction.
        found = having + [entity for entity in found if not entity.keys.get(name)]
    return found


def _facets(now: Snapshot, fields: Sequence[str], filters: Sequence[Filter]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {field: Counter() for field in fields}
    for entity in now.entities:
        if all(holds(rule, entity.keys) for rule in filters):
            for field in fields:
                counts[field].update(entity.keys.get(field.lower(), {}).values())
    return {field: dict(sorted(c.items(), key=lambda item: (-item[1], item[0]))) for field, c in counts.items()}
