"""What both sides are asked: filters, orders, pages, facets and references."""

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
    ("kind", "spec.system", 50),
    ("kind", "metadata.tags", 50),
)
"""(name of a filter, order, page size), for the cursors of by-query."""

FACETS: Sequence[str] = (
    "kind", "KIND", "apiVersion", "spec.type", "spec.lifecycle", "spec.owner", "spec.system", "metadata.tags", "metadata.namespace",
    "metadata.labels.acme.test/tier", "metadata.tags.python", "relations.ownedBy", "relations.dependsOn", "relations.partOf",
    "spec.profile.email", "spec.list", "spec.number", "spec.float", "spec.bool", "spec.nil", "metadata.annotations.acme.test/long",
    "metadata.links.type", "metadata.name", "spec.nobody", "spec.memberOf", "spec.targets",
)  # fmt: skip

FIELDS: Sequence[str] = (
    "metadata.name", "metadata.annotations.jira/project-key", "metadata.labels.acme.test/tier", "metadata.tags", "metadata.links",
    "metadata.annotations", "spec", "spec.type", "spec.profile.displayName", "spec.object.dotted.key", "spec.object", "spec.list", "spec.nil",
    "spec.float", "spec.nobody", "apiVersion", "metadata.custom.nested", "spec.bool",
)  # fmt: skip

REFS: Sequence[str] = (
    "component:default/checkout-api", "component:default/nobody", "api:default/checkout-http-api", "Component:Default/Checkout-API",
    "component:odd/whole", "domain:odd/outer", "system:odd/sys.one", "group:default/odd-team", "user:default/zoe", "widget:default/x",
    "component:default/checkout-api", "location:default/all",
)  # fmt: skip
