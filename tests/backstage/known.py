"""Differences that are meant to be, each with its reason. One that no longer shows is as wrong as one that is not listed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tests.backstage.sides import Difference


@dataclass(frozen=True, slots=True)
class Known:
    """A pattern of subjects in one area; ``*`` stands for any text."""

    area: str
    subject: str
    reason: str

    def covers(self, difference: Difference) -> bool:
        subject = self.subject.replace("[", "[[]")
        return self.area == difference.area and fnmatchcase(difference.subject, subject)


KNOWN: Sequence[Known] = ()
