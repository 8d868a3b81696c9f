"""``make backstage``: our catalog of files against a real Backstage that has read the same files.

Exit code 1 when an answer differs that ``known.py`` does not list with a reason, when one that it lists is gone, or when
Backstage no longer says what ``recorded.json`` has; ``--record`` writes that file anew.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from servers._kit.testing import connected
from servers.catalog.client import open_client
from servers.catalog.server import create
from servers.catalog.settings import CatalogSettings
from tests.backstage import comparing, recorded
from tests.backstage.asking import Sides
from tests.backstage.known import KNOWN
from tests.backstage.oracle import HERE, Backstage, backstage
from tests.backstage.reading import readers
from tests.backstage.sides import Comparison, ref_of
from tests.running import ROOT


def main() -> int:
    """Return 0 when both catalogs agree but for what is listed."""
    roots = [ROOT / "catalog-info" / "all.yaml", *sorted((HERE / "odd").glob("*/root.yaml"))]
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, backstage(roots, Path(folder)) as running:
        print(f"Backstage has read {len(roots)} locations after {time.monotonic() - start:.0f} s")
        done = asyncio.run(_compared(roots, running))
        now = recorded.asked(running)
    failed = _report([*done, *readers()])
    if "--record" in sys.argv[1:]:
        recorded.FILE.write_text(now, encoding="utf-8")
    elif not recorded.FILE.exists() or recorded.FILE.read_text(encoding="utf-8") != now:
        print(f"{recorded.FILE.name} is not what Backstage says now; run this with --record and look at what changed")
        return 1
    return failed


async def _compared(roots: list[Path], running: Backstage) -> list[Comparison]:
    settings = {"folder": str(ROOT), "roots": [str(root.relative_to(ROOT)) for root in roots]}
    theirs = {ref_of(entity): entity for entity in running.entities()}
    async with open_client(CatalogSettings.model_validate(settings)) as catalog, connected(create(settings)) as tools:
        every = await catalog.query([], limit=100_000)
        sides = Sides(tools, {entity.ref: entity for entity in every.entities}, running, theirs)
        return [
            comparing.entity_set(sides),
            *comparing.contents(sides),
            await comparing.ancestry(sides),
            await comparing.queries(sides),
            await comparing.orders(sides),
            await comparing.pages(sides),
            await comparing.facets(sides),
            await comparing.fields(sides),
            await comparing.by_refs(sides),
            await comparing.verdicts(sides),
        ]


def _report(done: list[Comparison]) -> int:
    every = [difference for comparison in done for difference in comparison.differences]
    unlisted = [d for d in every if not any(known.covers(d) for known in KNOWN)]
    stale = [known for known in KNOWN if not any(known.covers(d) for d in every)]
    print("\nlisted in known.py:")
    for known in KNOWN:
        covered = [d for d in every if known.covers(d)]
        print(f"  {len(covered):>4} {known.area} | {known.subject}\n       {known.reason}")
    print("\nnot listed:" if unlisted else "\nnothing else differs")
    for difference in unlisted:
        print(difference)
    for known in stale:
        print(f"{known.area} | {known.subject}\n    is listed, but both sides agree now")
    print(f"\n{'area':<12} {'compared':>8} {'listed':>7} {'not listed':>11}")
    for comparison in done:
        wrong = sum(d in unlisted for d in comparison.differences)
        print(f"{comparison.area:<12} {comparison.count:>8} {len(comparison.differences) - wrong:>7} {wrong:>11}")
    total = sum(comparison.count for comparison in done)
    print(f"{'total':<12} {total:>8} {len(every) - len(unlisted):>7} {len(unlisted):>11}")
    return 1 if unlisted or stale else 0


if __name__ == "__main__":
    sys.exit(main())
