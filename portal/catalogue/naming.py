"""Upstream names as Python names: what a program writes for a tool and for its parameters."""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Iterable

from portal.catalogue import clean

_SEPARATORS = re.compile(r"[^\w]+", re.ASCII)
_UNDERSCORES = re.compile(r"_{2,}")

_TYPE_WORDS = "str int float bool list dict tuple None Any Literal NotRequired TypedDict"
TYPE_WORDS = frozenset(_TYPE_WORDS.split())
"""Names that stubs use. A tool or a field of this name would hide the type in the same module or class."""


class NameCollision(Exception):
    """Two upstream names become one Python name; the message names both."""


def tool_name(name: str) -> str:
    """Return the Python name of a tool: ASCII (look-alike letters would let one tool pose as another), not hidden
    (Monty shows no attribute that begins with an underscore), not a keyword and not a word that stubs use.
    """
    return _identifier(_SEPARATORS.sub("_", name), prefix="tool")


def parameter_name(name: str) -> str:
    """Return the Python name of a parameter. Letters of any script stay."""
    # Python reads identifiers in this form: a full-width "if" would be the keyword.
    name = unicodedata.normalize("NFKC", name)
    if name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("__"):
        return name
    words = "".join(c if c.isalnum() else "_" for c in name)
    return _identifier(words, prefix="arg", reserved=frozenset())


def mapped(names: Iterable[str], what: str) -> dict[str, str]:
    """Return Python name → upstream name of parameters, in order. Raises NameCollision."""
    found: dict[str, str] = {}
    for name in names:
        python = parameter_name(name)
        if python in found:
            one, two = clean.line(found[python], 100), clean.line(name, 100)
            raise NameCollision(f"{what}: {one!r} and {two!r} would both be written {clean.line(python, 100)}")
        found[python] = name
    return found


def type_name(text: str) -> str:
    """Return a TypedDict name for a title or a path: ``Page[Entity Summary]`` → ``PageEntitySummary``; may be empty."""
    words = re.findall(r"[A-Za-z0-9]+", text)
    name = "".join(word[0].upper() + word[1:] for word in words)[:60]
    return f"T{name}" if name[:1].isdigit() else name


def plain_field(name: str) -> bool:
    """Say whether a TypedDict class body may declare this name (mangled names and type words may not)."""
    if not name.isidentifier() or unicodedata.normalize("NFKC", name) != name:
        return False
    return not keyword.iskeyword(name) and name not in TYPE_WORDS and not name.startswith("__")


def _identifier(name: str, *, prefix: str, reserved: frozenset[str] = TYPE_WORDS) -> str:
    name = _UNDERSCORES.sub("_", name).strip("_")
    if not name.isidentifier():
        kept = "".join(c for c in name if f"_{c}".isidentifier())
        name = f"{prefix}_{kept}".rstrip("_")
    return f"{name}_" if keyword.iskeyword(name) or name in reserved else name
