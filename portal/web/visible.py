"""Text from a program as a person can judge it: nothing in it hides, or moves what is around it."""

from __future__ import annotations

import unicodedata

_HIDDEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0\u180b\u180c\u180d\u034f")
"""Letters and marks that show nothing, though Unicode calls them letters and marks."""


def visible(text: str, *, lines: bool = False) -> str:
    """Return ``text`` with every character that cannot be seen, or that moves others, written as an escape.

    ``lines`` keeps line ends and tabs as they are. A space that is not the plain one is escaped too.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if (lines and c in "\n\t") or _plain(c) else _escaped(c) for c in text)


def _plain(c: str) -> bool:
    if c < "\x7f":
        return c >= " "
    kind = unicodedata.category(c)
    return not (kind in _HIDDEN or kind == "Zs" or c in _BLANK or _is_variation(c))


def _is_variation(c: str) -> bool:
    return "\ufe00" <= c <= "\ufe0f" or "\U000e0100" <= c <= "\U000e01ef"


def _escaped(c: str) -> str:
    return f"\\u{ord(c):04x}" if ord(c) < 0x10000 else f"\\U{ord(c):08x}"
