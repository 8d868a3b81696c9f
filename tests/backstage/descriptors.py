"""Descriptors with one thing about each, good or bad, for the verdicts of both sides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Json = dict[str, Any]
Values = Sequence[Any]

SPECS: Mapping[str, Json] = {
    "Component": {"type": "service", "lifecycle": "production", "owner": "team"},
    "API": {"type": "openapi", "lifecycle": "production", "owner": "team", "definition": "x"},
    "Resource": {"type": "database", "owner": "team"},
    "System": {"owner": "team"},
    "Domain": {"owner": "team"},
    "Group": {"type": "team", "children": []},
    "User": {"memberOf": []},
    "Location": {"targets": []},
}
TEXT_FIELDS = (
    *(("Component", "system"), ("Component", "subcomponentOf"), ("API", "system"), ("Resource", "system")),
    *(("System", "domain"), ("System", "type"), ("Domain", "subdomainOf"), ("Domain", "type"), ("Group", "parent")),
    *(
        ("Location", "type"),
        ("Location", "target"),
        ("Location", "presence"),
        ("User", "profile"),
        ("Group", "profile"),
    ),
)
LIST_FIELDS = (
    *(("Component", field) for field in ("providesApis", "consumesApis", "dependsOn", "dependencyOf")),
    *(("Resource", "dependsOn"), ("Resource", "dependencyOf"), ("Group", "children"), ("Group", "members")),
    *(("User", "memberOf"), ("Location", "targets")),
)
LISTS: Values = (
    ["component:x"], [], "component:x", "", None, [""], [1], [None], {}, ["nokind"], ["a:"], [":a"], ["/a"], ["a/"], [" "], 0, 1, False,
    [["component:x"]], {"kind": "component", "name": "x"}, [{"kind": "component", "name": "x"}],
)  # fmt: skip
OWNERS = (
    "team", "user:x", "component:x", "a:b:c", "a/b/c", "a b", " ", ":", "/", "a:", ":a", "/a", "a/", "a:/b", "a:b/", "a/b:c", "x" * 300, "é",
    "a\nb", "group:default/Team",
)  # fmt: skip
PROFILES: Values = (
    {"displayName": "X"}, {"displayName": ""}, {"email": 1}, {"picture": ""}, {"picture": "x"}, {"displayName": None}, {"more": 1},
    {"email": "not one"},
)  # fmt: skip
NAMES: Values = (
    "", "a" * 63, "a" * 64, "a b", "-a", "a-", "A.b_c-9", "é", "a/b", "a:b", "9", ".a", 5, None, True, ["a"], {}, "a\n",
)  # fmt: skip
NAMESPACES: Values = ("", "a" * 63, "a" * 64, "Upper", "a--b", "a-", "-a", "a.b", "a_b", None, 5, "1")
KEYS = (
    "a", "a.test/b", "A.test/b", "a/b/c", "/b", "a/", "a b", "a_b", "-a", "", "b" * 64, "b" * 63, f"{'a' * 63}.test/b", f"{'a' * 64}.test/b",
    f"{'a.' * 126}a/b", f"{'a.' * 127}a/b", "a..b/c", "é", "a--b.c/d",
)  # fmt: skip
KEY_VALUES: Values = ("", "x", "x y", "-", "a" * 63, "a" * 64, "a.b_c", 1, True, None, [], {}, "a\nb", "é")
TAGS: Values = ("a", "A", "a-b", "a--b", "-a", "a_b", "c++", "c#", "a:b", "", "a" * 63, "a" * 64, 1, None, "é", "a.b")
URLS = (
    "https://a.test", "a.test", "/path", "x", "mailto:a@b", "https://", "https://a b", "http:a", "javascript:alert(1)", "//a.test", "",
    " https://a.test ", "https://[", "https://a.test:99999", "a:b", "1a:b", "file:///x", "https://ä.test/ö", "https://a.test/{x}", "ftp://",
    "slack://x?y", "http://%", "https://1.2.3.999",
)  # fmt: skip
LINKS: Values = (
    {}, {"title": "x"}, {"url": None}, {"url": 1}, "x", None,
    *({"url": "https://a.test", **more} for more in (
        {"title": ""}, {"title": " "}, {"title": None}, {"icon": ""}, {"icon": 1}, {"type": ""}, {"type": None}, {"type": " "}, {"more": {"x": 1}},
    )),
)  # fmt: skip
OTHER_METADATA: Sequence[Json] = (
    {"uid": "x"}, {"uid": ""}, {"uid": 1}, {"uid": None}, {"etag": ""}, {"etag": None}, {"etag": "x"}, {"more": {"a": [1]}},
)  # fmt: skip
ROOT_FIELDS: Sequence[Json] = ({"extra": 1}, {"relations": []}, {"status": {}}, {"attachments": []}, {"extra": None})
KINDS: Values = ("component", "COMPONENT", "Widget", "", "Com-ponent", "1a", 5, None, "API", "Template", "AiResource")
WRONG_SPECS: Values = (None, [], "x")
WRONG_TEXTS: Values = (None, "", 1)
TEXTS: Values = ("x", "", None, 1, ["x"], {})
LONG_TEXTS: Values = ("", " ", "x" * 5_000, None, 1, [], {})
MAPPINGS: Values = (None, [], "x", {}, 1, ["a"])
VERSIONS: Values = (
    "backstage.io/v1beta1", "backstage.io/v1beta2", "v1", "", None, 1, "Backstage.io/v1alpha1", "scaffolder.backstage.io/v1beta3",
)  # fmt: skip


def entity(kind: str = "Component", more: Mapping[str, Any] | None = None) -> Json:
    """Return a good descriptor of a kind, with these fields of spec instead."""
    spec = {**SPECS[kind], **(more or {})}
    return {"apiVersion": "backstage.io/v1alpha1", "kind": kind, "metadata": {"name": "x"}, "spec": spec}


def _with(part: str, value: Any) -> tuple[str, Json]:
    return f"{part} {_shown(value)}", {**entity(), part: value}


def _meta(field: str, value: Any) -> tuple[str, Json]:
    return f"{field} {_shown(value)}", {**entity(), "metadata": {"name": "x", field: value}}


def _spec(kind: str, field: str, value: Any) -> tuple[str, Json]:
    return f"{kind} {field} {_shown(value)}", entity(kind, {field: value})


def _required() -> Iterator[tuple[str, Json]]:
    for kind, fields in SPECS.items():
        yield f"the least {kind}", entity(kind)
        yield f"{kind} without spec", {name: part for name, part in entity(kind).items() if name != "spec"}
        for spec in WRONG_SPECS:
            yield f"{kind} with spec {spec!r}", {**entity(kind), "spec": spec}
        for field in fields:
            less = {name: value for name, value in fields.items() if name != field}
            yield f"{kind} without {field}", {**entity(kind), "spec": less}
            yield from (_spec(kind, field, value) for value in WRONG_TEXTS)


def _specs() -> Iterator[tuple[str, Json]]:
    yield from (_spec(kind, field, value) for kind, field in TEXT_FIELDS for value in TEXTS)
    yield from (_spec(kind, field, value) for kind, field in LIST_FIELDS for value in LISTS)
    yield from (_spec("Component", "owner", value) for value in OWNERS)
    yield from (_spec(kind, "profile", value) for kind in ("User", "Group") for value in PROFILES)
    yield from (_spec("Location", "presence", value) for value in ("required", "optional", "maybe"))
    yield "keys that differ in case", entity(more={"Custom": 1, "custom": 2})


def _metadata() -> Iterator[tuple[str, Json]]:
    yield from (_meta("name", value) for value in NAMES)
    yield from (_meta("namespace", value) for value in NAMESPACES)
    yield from (_meta(field, v) for field in ("title", "description") for v in LONG_TEXTS)
    for field in ("labels", "annotations"):
        yield from (_meta(field, {key: "x"}) for key in KEYS)
        yield from (_meta(field, {"k": value}) for value in KEY_VALUES)
        yield from (_meta(field, value) for value in MAPPINGS)
    yield from (_meta("tags", [value]) for value in TAGS)
    yield from (_meta("tags", value) for value in MAPPINGS)
    yield from (_meta("links", [{"url": value}]) for value in URLS)
    yield from (_meta("links", [value]) for value in LINKS)
    yield from (_meta("links", value) for value in MAPPINGS)
    yield from (_meta(field, value) for one in OTHER_METADATA for field, value in one.items())


def _envelopes() -> Iterator[tuple[str, Json]]:
    yield from (_with("kind", value) for value in KINDS)
    yield from (_with("apiVersion", value) for value in VERSIONS)
    yield from (_with("metadata", value) for value in MAPPINGS)
    yield from (_with(field, value) for one in ROOT_FIELDS for field, value in one.items())
    for name in ("kind", "apiVersion", "metadata"):
        yield f"no {name}", {key: value for key, value in entity().items() if key != name}


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 50 else f"{text[:25]}… of {len(text)}"


def _all() -> dict[str, Json]:
    found: dict[str, Json] = {}
    for name, descriptor in [*_required(), *_specs(), *_metadata(), *_envelopes()]:
        if found.setdefault(name, descriptor) != descriptor:
            raise ValueError(f"two descriptors are called {name}")
    return found


DESCRIPTORS: Mapping[str, Json] = _all()
