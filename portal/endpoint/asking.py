"""How a client of protocol 2026-07-28 is told that a person is needed: an elicitation that it shows, then the same
request again with the state that we gave it. Older clients get text: there, the protocol's only way without a session
is to fail and be sent the request once more, and a program must not run twice.
"""

from __future__ import annotations

from typing import Protocol

import mcp_types as t

KEY = "person"
FIELD = "allow"
_FORM = {
    "type": "object",
    "properties": {FIELD: {"type": "boolean", "title": "Allow these calls", "default": False}},
    "required": [FIELD],
}


class Notice(Protocol):
    """Where a person decides, in words for them; ``carried`` is the state, ``client`` whether a form may decide."""

    @property
    def address(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def carried(self) -> str: ...
    @property
    def client(self) -> bool: ...


def asking(notice: Notice, capabilities: t.ClientCapabilities | None) -> t.InputRequiredResult | None:
    """Return the elicitation for a client with these capabilities: our page if it can open one, a form only where a
    yes in the client counts; None when the text has to do.
    """
    can = capabilities.elicitation if capabilities is not None else None
    if can is None:
        return None
    wanted: t.ElicitRequestURLParams | t.ElicitRequestFormParams
    if can.url is not None:
        wanted = t.ElicitRequestURLParams(message=notice.message, url=notice.address)
    elif notice.client:
        wanted = t.ElicitRequestFormParams(message=notice.message, requested_schema=_FORM)
    else:
        return None
    return t.InputRequiredResult(input_requests={KEY: t.ElicitRequest(params=wanted)}, request_state=notice.carried)


def agreed_in(responses: t.InputResponses | None) -> bool | None:
    """Return what a form says, None when it says neither yes nor no (a page was shown, or it was closed)."""
    answer = (responses or {}).get(KEY)
    if not isinstance(answer, t.ElicitResult):
        return None
    if answer.action == "decline":
        return False
    allow = (answer.content or {}).get(FIELD)
    return allow if answer.action == "accept" and isinstance(allow, bool) else None
