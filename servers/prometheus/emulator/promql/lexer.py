"""PromQL text to tokens, each with its position. Any text either becomes tokens or raises ParseError."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from servers.prometheus.emulator.promql.errors import ParseError

Kind = Literal["identifier", "metric", "number", "duration", "string", "operator", "end"]

MAX_QUERY_CHARS = 16_384
_SPACE = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)+")
_DURATION = re.compile(r"(?:[0-9]+(?:ms|[smhdwy]))+(?![A-Za-z0-9_])")
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WORD = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
_OPERATOR = re.compile(r"==|!=|=~|!~|<=|>=|[-+*/%^=<>(){}\[\],@:]")
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|`[^`]*`')
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)", re.DOTALL)
_CLOSED_BY = {"(": ")", "[": "]", "{": "}"}
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "'": "'", '"': '"'}


@dataclass(frozen=True, slots=True)
class Token:
    """One token; ``text`` of a string is its value, of the end what is left open, of all others what was written."""

    kind: Kind
    text: str
    position: int


def tokenize(query: str) -> list[Token]:
    """Return the tokens of a query, the last of kind ``end``. Raises ParseError."""
    if len(query) > MAX_QUERY_CHARS:
        raise ParseError(query, 0, f"the emulator reads queries of at most {MAX_QUERY_CHARS} characters")
    tokens: list[Token] = []
    position = 0
    opened: list[str] = []
    while True:
        if space := _SPACE.match(query, position):
            position = space.end()
        if position >= len(query):
            tokens.append(Token("end", opened[-1] if opened else "", len(query)))
            return tokens
        token, position = _next(query, position, in_brackets="[" in opened)
        if token.kind == "operator":
            if token.text in _CLOSED_BY:
                opened.append(token.text)
            elif opened and _CLOSED_BY[opened[-1]] == token.text:
                opened.pop()
        tokens.append(token)


def _next(query: str, position: int, *, in_brackets: bool) -> tuple[Token, int]:
    if found := _DURATION.match(query, position):
        return Token("duration", found.group(), position), found.end()
    if found := _NUMBER.match(query, position):
        if (end := found.end()) < len(query) and (query[end].isalnum() or query[end] == "_"):
            raise ParseError(query, position, f'bad number or duration syntax: "{query[position : end + 1]}"')
        return Token("number", found.group(), position), found.end()
    # Inside brackets a colon parts range and resolution; elsewhere it is a letter of a recorded metric's name.
    if (found := _WORD.match(query, position)) and not (in_brackets and query[position] == ":"):
        kind: Kind = "metric" if ":" in found.group() else "identifier"
        return Token(kind, found.group(), position), found.end()
    if query[position] in "\"'`":
        return _string(query, position)
    if found := _OPERATOR.match(query, position):
        return Token("operator", found.group(), position), found.end()
    if query[position] == "!":
        raise ParseError(query, position, f"unexpected character after '!': '{query[position + 1 : position + 2]}'")
    raise ParseError(query, position, f"unexpected character: '{query[position]}'")


def _string(query: str, position: int) -> tuple[Token, int]:
    found = _STRING.match(query, position)
    if found is None:
        raise ParseError(query, position, "unterminated quoted string")
    raw = found.group()
    text = raw[1:-1] if raw[0] == "`" else _ESCAPE.sub(lambda e: _unescape(query, position, e.group(1)), raw[1:-1])
    return Token("string", text, position), found.end()


def _unescape(query: str, position: int, code: str) -> str:
    if code in _SIMPLE:
        return _SIMPLE[code]
    if len(code) == 1:
        raise ParseError(query, position, f"unknown escape sequence U+{ord(code):04X}")
    value = int(code, 8) if code.isdigit() and code[0] in "01234567" and len(code) == 3 else int(code[1:], 16)
    if value > 0x10FFFF or 0xD800 <= value <= 0xDFFF:
        raise ParseError(query, position, "escape sequence is an invalid Unicode code point")
    return chr(value)
