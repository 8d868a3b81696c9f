"""The few pages that people see: server-rendered, no script, framed by nobody, stored by nobody."""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from shared_auth.authorization import redirects
from shared_auth.reasons import ALARMS, Denied, Reason
from shared_auth.store import SILENT

log = logging.getLogger("shared_auth")

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"
STYLE = (TEMPLATES / "style.css").read_text(encoding="utf-8")
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Not no-referrer: with it browsers send "Origin: null" with our own forms, and the origin check would refuse them.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Pages:
    """The pages of one folder of templates, over the layout and the style that all pages share."""

    def __init__(self, templates: Path) -> None:
        self._environment = Environment(
            loader=FileSystemLoader([templates, TEMPLATES]),
            autoescape=True,
            undefined=StrictUndefined,
            auto_reload=False,
        )
        self._environment.filters["day"] = lambda seconds: datetime.fromtimestamp(seconds, UTC).date().isoformat()

    def page(self, template: str, *, status: int = 200, form_target: str = "", **values: Any) -> Response:
        """Return a page. Its forms go to us, and by redirect to the CSP source ``form_target``; nothing else is loaded,
        and no style but ours is applied, whatever stands in the page.
        """
        forms = f"'self' {form_target}".strip()
        policy = (
            f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; form-action {forms}; "
            "frame-ancestors 'none'; base-uri 'none'"
        )
        html = self._environment.get_template(template).render(style=STYLE, **values)
        return HTMLResponse(html, status, {**HEADERS, "Content-Security-Policy": policy})


page = Pages(TEMPLATES).page
"""Return one of the auth flow's own pages; see Pages.page."""


def redirect(location: str) -> Response:
    """Return a 303 to an address that was judged before; 303 so that no form is sent on (RFC 9700 section 4.12)."""
    return Response(status_code=303, headers={**HEADERS, "Location": location})


def for_people(
    handler: Callable[[Request], Awaitable[Response]], *, template: str = "problem.html"
) -> Callable[[Request], Awaitable[Response]]:
    """Return ``handler`` with Denied, and a silent database, turned into a page that says what to do.

    Logged by reason alone.
    """

    async def endpoint(request: Request) -> Response:
        try:
            return await handler(request)
        except (Denied, *SILENT) as error:
            denied = error if isinstance(error, Denied) else Denied(Reason.STORE_DOWN)
            level = logging.WARNING if denied.reason in ALARMS | {Reason.STORE_DOWN} else logging.INFO
            log.log(level, "page.refused", extra={"reason": denied.reason.value, "path": request.scope["path"]})
            return problem(denied.reason, template=template)

    return endpoint


def refuse(reason: Reason, location: str) -> Response:
    """Return the refusal to a client: by redirect to the person's own machine, elsewhere only by their own click.

    Anyone can register an address; redirecting there unasked would lend our name to it (RFC 9700 section 4.11.2).
    """
    if redirects.is_loopback(location):
        return redirect(location)
    return problem(reason, link=location, host=redirects.host(location))


def problem(reason: Reason, *, link: str = "", host: str = "", template: str = "problem.html") -> Response:
    """Return the page for ``reason``. With ``link``, the person may go on to ``host``, but is never sent there."""
    wire = Denied(reason).wire
    status = 400 if wire.status == 401 else wire.status  # 401 would need a WWW-Authenticate that browsers act on
    return page(template, status=status, description=wire.description, link=link, host=host)
