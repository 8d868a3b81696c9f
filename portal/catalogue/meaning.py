"""What a text is about, as a vector: the mean of the static vectors of its word pieces.

The vectors are WordLlama's, read from two files of its wheel. Its own code is never imported: it would look for the
network, and all that is needed is a table and a tokenizer. Nothing here can fail a search: without the files there are
no vectors, and words alone decide.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
import structlog
from numpy.typing import NDArray
from tokenizers import Tokenizer

log = structlog.get_logger(__name__)

Vectors = NDArray[np.float32]

PACKAGE = "wordllama"
WEIGHTS = "weights/l2_supercat_256.safetensors"
TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"
TENSOR = "embedding.weight"
DIMENSIONS = 256
MAX_CHARS = 1_000
_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 10_000


class TextVectors(Protocol):
    """Turns texts into vectors of one length whose product says how near they are. Used by several threads at once."""

    @property
    def dimensions(self) -> int: ...

    @property
    def is_slow(self) -> bool:
        """Whether a text that was not read before takes longer than the event loop may stand still."""

    def of(self, text: str) -> Vectors:
        """Return the vector of a text in plain words; zero for a text without any."""


class WordVectors:
    """Turns texts into unit vectors of ``DIMENSIONS``. May be used by several threads at once."""

    dimensions = DIMENSIONS
    is_slow = False

    def __init__(self, folder: Path) -> None:
        """Map the table, which stays on disk until a piece is looked up, and load the tokenizer.

        Raises an exception of any kind when the files are not what they should be.
        """
        self._table = _table(folder / WEIGHTS)
        self._tokenizer = Tokenizer.from_str((folder / TOKENIZER).read_text(encoding="utf-8"))
        if self._tokenizer.get_vocab_size() > len(self._table):
            raise ValueError("the tokenizer has more pieces than the table")

    def of(self, text: str) -> Vectors:
        """Return the vector of a text in plain words; zero for a text without any."""
        # The tokenizer takes no lone surrogates, which JSON can carry.
        readable = text[:MAX_CHARS].encode("utf-8", "replace").decode("utf-8")
        pieces = self._tokenizer.encode(readable, add_special_tokens=False).ids if readable else []
        if not pieces:
            return np.zeros(DIMENSIONS, np.float32)
        mean: Vectors = self._table[pieces].astype(np.float32).mean(axis=0)
        length = float(np.linalg.norm(mean))
        return mean / np.float32(length) if length else mean


@lru_cache(maxsize=4)
def word_vectors(package: str = PACKAGE) -> WordVectors | None:
    """Return the installed vectors, the same ones for the whole process; None, logged once, when there are none."""
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        log.warning("search.words_only", reason=f"{package} is not installed")
        return None
    try:
        return WordVectors(Path(found.submodule_search_locations[0]))
    except Exception as problem:  # noqa: BLE001 - the boundary to foreign files: the tokenizer raises bare Exception
        log.warning("search.words_only", reason=f"{package} has no usable files", kind=type(problem).__name__)
        return None


def _table(path: Path) -> NDArray[np.float16]:
    """Map the one tensor of a safetensors file: length of the header, header in JSON, numbers."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if size > _MAX_HEADER_BYTES:
            raise ValueError("the header of the table is too long")
        tensor = json.loads(file.read(size))[TENSOR]
    pieces, dimensions = tensor["shape"]
    if tensor["dtype"] != "F16" or dimensions != DIMENSIONS:
        raise ValueError("the table has another type or other dimensions")
    begin = _LENGTH_BYTES + size + tensor["data_offsets"][0]
    return np.memmap(path, np.float16, mode="r", offset=begin, shape=(pieces, dimensions))
