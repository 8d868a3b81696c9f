"""Quantiles of a histogram, classic or native."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from servers._kit import NotFound, tool
from servers._kit.failures import quote
from servers.prometheus import matchers as m
from servers.prometheus.client import Prometheus
from servers.prometheus.inputs import WHEN, Duration, LabelNames, Matchers, Moment
from servers.prometheus.models import InstantResult, QuantileResult, QuantileValue
from servers.prometheus.moments import duration_s, duration_text, moment_s

Kind = Literal["classic", "native"]
Quantile = Annotated[float, Field(ge=0, le=1)]


@tool(effect="read", scope="prometheus:read")
async def query_histogram_quantile(
    client: Prometheus,
    metric: Annotated[str, Field(min_length=1, max_length=300, description="With or without `_bucket`.")],
    quantiles: Annotated[list[Quantile], Field(min_length=1, max_length=10)] = [0.5, 0.95, 0.99],  # noqa: B006
    by: LabelNames = [],  # noqa: B006
    matchers: Matchers = [],  # noqa: B006
    window: Duration = "5m",
    time: Annotated[Moment, Field(description=WHEN)] = "now",
    limit: Annotated[int, Field(ge=1, le=500, description="Groups per quantile.")] = 50,
) -> QuantileResult:
    """Latency percentiles (p50, p95, p99) of a histogram metric, per group of labels; classic and native histograms.

    For response times, the slowest requests, and sizes. Writes the histogram_quantile PromQL itself.
    """
    base = metric.removesuffix("_bucket")
    conditions = [m.parse(text) for text in matchers]
    window_s = duration_s(window, name="window")
    time_s = moment_s(time, client.now_s())

    async def answers(kind: Kind) -> list[InstantResult]:
        rates = _rates(kind, base, conditions, by, window_s)
        queries = [f"histogram_quantile({quantile}, {rates})" for quantile in quantiles]
        return await asyncio.gather(*(client.instant(q, limit=limit, time_s=time_s) for q in queries))

    kind: Kind
    for kind in ("classic", "native"):
        found = await answers(kind)
        if any(result.samples for result in found):
            return _result(base, kind, window_s, quantiles, found)
    raise NotFound(
        f"there is no histogram {quote(base)} with samples in the window, classic or native; "
        "look with list_metrics(contains=…), or use a longer window"
    )


def _rates(kind: Kind, base: str, conditions: Sequence[m.Matcher], by: Sequence[str], window_s: float) -> str:
    name = f"{base}_bucket" if kind == "classic" else base
    selector = m.selector([m.Matcher("__name__", "=", name), *conditions])
    groups = ", ".join([*(["le"] if kind == "classic" else []), *(m.label_name(label) for label in by)])
    return f"sum by ({groups}) (rate({selector}[{duration_text(window_s)}]))"


def _result(
    base: str, kind: Kind, window_s: float, quantiles: Sequence[float], found: Sequence[InstantResult]
) -> QuantileResult:
    return QuantileResult(
        metric=base,
        kind=kind,
        window_s=window_s,
        values=[
            QuantileValue(labels=sample.labels, quantile=quantile, value=sample.value, raw=sample.raw)
            for quantile, result in zip(quantiles, found, strict=True)
            for sample in result.samples
        ],
        truncated=any(result.truncated for result in found),
        warnings=list(dict.fromkeys(warning for result in found for warning in result.warnings)),
    )
