"""Names for the records of many tools of one server: one name one shape, one shape (as a rule) one name."""

from __future__ import annotations

from collections.abc import Mapping

from portal.catalogue.naming import TYPE_WORDS
from portal.catalogue.shapes import Record
from portal.catalogue.signature import Signature


class TypeNames:
    """Assigns names in the order of ``tools``. ``records`` maps each name to (signature, record) of its first user."""

    def __init__(self, tools: Mapping[str, Signature]) -> None:
        self._taken = {*TYPE_WORDS, *tools}
        self._by_title: dict[tuple[str, str], str] = {}
        self._by_shape: dict[str, str] = {}
        self._names: dict[tuple[str, str], str] = {}
        self.records: dict[str, tuple[str, str]] = {}
        for tool, signature in tools.items():
            for key in _in_order(signature):
                self._names[tool, key] = self._name(tool, key, signature.records[key], signature.prints[key])

    def of(self, tool: str, key: str) -> str:
        """Return the name of a tool's record."""
        return self._names[tool, key]

    def _name(self, tool: str, key: str, record: Record, shape: str) -> str:
        known = self._by_shape.get(shape, "")
        if known and record.title in {"", known}:
            return known
        if (record.title, shape) in self._by_title:
            return self._by_title[record.title, shape]
        wanted = record.title or record.hint or "Record"
        name, number = wanted, 2
        while name in self._taken:
            name, number = f"{wanted}{number}", number + 1
        self._taken.add(name)
        self._by_title[record.title, shape] = name
        self._by_shape.setdefault(shape, name)
        self.records[name] = (tool, key)
        return name


def _in_order(signature: Signature) -> list[str]:
    """Return record keys from the signature inwards, so that the best names go to what a program sees first."""
    found: dict[str, None] = {}
    for shape in (signature.returns, *(argument.shape for argument in signature.arguments)):
        found.update(dict.fromkeys(signature.reachable(shape)))
    return list(found)
