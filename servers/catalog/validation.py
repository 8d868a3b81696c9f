"""The rules of Backstage's entity format for the kinds we know: what is wrong with a descriptor, and at which field."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from pydantic import AnyUrl, TypeAdapter, ValidationError

from servers.catalog.fields import same_but_for_case
from servers.catalog.refs import MAX_PART_CHARS, BadRef, parse_ref
from servers.catalog.relations import REFERENCES

Fault = tuple[str, str]
"""(dotted path, what is wrong there)."""

Shape = Literal["text", "texts", "refs", "profile", "presence", "list"]

MAX_LABEL_PREFIX_CHARS = 253
ROOT_FIELDS = ("apiVersion", "kind", "metadata", "spec")
PROFILE_FIELDS = ("displayName", "email", "picture")
CORE_VERSIONS = frozenset({"backstage.io/v1alpha1", "backstage.io/v1beta1"})
TEMPLATE_VERSIONS = frozenset(
    {"scaffolder.backstage.io/v1beta3", "scaffolder.backstage.io/v1beta2", "backstage.io/v1beta2"}
)

_KIND = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9]+(?:-+[a-z0-9]+)*")
_TAG = re.compile(r"[a-z0-9:+#]+(?:-[a-z0-9:+#]+)*")

_URL: TypeAdapter[AnyUrl] = TypeAdapter(AnyUrl)

# Kind -> field of spec -> (shape, required). Fields that no rule names are allowed, as in Backstage, and a field that
# is there must have a value: null is as wrong as any other. It has no rule for dependencyOf, which may be one text.
SPECS: Mapping[str, Mapping[str, tuple[Shape, bool]]] = {
    "Component": {
        "type": ("text", True),
        "lifecycle": ("text", True),
        "owner": ("text", True),
        "system": ("text", False),
        "subcomponentOf": ("text", False),
        "providesApis": ("texts", False),
        "consumesApis": ("texts", False),
        "dependsOn": ("texts", False),
        "dependencyOf": ("refs", False),
    },
    "API": {
        "type": ("text", True),
        "lifecycle": ("text", True),
        "owner": ("text", True),
        "definition": ("text", True),
        "system": ("text", False),
    },
    "Resource": {
        "type": ("text", True),
        "owner": ("text", True),
        "system": ("text", False),
        "dependsOn": ("texts", False),
        "dependencyOf": ("refs", False),
    },
    "System": {"owner": ("text", True), "domain": ("text", False), "type": ("text", False)},
    "Domain": {"owner": ("text", True), "subdomainOf": ("text", False), "type": ("text", False)},
    "Group": {
        "type": ("text", True),
        "children": ("texts", True),
        "parent": ("text", False),
        "members": ("texts", False),
        "profile": ("profile", False),
    },
    "User": {"memberOf": ("texts", True), "profile": ("profile", False)},
    "Location": {
        "type": ("text", False),
        "target": ("text", False),
        "targets": ("texts", False),
        "presence": ("presence", False),
    },
    "Template": {
        "type": ("text", True),
        "owner": ("text", False),
        "lifecycle": ("text", False),
        "steps": ("list", True),
    },
}


def faults_of(data: Any) -> list[Fault]:
    """Return everything wrong with a descriptor whose substitutions are done; empty means that it is an entity."""
    if not isinstance(data, Mapping):
        return [("", "an entity is a mapping with apiVersion, kind and metadata")]
    found = [*_envelope(data)]
    metadata = data.get("metadata")
    if not isinstance(metadata, Mapping):
        return [*found, ("metadata", "metadata must be a mapping with a name")]
    found += _metadata(metadata)
    kind = data.get("kind")
    if isinstance(kind, str) and kind in SPECS:
        found += _spec(kind, data.get("spec"), metadata)
    twice = same_but_for_case(data)
    if twice is not None:
        found.append((twice, "this key stands twice, in different case; filters could not tell them apart"))
    return found


def _envelope(data: Mapping[str, Any]) -> Iterator[Fault]:
    kind, version = data.get("kind"), data.get("apiVersion")
    if not isinstance(kind, str) or not _KIND.fullmatch(kind) or len(kind) > MAX_PART_CHARS:
        yield "kind", "kind must be a word such as Component"
    elif kind not in SPECS:
        yield "kind", f"the kind is not one of {', '.join(SPECS)}"
    elif not isinstance(version, str) or version not in (TEMPLATE_VERSIONS if kind == "Template" else CORE_VERSIONS):
        known = "scaffolder.backstage.io/v1beta3" if kind == "Template" else "backstage.io/v1alpha1"
        yield "apiVersion", f"apiVersion must be {known} for a {kind}"
    for name in data:
        if name not in ROOT_FIELDS:
            yield name, f"an entity has only the fields {', '.join(ROOT_FIELDS)}"


def _metadata(metadata: Mapping[str, Any]) -> Iterator[Fault]:
    if not _is(metadata.get("name"), _NAME):
        yield (
            "metadata.name",
            "name must be 1 to 63 letters, digits, - _ or . that begin and end with a letter or digit",
        )
    if "namespace" in metadata and not _is(metadata["namespace"], _NAMESPACE):
        yield "metadata.namespace", "namespace must be 1 to 63 lower-case letters, digits and dashes inside"
    for name in ("title", "uid", "etag"):
        if name in metadata and not _has_shape(metadata[name], "text"):
            yield f"metadata.{name}", _SHAPES["text"].format(name)
    if not isinstance(metadata.get("description", ""), str):
        yield "metadata.description", "description must be text"
    yield from _labels(metadata.get("labels", {}))
    # Null is allowed here alone: Backstage merges its own annotations in before it looks.
    yield from _map("annotations", metadata.get("annotations") or {}, lambda v: isinstance(v, str), "must be text")
    yield from _tags(metadata.get("tags", []))
    yield from _links(metadata.get("links", []))


def _labels(labels: Any) -> Iterator[Fault]:
    yield from _map(
        "labels",
        labels,
        lambda value: value == "" or _is(value, _NAME),
        "must be at most 63 letters, digits, - _ or .",
    )


def _map(name: str, value: Any, good: Callable[[Any], bool], must: str) -> Iterator[Fault]:
    if not isinstance(value, Mapping):
        yield f"metadata.{name}", f"{name} must be a mapping of text"
        return
    for key, inner in value.items():
        prefix, slash, rest = key.rpartition("/")
        if not _is(rest, _NAME) or (slash and not _subdomain(prefix)):
            yield f"metadata.{name}.{key}", f"a key of {name} looks like example.com/name"
        elif not good(inner):
            yield f"metadata.{name}.{key}", f"the value {must}"


def _subdomain(text: str) -> bool:
    return len(text) <= MAX_LABEL_PREFIX_CHARS and all(_is(label, _NAMESPACE) for label in text.split("."))


def _tags(tags: Any) -> Iterator[Fault]:
    if not isinstance(tags, list):
        yield "metadata.tags", "tags must be a list"
        return
    for at, tag in enumerate(tags):
        if not _is(tag, _TAG):
            yield f"metadata.tags.{at}", "a tag is 1 to 63 lower-case letters, digits, + # : and single dashes"


def _links(links: Any) -> Iterator[Fault]:
    if not isinstance(links, list):
        yield "metadata.links", "links must be a list"
        return
    for at, link in enumerate(links):
        if not isinstance(link, Mapping) or not _is_url(link.get("url")):
            yield f"metadata.links.{at}", "a link needs a url, such as https://example.com"
        elif any(name in link and not _has_shape(link[name], "text") for name in ("title", "icon", "type")) or any(
            not link.get(name, "x").strip() for name in ("title", "icon")
        ):
            yield f"metadata.links.{at}", "title, icon and type of a link are text that is not empty"


def _is_url(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        _URL.validate_python(value)
    except ValidationError:
        return False
    return True


def _spec(kind: str, spec: Any, metadata: Mapping[str, Any]) -> Iterator[Fault]:
    if not isinstance(spec, Mapping):
        yield "spec", f"a {kind} needs a spec"
        return
    broken = set()
    for name, (shape, required) in SPECS[kind].items():
        if name not in spec:
            if required:
                yield f"spec.{name}", f"a {kind} needs {name}"
        elif not _has_shape(spec[name], shape):
            broken.add(name)
            yield f"spec.{name}", _SHAPES[shape].format(name)
    namespace = metadata.get("namespace")
    for rule in REFERENCES.get(kind, ()):
        value = spec.get(rule.field)
        if value and rule.field not in broken:
            for text in value if isinstance(value, list) else [value]:
                try:
                    parse_ref(text, kind=rule.kind, namespace=namespace if isinstance(namespace, str) else "default")
                except BadRef as bad:
                    yield f"spec.{rule.field}", f"{rule.field}: {bad}"


_SHAPES: Mapping[Shape, str] = {
    "text": "{} must be text that is not empty",
    "texts": "{} must be a list of texts that are not empty",
    "refs": "{} must be a list of references",
    "profile": f"{{}} must be a mapping, and {', '.join(PROFILE_FIELDS)} in it text that is not empty",
    "presence": "{} must be required or optional",
    "list": "{} must be a list",
}


def _has_shape(value: Any, shape: Shape) -> bool:
    match shape:
        case "text":
            return isinstance(value, str) and value != ""
        case "refs":
            return value in (None, 0, "") or _has_shape(value, "text") or _has_shape(value, "texts")
        case "profile":
            return isinstance(value, Mapping) and all(
                _has_shape(value[name], "text") for name in PROFILE_FIELDS if name in value
            )
        case "presence":
            return value in {"required", "optional"} if isinstance(value, str) else False
        case "list":
            return isinstance(value, list)
        case "texts":
            return isinstance(value, list) and all(_has_shape(item, "text") for item in value)


def _is(value: Any, pattern: re.Pattern[str]) -> bool:
    return isinstance(value, str) and len(value) <= MAX_PART_CHARS and pattern.fullmatch(value) is not None
