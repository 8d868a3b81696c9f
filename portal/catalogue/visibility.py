"""What one principal may see of one catalogue, remembered as far as it was asked.

A decision depends only on the principal and the tool, so that it holds for as long as the catalogue does. Without this,
somebody who may see little would have every search judge, again, all the better tools that are hidden.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from portal.catalogue.records import Tool

Allowed = Callable[[Tool], bool]
"""Whether a tool may be seen. Equal ones answer equally: one of a principal that compares equal is remembered."""

MAX_REMEMBERED = 256
_SHOWN, _HIDDEN = 1, 2


class Visibility:
    """Judges documents (see ``Index``), each once."""

    def __init__(self, documents: Sequence[Tool], allowed: Allowed) -> None:
        self._documents = documents
        self._allowed = allowed
        self._known = bytearray(len(documents))

    def __call__(self, document: int) -> bool:
        """Return whether a document may be seen."""
        known = self._known[document]
        if not known:
            known = self._known[document] = _SHOWN if self._allowed(self._documents[document]) else _HIDDEN
        return known == _SHOWN

    def within(self, span: slice) -> NDArray[np.bool_]:
        """Return which documents are in ``span`` and not known to be hidden."""
        found = np.zeros(len(self._known), np.bool_)
        found[span] = np.frombuffer(self._known, np.uint8)[span] != _HIDDEN
        return found


class Visibilities:
    """The visibilities of those who asked last."""

    def __init__(self, documents: Sequence[Tool]) -> None:
        self._documents = documents
        self._kept: OrderedDict[Allowed, Visibility] = OrderedDict()

    def of(self, allowed: Allowed) -> Visibility:
        """Return what ``allowed`` shows."""
        found = self._kept.pop(allowed, None) or Visibility(self._documents, allowed)
        self._kept[allowed] = found
        if len(self._kept) > MAX_REMEMBERED:
            self._kept.popitem(last=False)
        return found
