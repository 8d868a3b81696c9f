"""One tool as text for an agent: short, among others, or whole."""

from __future__ import annotations

from collections.abc import Collection

from portal.catalogue import clean
from portal.catalogue.records import Tool
from portal.catalogue.signature import Argument
from portal.catalogue.stubs import Stubs
from portal.catalogue.words import words

MAX_DOC_CHARS = 160
MAX_HINT_CHARS = 80
MAX_HINTS_CHARS = 240
MAX_WHOLE_CHARS = 20_000
MIN_NEW_WORDS = 2

_EMPTY_WORDS = (
    "default defaults optional required parameter argument string number boolean list array value set name given"
)
EMPTY_WORDS = frozenset(_EMPTY_WORDS.split())
"""A description of only these and words already shown tells nothing new."""


def effect_mark(tool: Tool) -> str:
    """Return the comment that marks a tool which changes something; empty for a read."""
    return "" if tool.effect == "read" else f"  # {tool.effect}"


def short_stub(stubs: Stubs, tool: Tool, said: Collection[str] = ()) -> tuple[str, list[str]]:
    """Return (two lines: the signature, and what the tool does with what its types cannot say; the hints in it).

    What stands in ``said`` about a parameter of the same name is not said again.
    """
    name = tool.python_name
    head = stubs.signature_text(name, complete=False).removesuffix(" ...")
    doc = clean.first_sentence(tool.description, MAX_DOC_CHARS) or tool.title or "No description."
    hints = _hints(tool, stubs.signatures[name].arguments, said)
    text = f"{head}{effect_mark(tool)}\n{clean.docstring(doc)}"
    return (f"{text}  # {'; '.join(hints)}" if hints else text), hints


def full_definition(stubs: Stubs, tool: Tool) -> str:
    """Return everything known of one tool: every type with its fields' descriptions, the whole description."""
    name = tool.python_name
    found = stubs.signatures[name]
    lines: list[str] = []
    size, left_out = 0, 0
    for type_name in stubs.all_types(name):
        text = _whole_type(stubs, type_name)
        size += len(text)
        if size > MAX_WHOLE_CHARS:
            left_out += 1
        else:
            lines.append(text)
    if left_out:
        lines.append(f"# {left_out} more types are too long to show")
    lines += _whole_head(stubs, tool, found.arguments)
    lines.append(clean.docstring(tool.description or tool.title or "No description."))
    return "\n".join(lines)


def shortened(stubs: Stubs, tool: Tool, shown: Collection[str]) -> bool:
    """Say whether a short stub leaves out what a whole definition has: a type, or more than the first sentence."""
    doc = clean.first_sentence(tool.description, MAX_DOC_CHARS)
    return len(doc) < len(tool.description) or any(t not in shown for t in stubs.all_types(tool.python_name))


def _hints(tool: Tool, arguments: tuple[Argument, ...], said: Collection[str]) -> list[str]:
    """Return the descriptions and bounds worth their tokens, required parameters first."""
    known = EMPTY_WORDS | set(words(f"{tool.name} {clean.first_sentence(tool.description, MAX_DOC_CHARS)}"))
    parts: list[str] = []
    size = 0
    for argument in arguments:
        described = clean.first_sentence(argument.description, MAX_HINT_CHARS).rstrip(".")
        fresh = set(words(described)) - known - set(words(argument.name))
        notes = [note for note in (described if len(fresh) >= MIN_NEW_WORDS else "", argument.bounds) if note]
        text = f"{argument.name}: {', '.join(notes)}"
        if notes and text not in said and size + len(text) <= MAX_HINTS_CHARS:
            parts.append(text)
            size += len(text)
    return parts


def _whole_head(stubs: Stubs, tool: Tool, arguments: tuple[Argument, ...]) -> list[str]:
    name = tool.python_name
    returns = stubs.shape_text(name, stubs.signatures[name].returns, complete=True)
    if not arguments:
        return [f"async def {name}() -> {returns}:{effect_mark(tool)}"]
    lines = [f"async def {name}("]
    size = 0
    for number, argument in enumerate(arguments):
        if size > MAX_WHOLE_CHARS:
            rest = arguments[number:]
            lines.append(f"    # too long to show: {', '.join(other.name for other in rest)}")
            break
        text = f"    {argument.name}: {stubs.shape_text(name, argument.shape, complete=True)}"
        text += "," if argument.required else f" = {argument.default},"
        notes = ", ".join(note for note in (argument.description, argument.bounds) if note)
        lines.append(f"{text}  # {notes}" if notes else text)
        size += len(lines[-1])
    return [*lines, f") -> {returns}:{effect_mark(tool)}"]


def _whole_type(stubs: Stubs, name: str) -> str:
    flat = stubs.type_text(name, complete=True)
    notes = [f"# {field.name}: {field.description}" for field in stubs.record(name).fields if field.description]
    return "\n".join([flat, *(f"    {clean.line(note, 320)}" for note in notes)])
