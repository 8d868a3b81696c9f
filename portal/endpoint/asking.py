"""How a client of protocol 2026-07-28 is told that a person is needed: an elicitation that it shows, then the same
request again with the state that we gave it. Older clients get text: there, the protocol's only way without a session
is to fail and be sent the request once more, and a program must not run twice.
"""

from __future__ import annotations

import mcp_types as t

from portal.programs.notice import Answer, Notice

KEY = "person"
FIELD = "allow"
_FORM = {
    "type": "object",
    "properties": {FIELD: {"type": "boolean", "title": "Allow these calls", "default": False}},
    "required": [FIELD],
}


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


def answer_in(responses: t.InputResponses | None) -> Answer:
    """Return what the person did with what the client showed."""
    answer = (responses or {}).get(KEY)
    if not isinstance(answer, t.ElicitResult) or answer.action == "cancel":
        return "closed"
    if answer.action == "decline":
        return "no"
    allow = (answer.content or {}).get(FIELD)
    return ("yes" if allow else "no") if isinstance(allow, bool) else "shown"
