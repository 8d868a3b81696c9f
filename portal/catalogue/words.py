"""Text as search terms: words split at case and punctuation, English stems, pairs of characters where no spaces are."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import pairwise
from threading import Lock

import snowballstemmer

MAX_TEXT_CHARS = 4_000

_TOKEN = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]+")

_STOP_WORDS = """
a an the of to in on at by for from with without into onto over under as is are was were be been being and or not no it
its this that these those which who whom whose what when where how why if then than so such can could may might will
would shall should must do does did done has have had i me my we our us you your they their them he she his her please
want need using use used via per any all some each every other more most about also just only e g
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())

_stemmer = snowballstemmer.stemmer("english")
_stemming = Lock()


def words(text: str) -> list[str]:
    """Return the words of a text in order, lower case, unstemmed; stop words left out."""
    found: list[str] = []
    for token in _TOKEN.findall(unicodedata.normalize("NFKC", text[:MAX_TEXT_CHARS])):
        if not token.isascii() and _CJK.search(token):
            found += _characters(token)
            continue
        parts = _CAMEL.split(token)
        found += [word for part in parts if (word := part.lower()) not in STOP_WORDS]
        if len(parts) > 1 and len(token) <= 20:
            found.append(token.lower())  # GitHub is also one word
    return found


def spaced(text: str) -> str:
    """Return a text or an identifier as plain words with spaces between them, lower case; nothing left out."""
    readable = unicodedata.normalize("NFKC", text[:MAX_TEXT_CHARS]).replace("_", " ").replace("-", " ")
    return " ".join(_CAMEL.sub(" ", readable).lower().split())


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """Return the English stem; a word of another script is returned as it is."""
    if not word.isascii():
        return word
    with _stemming:  # the stemmer keeps the word that it works on in itself
        stemmed: str = _stemmer.stemWord(word)
    return stemmed


def terms(text: str) -> list[str]:
    """Return the stems of a text in order."""
    return [stem(word) for word in words(text)]


def pairs(stems: list[str]) -> list[str]:
    """Return neighbouring stems, joined by a space."""
    return [f"{one} {two}" for one, two in pairwise(stems)]


def _characters(token: str) -> list[str]:
    """Split a token that holds Chinese, Japanese or Korean: these as pairs of characters, the rest as words."""
    found: list[str] = []
    position = 0
    for run in _CJK.finditer(token):
        found += [token[position : run.start()].lower()] if run.start() > position else []
        text = run.group()
        found += [text[i : i + 2] for i in range(len(text) - 1)] or [text]
        position = run.end()
    return found + ([token[position:].lower()] if position < len(token) else [])
