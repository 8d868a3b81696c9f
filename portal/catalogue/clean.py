"""An upstream's words made harmless: no control or direction characters, bounded, unable to leave their place.

Descriptions, property names and enum values are written by whoever runs the upstream. They are shown to agents inside
docstrings, comments and string literals; nothing here may end any of these early.
"""

from __future__ import annotations

import json
import re

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_SENTENCE = re.compile(r"(?<=[a-z0-9)\]'\"`][.!?])\s+(?=[A-Z0-9`'\"(\[*])|(?<=[。！？])")  # noqa: RUF001 - CJK stops
_FENCE = re.compile(r"`{3,}|~{3,}")
_SPACES = re.compile(r"[ \t]+")
_BLANK_LINES = re.compile(r"\n{3,}")


def block(text: object, max_chars: int) -> str:
    """Return text of at most ``max_chars``: lines kept, everything else that is not printable removed or made a space.

    Terminal escapes and direction overrides go (a reviewer must see what the agent sees), and so do code fences.
    """
    raw = _ANSI.sub("", str(text or "")[: max_chars * 4]).replace("\r\n", "\n")
    kept = "".join(c if c.isprintable() or c == "\n" else " " if c.isspace() else "" for c in raw)
    kept = _FENCE.sub("'''", kept)
    lines = "\n".join(_SPACES.sub(" ", line).rstrip() for line in kept.split("\n"))
    return shorten(_BLANK_LINES.sub("\n\n", lines).strip(), max_chars)


def line(text: object, max_chars: int) -> str:
    """Return text as one printable line of at most ``max_chars``."""
    return shorten(" ".join(block(text, max_chars * 4).split()), max_chars)


def first_sentence(text: str, max_chars: int) -> str:
    """Return the first sentence of a description, as one line of at most ``max_chars``."""
    paragraph = text.strip().split("\n\n", 1)[0]
    return line(_SENTENCE.split(" ".join(paragraph.split()), maxsplit=1)[0], max_chars)


def shorten(text: str, max_chars: int) -> str:
    """Return ``text``, ended by an ellipsis when it is longer than ``max_chars``."""
    if len(text) <= max_chars:
        return text
    cut = text[: max_chars - 1]
    space = cut.rfind(" ")
    return (cut[:space] if space > max_chars * 2 // 3 else cut).rstrip(" ,;:") + "…"


def docstring(text: str, indent: str = "    ") -> str:
    """Return ``text`` as a docstring that ends only where we end it."""
    inner = text.replace("\\", "\\\\").replace('"', "'")
    return indent + '"""' + inner.replace("\n", "\n" + indent) + '"""'


def literal(text: str) -> str:
    """Return ``text`` as a Python string literal in double quotes; fences and whatever is not printable are escaped."""
    quoted = "".join(c if c.isprintable() else _escaped(c) for c in json.dumps(text, ensure_ascii=False))
    return quoted.replace("```", r"\x60\x60\x60").replace("~~~", r"\x7e\x7e\x7e")


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
