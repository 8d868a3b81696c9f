"""The way back: who opens a page of ours without being signed in is there again once they have signed in.

The page is one of a closed list, judged when it is remembered and again when it is led to. Until the sign-in it is in a
cookie, sealed and short-lived, so that no neighbour of ours on a shared host or machine writes one. From there it goes
into what a sign-in through the provider carries by itself (``identity/logins.py``): whatever other tabs open meanwhile,
each sign-in comes back to its own page.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from shared_auth.authorization.sessions import PENDING_S, Cookies
from shared_auth.sealing import Seal, Unsealable

_ROW = "way back"
_PAGE = re.compile(
    r"/access|/programs(?:/[0-9a-z]{1,64})?|/connections"
    r"|/connect/(?!callback(?:$|\?))[0-9A-Za-z_-]{1,64}(?:\?scope=[0-9A-Za-z:._+%-]{1,500})?"
)
"""Pages that links lead to and that change nothing by being opened: to these alone a sign-in may lead back."""


class WayBack:
    """Remembers the page that a signed-out browser came for."""

    def __init__(self, seal: Seal, cookies: Cookies, *, issuer: str, clock: Callable[[], float]) -> None:
        self._seal = seal
        self._cookies = cookies
        self._issuer = issuer
        self._clock = clock

    def remember(self, response: Response, request: Request) -> None:
        """Remember the page that ``request`` asked for, if it is one to be led back to."""
        query = request.scope["query_string"].decode("latin-1")
        page = f"{request.scope['path']}?{query}" if query else request.scope["path"]
        if _PAGE.fullmatch(page):
            value = json.dumps([page, int(self._clock()) + PENDING_S]).encode()
            sealed = base64.urlsafe_b64encode(self._seal.seal(value, row=_ROW)).decode()
            self._cookies.keep_page(response, sealed, PENDING_S)

    def page(self, request: Request) -> str:
        """Return the page that was remembered in this browser, "" for none that we remembered or one too long ago."""
        try:
            sealed = base64.b64decode(self._cookies.page(request), altchars=b"-_", validate=True)
            page, until = json.loads(self._seal.open(sealed, row=_ROW))
        except (ValueError, Unsealable):
            return ""
        return str(page) if self._clock() < until else ""

    def address(self, page: str) -> str:
        """Return where ``page`` is: an address of ours whatever it says, that of the front page if it is not listed."""
        return f"{self._issuer}{page if _PAGE.fullmatch(page) else '/'}"

    def forget(self, response: Response) -> None:
        """Forget the page: it is led to once."""
        self._cookies.keep_page(response, "", 0)
