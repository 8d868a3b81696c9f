"""Entity references: ``[kind:][namespace/]name``, compared without case; a Backstage web address names one as well."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

DEFAULT_NAMESPACE = "default"
MAX_PART_CHARS = 63
SHAPE = "a reference looks like component:default/name, or just name"

_REF = re.compile(r"(?:(?P<kind>[^:/\s]+):)?(?:(?P<namespace>[^:/\s]+)/)?(?P<name>[^:/\s]+)")


class BadRef(ValueError):
    """The text is no entity reference; the message says what one looks like."""


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """One entity, in lower case: two references are the same entity exactly when they are equal."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Named:
    """What a caller wrote: a reference whose kind may be open."""

    kind: str | None
    namespace: str | None
    name: str


def make_ref(kind: str, namespace: str, name: str) -> Ref:
    """Return the reference in its one spelling."""
    return Ref(kind.lower(), namespace.lower(), name.lower())


def parse_ref(text: str, *, kind: str | None = None, namespace: str = DEFAULT_NAMESPACE) -> Ref:
    """Return the reference that an entity file means, with the defaults of the field it stands in.

    Only the signs that part a reference count, as in Backstage: a name of signs that no entity may have is a reference
    to an entity that is missing. Raises BadRef when a part is empty, and when nothing gives a kind.
    """
    slash, colon = text.find("/"), text.find(":")
    if -1 < slash < colon:
        colon = -1
    kind = text[:colon] if colon >= 0 else kind
    namespace = text[colon + 1 : slash] if slash >= 0 else namespace
    name = text[max(colon, slash) + 1 :]
    if kind is None:
        raise BadRef("the reference needs a kind, as in component:default/name")
    if not (kind and namespace and name):
        raise BadRef(SHAPE)
    return make_ref(kind, namespace, name)


def parse_named(text: str) -> Named:
    """Return what a caller means by a reference or by the web address of an entity's page. Raises BadRef."""
    if text.startswith(("http://", "https://")):
        return _from_url(text)
    return _read(text)


def _read(text: str) -> Named:
    match = _REF.fullmatch(text.strip())
    if match is None or any(part is not None and len(part) > MAX_PART_CHARS for part in match.groups()):
        raise BadRef(SHAPE)
    return Named(match["kind"], match["namespace"], match["name"])


def _from_url(text: str) -> Named:
    """Read ``…/catalog/<namespace>/<kind>/<name>``; what follows is a tab of the page."""
    try:
        path = urlsplit(text).path
    except ValueError:
        raise BadRef("this is not a web address") from None
    segments = [unquote(segment) for segment in path.split("/") if segment]
    for at, segment in enumerate(segments):
        if segment == "catalog" and len(segments) >= at + 4:
            namespace, kind, name = segments[at + 1 : at + 4]
            if not all(
                _REF.fullmatch(part) and ":" not in part and "/" not in part for part in (namespace, kind, name)
            ):
                break
            return Named(kind, namespace, name)
    raise BadRef("the web address of an entity ends in /catalog/<namespace>/<kind>/<name>")
