"""The envelope of every answer: ``{"status": …}``, and which status an error has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from servers.prometheus.emulator.parameters import BadParameter
from servers.prometheus.emulator.promql.errors import QueryError

STATUS = {"bad_data": 400, "execution": 422, "not_found": 404}
TRUNCATED = "results truncated due to limit"

Handler = Callable[[Request], Awaitable[Response]]


def success(data: Any, *, warnings: list[str] | None = None) -> Response:
    """Return a good answer."""
    return JSONResponse({"status": "success", "data": data} | ({"warnings": warnings} if warnings else {}))


def failure(kind: str, message: str) -> Response:
    """Return a bad answer; ``kind`` is Prometheus's errorType."""
    return JSONResponse({"status": "error", "errorType": kind, "error": message}, STATUS[kind])


def not_found() -> Response:
    """Return what Prometheus says of an address that it does not have."""
    return PlainTextResponse("404 page not found\n", 404)


def guarded(handler: Handler) -> Handler:
    """Return the handler with its errors in the envelope."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except BadParameter as error:
            return failure("bad_data", str(error))
        except QueryError as error:
            return failure(error.kind, str(error))

    return answer
