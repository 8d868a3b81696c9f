"""The vendors' JSON, read with suspicion: what is not as documented becomes one VendorRejected, never a half answer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from servers._kit import InvalidInput, VendorRejected
from servers.prometheus.models import Bucket, Exemplar, ExemplarSeries, Histogram, Labels, Sample
from servers.prometheus.moments import at

TRACE_LABELS = ("trace_id", "traceID", "TraceID", "traceId")


@contextmanager
def understood(vendor: str) -> Iterator[None]:
    """Turn every surprise while an answer is read into VendorRejected; nothing of the answer is repeated."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, OSError, InvalidInput):
        raise VendorRejected(f"{vendor} answered in a form that this server does not know") from None


def number(text: Any) -> tuple[float | None, str | None]:
    """Return (value, None) of a finite number, (None, raw) of NaN, +Inf and -Inf. Raises ValueError, TypeError."""
    if not isinstance(text, (str, int, float)):
        raise TypeError("a number is expected")
    value = float(text)
    if math.isfinite(value):
        return value, None
    return None, "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def labels(value: Any) -> Labels:
    """Return a label set. Raises TypeError for anything else."""
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise TypeError("a label set is expected")
    return value


def text(value: Any) -> str:
    """Return a string. Raises TypeError for anything else."""
    if not isinstance(value, str):
        raise TypeError("text is expected")
    return value


def strings(value: Any) -> list[str]:
    """Return a list of strings; null, which Go writes for an empty list, is one too. Raises TypeError."""
    if value is not None and not isinstance(value, list):
        raise TypeError("a list is expected")
    return [text(item) for item in value or []]


def moment(value: Any) -> datetime | None:
    """Return an RFC 3339 time in UTC, None for absence and for Go's zero time. Raises ValueError, TypeError."""
    if value is None or value == "":
        return None
    found = datetime.fromisoformat(text(value)).astimezone(UTC)
    return None if found.year == 1 else found


def known_moment(value: Any) -> datetime:
    """Return an RFC 3339 time that must be there. Raises ValueError, TypeError."""
    found = moment(value)
    if found is None:
        raise ValueError("a time is expected")
    return found


def samples(kind: str, result: Any) -> Iterator[Sample]:
    """Yield the samples of a query result of any kind, a matrix series by series. Raises as the readers above.

    One by one, so that the caller of a million raw samples pays only for those that it keeps.
    """
    match kind:
        case "scalar":
            yield _sample({}, result)
        case "string":
            yield Sample(labels={}, time=at(result[0]), value=None, raw=text(result[1]))
        case "vector":
            for found in result:
                if "histogram" in found:
                    yield _histogram_sample(labels(found["metric"]), found["histogram"])
                else:
                    yield _sample(labels(found["metric"]), found["value"])
        case "matrix":
            for series in result:
                yield from _series(series)
        case _:
            raise ValueError("a result type that is not documented")


def exemplars(entry: Any, per_series: int) -> ExemplarSeries:
    """Return the newest exemplars of one series. Raises as the readers above."""
    found = sorted(entry["exemplars"] or [], key=lambda e: float(e["timestamp"]), reverse=True)
    return ExemplarSeries(
        labels=labels(entry["seriesLabels"]),
        exemplars=[_exemplar(e) for e in found[:per_series]],
        truncated=len(found) > per_series,
    )


def _series(series: Any) -> Iterator[Sample]:
    found = labels(series["metric"])
    for pair in series.get("values", ()):
        yield _sample(found, pair)
    for pair in series.get("histograms", ()):
        yield _histogram_sample(found, pair)


def _sample(found: Labels, pair: Any) -> Sample:
    value, raw = number(pair[1])
    return Sample(labels=found, time=at(pair[0]), value=value, raw=raw)


def _histogram_sample(found: Labels, pair: Any) -> Sample:
    told = pair[1]
    buckets = [
        Bucket(lower=number(b[1])[0], upper=number(b[2])[0], count=number(b[3])[0]) for b in told.get("buckets", ())
    ]
    histogram = Histogram(count=number(told["count"])[0], sum=number(told["sum"])[0], buckets=buckets)
    return Sample(labels=found, time=at(pair[0]), value=None, histogram=histogram)


def _exemplar(exemplar: Any) -> Exemplar:
    value, raw = number(exemplar["value"])
    names = labels(exemplar["labels"])
    trace_id = next((names[label] for label in TRACE_LABELS if label in names), None)
    return Exemplar(labels=names, trace_id=trace_id, value=value, raw=raw, time=at(exemplar["timestamp"]))
