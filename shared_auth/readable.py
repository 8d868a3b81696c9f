"""Names from outside as people may see them."""

from __future__ import annotations

import unicodedata


def readable(name: str) -> str:
    """Return ``name`` on one line, without anything invisible that reorders or hides text; may be empty."""
    shown = "".join(" " if unicodedata.category(one)[0] in "CZ" else one for one in name)
    return " ".join(shown.split())
