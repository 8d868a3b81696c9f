"""Differences that are meant to be, each with its reason. One that no longer shows is as wrong as one that is not listed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tests.backstage.sides import Difference


@dataclass(frozen=True, slots=True)
class Known:
    """A regular expression for whole subjects of one area."""

    area: str
    subject: str
    reason: str

    def covers(self, difference: Difference) -> bool:
        return self.area == difference.area and re.fullmatch(self.subject, difference.subject) is not None


_TAGS = "YAML tags are refused, but for !!str: no entity needs them"
_HIDES = (
    "Backstage gives up a whole Location when one thing that it leads to has a fault; here a fault hides only itself"
)
_LEADS = "a Location with a target that cannot be read is an entity here, with the problem on show; there it is none"
_CWD = "Backstage looks for a file target without a dot in its working directory; here targets stand beside their file"
_TWICE = "Backstage takes the later of two declarations in one file; here the first stays and the second is a problem"
_UNREAD = "Backstage reads the targets of a Location to judge it; here validation reads nothing and follows nothing"
_ACCIDENT = "Backstage has no rule for this field and takes a shape that nothing documents; a reference is text"

_FRINGE = "YAML that nobody writes, where the two libraries part; it is refused here, with its line"
_BRACKETS = "patterns such as +(a|b) and [[:alpha:]] are plain signs here: they cost backtracking, and globs do without"

KNOWN: Sequence[Known] = (
    Known("entity set", r"component:default/good-beside-(key-twice|nameless|text|yaml)", _HIDES),
    Known("entity set", r"component:default/fine-of-broken-.*", _HIDES),
    Known("entity set", r"location:default/with-.*", _LEADS),
    Known("entity set", r".*bare-target", _CWD),
    Known("entity set", r"component:default/custom-tag", _TAGS),
    Known("entity set", r"component:default/glob-ext-.*", _BRACKETS),
    Known("metadata", r"component:default/declared-twice name", _TWICE),
    Known("spec", r"component:default/declared-twice .*", _TWICE),
    Known(
        "cursors",
        r"kind by (spec.system|metadata.tags), 50 a page",
        "by-query leaves out what lacks the field that it sorts by, and repeats an entity for each value; here each stands once",
    ),
    Known("fields", r"component:default/declared-twice .*", _TWICE),
    Known("facets", r".*: metadata.name [Dd]eclared-[Tt]wice", _TWICE),
    Known(
        "relations",
        r"group:default/odd-team ownerOf component:default/keys-differ-in-case",
        "Backstage keeps the relations of an entity that it cannot finish; here it has none",
    ),
    Known(
        "ancestry",
        r"component:default/loc-shared at .*",
        "of two Locations that name a file, Backstage knows the one that it read last; here it is the nearest to the root",
    ),
    Known("by-refs", r"3 Component:Default/Checkout-API", "Backstage compares with case here and nowhere else"),
    Known(
        "verdicts",
        r"annotations .*",
        "Backstage's validation replaces annotations that are no mapping; from a file it refuses them too",
    ),
    Known(
        "verdicts",
        r"keys that differ in case",
        "Backstage's validation does not build the keys of filters, where it fails; from a file it has no such entity either",
    ),
    Known("verdicts", r"Location (type|target) 'x'", _UNREAD),
    Known("verdicts", r"Location targets \[.*\]", _UNREAD),
    Known("verdicts", r".* dependencyOf .*\{'kind': 'component', 'name': 'x'\}.*", _ACCIDENT),
    Known("wildcards", r"globs/(ext/.*|star/\[\[:alpha:\]\]1.yaml)", _BRACKETS),
    Known("yaml", r"refused here: .*!.*", _TAGS),
    Known("yaml", r"refused here: .*(\?.*|[\]}]: .*|&: .*)", f"a key that is no plain text: {_FRINGE}"),
    Known("yaml", r"refused here: .*(['\[ ]|\\n):( a|,|\]|\\n| z|').*", f"an empty key: {_FRINGE}"),
    Known(
        "yaml",
        r"refused there: .*[\[ ]-[,}\]].*",
        "a lone dash in brackets is text to one library and a fault to the other",
    ),
    Known("yaml", r"read differently: '%YAML 1\.1.*", "entity files are YAML 1.2, whatever a directive says"),
    Known(
        "yaml",
        r"read differently: '(\? )?[-+]?(\.(inf|Inf|INF|nan|NaN|NAN)|1e400)(\\n)?: .*",
        "a key that is no finite number is the empty key here, and Infinity or NaN there",
    ),
)
