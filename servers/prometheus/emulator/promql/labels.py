"""Label sets: sorted pairs without empty values, so that equal sets are equal and hashable."""

from __future__ import annotations

from collections.abc import Collection, Mapping

Labels = tuple[tuple[str, str], ...]
NAME = "__name__"


def labels_of(values: Mapping[str, str]) -> Labels:
    """Return the label set of a mapping. A label with an empty value is the same as no label."""
    return tuple(sorted((name, value) for name, value in values.items() if value))


def only(labels: Labels, names: Collection[str]) -> Labels:
    """Return the labels that are named."""
    return tuple(pair for pair in labels if pair[0] in names)


def without(labels: Labels, names: Collection[str]) -> Labels:
    """Return the labels that are not named."""
    return tuple(pair for pair in labels if pair[0] not in names)


def without_name(labels: Labels) -> Labels:
    """Return the labels without the metric's name: what a value is called once it has been computed with."""
    return tuple(pair for pair in labels if pair[0] != NAME)


def get(labels: Labels, name: str) -> str:
    """Return one label's value, empty if it is not set."""
    return next((value for key, value in labels if key == name), "")


def selector_text(labels: Labels) -> str:
    """Return a label set as Prometheus writes it in messages: ``name{a="b"}``."""
    inner = ", ".join(f'{name}="{value}"' for name, value in labels if name != NAME)
    name = get(labels, NAME)
    return f"{name}{{{inner}}}" if inner or not name else name
