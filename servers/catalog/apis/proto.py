"""Protocol buffers: one operation per rpc of a service."""

from __future__ import annotations

import re

from servers.catalog.apis.models import Operation
from servers.catalog.apis.parsed import MAX_OPERATIONS, BadDefinition, Parsed, words

# Possessive throughout, and the first unknown character ends the reading: a hostile file costs linear time.
_TOKEN = re.compile(
    r"//(?P<line>[^\n]*+)|/\*(?P<block>(?:[^*]++|\*(?!/))*+)\*/|\"(?:[^\"\\\n]++|\\.)*+\"|'(?:[^'\\\n]++|\\.)*+'"
    r"|(?P<word>[.\w]++)|(?P<mark>[{}();=<>\[\],:+-])|\s++|(?P<bad>.)",
    re.DOTALL,
)
_COMMENT = "//"


def proto(text: str) -> Parsed:
    """Return the rpcs of every service of a .proto file. Raises BadDefinition."""
    tokens = _tokens(text)
    package, found, at = None, list[Operation](), 0
    while at < len(tokens):
        if tokens[at] == "package" and at + 1 < len(tokens):
            package = package or tokens[at + 1]
            at += 2
        elif tokens[at] == "service":
            at = _service(tokens, at + 1, package, found)
        elif tokens[at] == "{":
            at = _behind(tokens, at)
        else:
            at += 1
    return Parsed(package, None, found[:MAX_OPERATIONS])


def _tokens(text: str) -> list[str]:
    """Return the tokens; comments stay, for the one before an rpc says what it does."""
    found = []
    for match in _TOKEN.finditer(text):
        if match["bad"]:
            raise BadDefinition(f"not a .proto file: unexpected character at position {match.start()}")
        said = match["line"] if match["line"] is not None else match["block"]
        token = match["word"] or match["mark"] or (_COMMENT + said if said is not None else None)
        if token:
            found.append(token)
    return found


def _service(tokens: list[str], at: int, package: str | None, found: list[Operation]) -> int:
    """Read a service after its keyword, add its rpcs, and return the position behind it."""
    name = _token(tokens, at)
    if _token(tokens, at + 1) != "{":
        raise BadDefinition(f"not a .proto file: service {name[:60]} has no body")
    at += 2
    comment: list[str] = []
    while _token(tokens, at) != "}":
        token = tokens[at]
        if token.startswith(_COMMENT):
            comment.append(token[2:].strip(" *\t"))
            at += 1
        elif token == "rpc":  # noqa: S105 (a keyword of the language)
            at = _rpc(tokens, at + 1, f"{package}.{name}" if package else name, " ".join(comment), found)
            comment = []
        else:
            at = _behind(tokens, at) if token == "{" else at + 1  # noqa: S105
            comment = []
    return at + 1


def _rpc(tokens: list[str], at: int, service: str, comment: str, found: list[Operation]) -> int:
    name = _token(tokens, at)
    given, at = _message(tokens, at + 1)
    if _token(tokens, at) != "returns":
        raise BadDefinition(f"not a .proto file: rpc {name[:60]} returns nothing")
    answer, at = _message(tokens, at + 1)
    body: list[str] = []
    if at < len(tokens) and tokens[at] == "{":
        end = _behind(tokens, at)
        body, at = tokens[at:end], end
    found.append(
        Operation(
            kind="rpc",
            name=name,
            method=None,
            path=f"{service}/{name}",
            summary=words(comment),
            input=given,
            output=answer,
            deprecated=any(body[i : i + 3] == ["deprecated", "=", "true"] for i in range(len(body))),
        )
    )
    return at


def _message(tokens: list[str], at: int) -> tuple[str, int]:
    """Read ``(stream Name)`` and return it with the position behind it."""
    if _token(tokens, at) != "(":
        raise BadDefinition("not a .proto file: an rpc names its messages in brackets")
    inside = []
    while _token(tokens, at + 1) != ")":
        at += 1
        inside.append(tokens[at])
    return " ".join(inside), at + 2


def _behind(tokens: list[str], at: int) -> int:
    """Return the position behind the bracket that closes the one at ``at``."""
    depth = 0
    while True:
        token = _token(tokens, at)
        depth += (token == "{") - (token == "}")  # noqa: S105
        at += 1
        if depth == 0:
            return at


def _token(tokens: list[str], at: int) -> str:
    if at >= len(tokens):
        raise BadDefinition("not a .proto file: it ends too early")
    return tokens[at]
