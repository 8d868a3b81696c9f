"""The demo company's metrics over HTTP, for a real Prometheus to scrape: one address for each service."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from servers.prometheus.emulator.exposition import CONTENT_TYPE, scrape
from servers.prometheus.emulator.source import Target


def path_of(target: Target) -> str:
    """Return where a target's metrics are."""
    return f"/metrics/{target.labels['service']}"


def exporter(targets: Sequence[Target], clock: Callable[[], float] = time.time) -> Starlette:
    """Return the application. A target that is down answers 503; one that is not there 404."""
    by_path = {path_of(target): target for target in targets}

    async def metrics(request: Request) -> Response:
        target = by_path.get(request.url.path)
        now_s = clock()
        if target is None:
            return PlainTextResponse("no such service\n", 404)
        if not target.is_up(now_s):
            return PlainTextResponse("the service does not answer\n", 503)
        return Response(scrape(target.families, now_s), headers={"content-type": CONTENT_TYPE})

    return Starlette(routes=[Route("/metrics/{service}", metrics)])
