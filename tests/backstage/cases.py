"""What both sides are asked: filters, orders, facets, references and descriptors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Json = dict[str, Any]

FILTERS: Mapping[str, Sequence[Json]] = {
    "kind": [{"field": "kind", "equals": "Component"}],
    "kind in another case": [{"field": "KIND", "equals": "aPi"}],
    "two tests": [{"field": "kind", "equals": "component"}, {"field": "spec.type", "equals": "website"}],
    "one of": [{"field": "spec.lifecycle", "one_of": ["experimental", "deprecated", "nothing"]}],
    "a tag": [{"field": "metadata.tags", "equals": "python"}],
    "a tag as a key": [{"field": "metadata.tags.python", "equals": True}],
    "a tag as a key that exists": [{"field": "metadata.tags.python", "exists": True}],
    "a label": [{"field": "metadata.labels.acme.test/tier", "equals": "1"}],
    "a label that is empty": [{"field": "metadata.labels.acme.test/tier", "equals": ""}],
    "an annotation": [{"field": "metadata.annotations.jira/project-key", "equals": "chk"}],
    "an annotation is there": [{"field": "metadata.annotations.sentry.io/project-slug", "exists": True}],
    "an annotation is not there": [{"field": "metadata.annotations.jira/project-key", "exists": False}],
    "a value too long to compare is there": [{"field": "metadata.annotations.acme.test/long", "exists": True}],
    "a value too long to compare": [{"field": "metadata.annotations.acme.test/long", "prefix": "l"}],
    "a prefix": [{"field": "metadata.name", "prefix": "CHECK"}],
    "a prefix with a wildcard of SQL": [{"field": "metadata.name", "prefix": "a_b"}],
    "a prefix with a percent sign": [{"field": "metadata.name", "prefix": "%"}],
    "a prefix of a reference": [{"field": "relations.dependsOn", "prefix": "resource:"}],
    "a relation": [{"field": "relations.ownedBy", "equals": "group:default/checkout"}],
    "a relation in another case": [{"field": "relations.ownedBy", "equals": "Group:Default/Checkout"}],
    "a relation the other way": [{"field": "relations.apiConsumedBy", "exists": True}],
    "a relation with odd signs": [{"field": "relations.dependsOn", "equals": "component:a/b:c"}],
    "the namespace that most leave out": [{"field": "metadata.namespace", "equals": "default"}],
    "another namespace": [{"field": "metadata.namespace", "equals": "odd"}],
    "a number": [{"field": "spec.number", "equals": 3}],
    "a whole float": [{"field": "spec.float", "equals": 1}],
    "a small float": [{"field": "spec.small", "equals": "1e-7"}],
    "a large float": [{"field": "spec.exponent", "equals": "1e+21"}],
    "minus nothing": [{"field": "spec.negative", "equals": 0}],
    "a boolean": [{"field": "spec.bool", "equals": True}],
    "null is there": [{"field": "spec.nil", "exists": True}],
    "null equals nothing": [{"field": "spec.nil", "equals": "null"}],
    "an empty object has no key": [{"field": "spec.empty", "exists": True}],
    "an empty list has no key": [{"field": "metadata.tags", "exists": False}, {"field": "kind", "equals": "component"}],
    "a text of a mixed list": [{"field": "spec.list", "equals": "b"}],
    "a number of a mixed list": [{"field": "spec.list", "equals": 1}],
    "a number of a list is no key": [{"field": "spec.list.1", "exists": True}],
    "a list in a list": [{"field": "spec.list.deep", "exists": True}],
    "a key with a dot": [{"field": "spec.object.dotted.key", "equals": "v"}],
    "letters that are not ASCII": [{"field": "spec.unicode", "equals": "größe ß привет"}],
    "a key too long to compare": [{"field": "spec." + "k" * 210, "exists": True}],
    "a list item too long for a key": [{"field": "spec.list." + "v" * 199, "exists": True}],
    "the address of a link": [{"field": "metadata.links.url", "prefix": "https://docs."}],
    "an email": [{"field": "spec.profile.email", "equals": "odd@acme.test"}],
    "apiVersion": [{"field": "apiVersion", "equals": "backstage.io/v1beta1"}],
    "any of": [{"any_of": [{"field": "kind", "equals": "system"}, {"field": "spec.type", "equals": "database"}]}],
    "any of nothing": [{"any_of": []}],
    "all of": [{"all_of": [{"field": "kind", "equals": "api"}, {"field": "spec.type", "one_of": ["grpc", "graphql"]}]}],
    "all of nothing": [{"all_of": []}],
    "none of": [{"none_of": [{"field": "kind", "one_of": ["component", "user", "group"]}]}],
    "none of a list": [{"none_of": [{"field": "metadata.tags", "equals": "python"}]}],
    "groups in groups": [
        {
            "any_of": [
                {"all_of": [{"field": "kind", "equals": "component"}, {"none_of": [{"field": "metadata.tags", "exists": True}]}]},
                {"none_of": [{"any_of": [{"field": "kind", "prefix": "c"}, {"field": "kind", "one_of": ["user", "api"]}]}]},
            ]
        }
    ],
    "a field that nobody has": [{"field": "spec.nobody", "equals": "x"}],
    "no filter": [],
}  # fmt: skip

ORDERS: Sequence[tuple[Mapping[str, str], Sequence[str]]] = (
    ({}, ["metadata.name"]),
    ({}, ["-metadata.name"]),
    ({"kind": "component"}, ["spec.type", "metadata.name"]),
    ({"kind": "component"}, ["-spec.type", "metadata.name"]),
    ({"kind": "component"}, ["spec.system", "-metadata.name"]),
    ({"kind": "component"}, ["-spec.system", "metadata.name"]),
    ({"kind": "api"}, ["spec.lifecycle", "-spec.type", "metadata.name"]),
    ({"kind": "user"}, ["spec.profile.displayName", "metadata.name"]),
    ({}, ["spec.nobody", "metadata.name"]),
    ({"kind": "component"}, ["metadata.annotations.jira/project-key", "metadata.name"]),
)
"""(legacy filter, order), for ``GET /entities``, which sorts by several fields and keeps entities without them."""

PAGED: Sequence[tuple[str, str, int]] = (
    ("kind", "metadata.name", 7),
    ("kind", "-metadata.name", 13),
    ("one of", "metadata.name", 1),
    ("a tag", "spec.type", 3),
    ("any of nothing", "metadata.name", 5),
)
"""(name of a filter, order, page size), for the cursors of by-query."""

FACETS: Sequence[str] = (
    "kind", "KIND", "apiVersion", "spec.type", "spec.lifecycle", "spec.owner", "spec.system", "metadata.tags", "metadata.namespace",
    "metadata.labels.acme.test/tier", "metadata.tags.python", "relations.ownedBy", "relations.dependsOn", "relations.partOf",
    "spec.profile.email", "spec.list", "spec.number", "spec.float", "spec.bool", "spec.nil", "metadata.annotations.acme.test/long",
    "metadata.links.type", "metadata.name", "spec.nobody", "spec.memberOf", "spec.targets",
)  # fmt: skip

REFS: Sequence[str] = (
    "component:default/checkout-api", "component:default/nobody", "api:default/checkout-http-api", "Component:Default/Checkout-API",
    "component:odd/whole", "domain:odd/outer", "system:odd/sys.one", "group:default/odd-team", "user:default/zoe", "widget:default/x",
    "component:default/checkout-api", "location:default/all",
)  # fmt: skip


def entity(kind: str = "Component", spec: Any = None, **parts: Any) -> Json:
    """Return a descriptor that is good but for what is given; a part of None is left out."""
    specs: dict[str, Json] = {
        "Component": {"type": "service", "lifecycle": "production", "owner": "team"},
        "API": {"type": "openapi", "lifecycle": "production", "owner": "team", "definition": "x"},
        "Resource": {"type": "database", "owner": "team"},
        "System": {"owner": "team"},
        "Domain": {"owner": "team"},
        "Group": {"type": "team", "children": []},
        "User": {"memberOf": []},
        "Location": {"targets": []},
    }
    base = specs[kind]
    whole = {
        "apiVersion": "backstage.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": "x"},
        "spec": {**base, **spec} if isinstance(spec, dict) else base,
        **parts,
    }
    whole["spec"] = {k: v for k, v in whole["spec"].items() if v != GONE} if isinstance(whole["spec"], dict) else whole["spec"]
    return {name: value for name, value in whole.items() if value != GONE}


GONE = "\x00gone"


def meta(**metadata: Any) -> Json:
    """Return a Component with this metadata."""
    return entity(metadata={"name": "x", **metadata})


def _descriptors() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind, fields in {
        "Component": ["type", "lifecycle", "owner"],
        "API": ["type", "lifecycle", "owner", "definition"],
        "Resource": ["type", "owner"],
        "System": ["owner"],
        "Domain": ["owner"],
        "Group": ["type", "children"],
        "User": ["memberOf"],
        "Location": [],
    }.items():
        found[f"the least {kind}"] = entity(kind)
        found[f"{kind} without spec"] = entity(kind, spec=None) | {"spec": None}
        bare = entity(kind)
        del bare["spec"]
        found[f"{kind} with no spec at all"] = bare
        for field in fields:
            found[f"{kind} without {field}"] = entity(kind, {field: GONE})
            found[f"{kind} with {field} null"] = entity(kind, {field: None})
            found[f"{kind} with {field} empty"] = entity(kind, {field: ""})
            found[f"{kind} with {field} a number"] = entity(kind, {field: 1})
    for name in ["", "a" * 63, "a" * 64, "a b", "-a", "a-", "A.b_c-9", "é", "a/b", "a:b", "9", ".a", 5, None, True, ["a"], {}]:
        found[f"name {str(name)[:12]!r} ({type(name).__name__})"] = entity(metadata={"name": name})
    for space in ["", "a" * 63, "a" * 64, "Upper", "a--b", "a-", "-a", "a.b", "a_b", None, 5, "1"]:
        found[f"namespace {str(space)[:12]!r} ({type(space).__name__})"] = meta(namespace=space)
    for field in ("title", "description"):
        for value in ["", " ", "x" * 5_000, None, 1, [], {}]:
            found[f"{field} {str(value)[:8]!r} ({type(value).__name__})"] = meta(**{field: value})
    for part in ("labels", "annotations"):
        for key in ["a", "a.test/b", "A.test/b", "a/b/c", "/b", "a/", "a b", "a_b", "-a", "", "b" * 64, "b" * 63, f"{'a' * 63}.test/b", f"{'a' * 64}.test/b",
                    f"{'a.' * 126}a/b", f"{'a.' * 127}a/b", "a..b/c", "é", "a--b.c/d"]:  # fmt: skip
            found[f"{part} key {key[:20]!r} of {len(key)}"] = meta(**{part: {key: "x"}})
        for value in ["", "x", "x y", "-", "a" * 63, "a" * 64, "a.b_c", 1, True, None, [], {}, "a\nb", "é"]:
            found[f"{part} value {str(value)[:8]!r} of {len(str(value))} ({type(value).__name__})"] = meta(**{part: {"k": value}})
        for whole in [None, [], "x", {}, 1, ["a"]]:
            found[f"{part} {whole!r}"] = meta(**{part: whole})
    for tag in ["a", "A", "a-b", "a--b", "-a", "a_b", "c++", "c#", "a:b", "", "a" * 63, "a" * 64, 1, None, "é", "a.b"]:
        found[f"tag {str(tag)[:8]!r} of {len(str(tag))} ({type(tag).__name__})"] = meta(tags=[tag])
    for tags in [None, [], "a", {}, 1]:
        found[f"tags {tags!r}"] = meta(tags=tags)
    for url in ["https://a.test", "a.test", "/path", "x", "mailto:a@b", "https://", "https://a b", "http:a", "javascript:alert(1)", "//a.test", "", " https://a.test ",
                "https://[", "https://a.test:99999", "a:b", "1a:b", "file:///x", "https://ä.test/ö", "https://a.test/{x}", "ftp://", "slack://x?y", "http://%", "https://1.2.3.999"]:  # fmt: skip
        found[f"link {url!r}"] = meta(links=[{"url": url}])
    for link in [{}, {"title": "x"}, {"url": None}, {"url": 1}, "x", None, {"url": "https://a.test", "title": ""}, {"url": "https://a.test", "title": " "},
                 {"url": "https://a.test", "icon": ""}, {"url": "https://a.test", "icon": 1}, {"url": "https://a.test", "type": ""}, {"url": "https://a.test", "type": None},
                 {"url": "https://a.test", "type": " "}, {"url": "https://a.test", "title": None}, {"url": "https://a.test", "more": {"x": 1}}]:  # fmt: skip
        found[f"link {link!r}"] = meta(links=[link])
    for links in [None, [], {}, "x"]:
        found[f"links {links!r}"] = meta(links=links)
    for kind in ["component", "COMPONENT", "Widget", "", "Com-ponent", "1a", 5, None, "API", "Template", "AiResource"]:
        found[f"kind {kind!r}"] = {**entity(), "kind": kind}
    for version in ["backstage.io/v1beta1", "backstage.io/v1beta2", "v1", "", None, 1, "Backstage.io/v1alpha1", "scaffolder.backstage.io/v1beta3"]:
        found[f"apiVersion {version!r}"] = {**entity(), "apiVersion": version}
    for metadata in [None, [], "x", {}]:
        found[f"metadata {metadata!r}"] = {**entity(), "metadata": metadata}
    for name in ("kind", "apiVersion", "metadata"):
        found[f"no {name}"] = {key: value for key, value in entity().items() if key != name}
    for extra in [{"extra": 1}, {"relations": []}, {"status": {}}, {"attachments": []}, {"extra": None}]:
        found[f"root field {extra!r}"] = entity() | extra
    for metadata in [{"uid": "x"}, {"uid": ""}, {"uid": 1}, {"etag": ""}, {"etag": None}, {"etag": "x"}, {"more": {"a": [1]}}, {"uid": None}]:
        found[f"metadata {metadata!r}"] = meta(**metadata)
    for kind, field in [("Component", "system"), ("Component", "subcomponentOf"), ("API", "system"), ("Resource", "system"), ("System", "domain"), ("System", "type"),
                        ("Domain", "subdomainOf"), ("Domain", "type"), ("Group", "parent"), ("Location", "type"), ("Location", "target"), ("Location", "presence"),
                        ("User", "profile"), ("Group", "profile")]:  # fmt: skip
        for value in ["x", "", None, 1, ["x"], {}]:
            found[f"{kind} {field} {value!r}"] = entity(kind, {field: value})
    for kind, field in [("Component", "providesApis"), ("Component", "consumesApis"), ("Component", "dependsOn"), ("Component", "dependencyOf"), ("Resource", "dependsOn"),
                        ("Resource", "dependencyOf"), ("Group", "children"), ("Group", "members"), ("User", "memberOf"), ("Location", "targets")]:  # fmt: skip
        for value in [["component:x"], [], "component:x", "", None, [""], [1], [None], {}, ["nokind"], ["a:"], [":a"], ["/a"], ["a/"], [" "], 0, 1, False, [["component:x"]],
                      {"kind": "component", "name": "x"}, [{"kind": "component", "name": "x"}]]:  # fmt: skip
            found[f"{kind} {field} {value!r}"] = entity(kind, {field: value})
    for ref in ["team", "user:x", "component:x", "a:b:c", "a/b/c", "a b", " ", ":", "/", "a:", ":a", "/a", "a/", "a:/b", "a:b/", "a/b:c", "x" * 300, "é", "a\nb", "group:default/Team"]:
        found[f"owner {ref[:20]!r}"] = entity(spec={"owner": ref})
    for profile in [{"displayName": "X"}, {"displayName": ""}, {"email": 1}, {"picture": ""}, {"picture": "x"}, {"displayName": None}, {"more": 1}, {"email": "not one"}]:
        found[f"profile {profile!r}"] = entity("User", {"profile": profile})
        found[f"group profile {profile!r}"] = entity("Group", {"profile": profile})
    for presence in ["required", "optional", "maybe"]:
        found[f"presence {presence}"] = entity("Location", {"presence": presence})
    found["keys that differ in case"] = entity(spec={"Custom": 1, "custom": 2})
    found["spec as a list"] = {**entity(), "spec": []}
    found["spec as a text"] = {**entity(), "spec": "x"}
    return found


DESCRIPTORS: Mapping[str, Any] = _descriptors()
"""Good and bad descriptors, each with one thing about it, for the verdicts of validation."""
