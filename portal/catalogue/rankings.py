"""What each value of ``search.ranking`` means."""

from __future__ import annotations

from collections.abc import Callable

from portal.catalogue.meaning import TextVectors, word_vectors
from portal.catalogue.sentences import SentencesMissing, sentence_vectors
from portal.sections import Ranking
from portal.settings import ConfigurationError


def vectors_of(ranking: Ranking) -> Callable[[], TextVectors | None]:
    """Return what reads texts for ``search``, loaded: not for the event loop. Raises ConfigurationError."""
    if ranking == "words+vectors":
        return word_vectors
    try:
        sentence_vectors()
    except SentencesMissing as missing:
        raise ConfigurationError(f"search.ranking: {missing}") from None
    return sentence_vectors
