"""Targets as OpenMetrics text: one scrape of the present, or an hour of the past for a backfill."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from servers.prometheus.emulator.numbers import number_text
from servers.prometheus.emulator.promql.labels import Labels, labels_of
from servers.prometheus.emulator.source import Exemplar, Family, Series, Target

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def scrape(families: Iterable[Family], time_s: float) -> str:
    """Return the OpenMetrics text of one target at a moment, with exemplars."""
    lines: list[str] = []
    for family in families:
        lines += _head(family)
        for series in family.series:
            exemplar = series.exemplar_at(time_s) if series.exemplar_at else None
            lines.append(f"{_sample(series, ())} {number_text(series.at(time_s))}{_exemplar(exemplar)}")
    return "\n".join([*lines, "# EOF", ""])


def history(targets: Sequence[Target], times_s: Sequence[float]) -> Iterator[str]:
    """Yield the OpenMetrics text of all targets at many moments, in pieces; ends with ``# EOF``."""
    yield "# TYPE up gauge\n"
    for target in targets:
        labels = _target_labels(target)
        yield "".join(f"up{_braced(labels)} {int(target.is_up(t))} {number_text(t)}\n" for t in times_s)
    heads = {family.name: family for target in targets for family in target.families}
    for name, head in heads.items():
        yield "\n".join(_head(head)) + "\n"
        for target in targets:
            moments = [t for t in times_s if target.is_up(t)]
            for family in target.families:
                if family.name == name:
                    yield from _past(family, _target_labels(target), moments)
    yield "# EOF\n"


def _past(family: Family, labels: Labels, times_s: Sequence[float]) -> Iterator[str]:
    for series in family.series:
        sample = _sample(series, labels)
        yield "".join(f"{sample} {number_text(series.at(t))} {number_text(t)}\n" for t in times_s)


def _head(family: Family) -> list[str]:
    # A histogram named *_seconds may declare its unit; so may a counter or a gauge whose name ends with it.
    unit = [f"# UNIT {family.name} {family.unit}"] if family.unit and family.name.endswith(f"_{family.unit}") else []
    return [f"# HELP {family.name} {family.help}", f"# TYPE {family.name} {family.kind}", *unit]


def _target_labels(target: Target) -> Labels:
    return labels_of({"job": target.job, "instance": target.instance, **target.labels})


def _sample(series: Series, labels: Labels) -> str:
    return f"{series.name}{_braced((*series.labels, *labels))}"


def _braced(labels: Labels) -> str:
    inner = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)
    return f"{{{inner}}}" if inner else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _exemplar(exemplar: Exemplar | None) -> str:
    if exemplar is None or not math.isfinite(exemplar.value):
        return ""
    return f" # {_braced(exemplar.labels)} {number_text(exemplar.value)} {number_text(exemplar.time_s)}"
