"""What the tools about metrics answer: small, flat, every field always present. Times are UTC, durations seconds.

A number that JSON cannot hold (NaN, +Inf, -Inf) is null in ``value`` and written in ``raw``; no field can hold one.
"""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, Field, FiniteFloat

from servers._kit import Output

Labels = dict[str, str]


class Bucket(Output):
    """One bucket of a native histogram."""

    lower: FiniteFloat | None
    upper: FiniteFloat | None
    count: FiniteFloat | None


class Histogram(Output):
    """A native histogram at one moment."""

    count: FiniteFloat | None
    sum: FiniteFloat | None
    buckets: list[Bucket]


class Sample(Output):
    """One value of one series at one moment."""

    labels: Labels
    time: AwareDatetime
    value: FiniteFloat | None = Field(description="Null when it is not finite, is text, or is a native histogram.")
    raw: str | None = Field(default=None, description="NaN, +Inf, -Inf, or the text of a string result.")
    histogram: Histogram | None = None


class QueryError(Output):
    """Why one query of a batch failed."""

    kind: str
    message: str


class InstantResult(Output):
    """The answer to one PromQL query at one moment."""

    query: str
    kind: Literal["vector", "scalar", "string", "matrix"] | None = Field(
        description="matrix: the raw samples of a range selector, one after the other. Null when the query failed."
    )
    samples: list[Sample]
    truncated: bool = Field(description="True when there is more than `limit`.")
    warnings: list[str] = Field(description="What Prometheus remarked, warnings and infos.")
    error: QueryError | None = Field(default=None, description="Only in query_batch.")


class NotFinite(Output):
    """A point of a series that is NaN, +Inf or -Inf."""

    index: int
    raw: str


class RangeSeries(Output):
    """One series over time. The statistics are over every evaluated point that is finite, not only those shown."""

    labels: Labels
    values: list[FiniteFloat | None] = Field(description="One per entry of `times`; null: no sample, or not finite.")
    not_finite: list[NotFinite]
    count: int = Field(description="Number of evaluated points with a finite value.")
    min: FiniteFloat | None
    max: FiniteFloat | None
    max_time: AwareDatetime | None = Field(description="When `max` was reached first.")
    avg: FiniteFloat | None
    last: FiniteFloat | None


class RangeResult(Output):
    """The answer to one PromQL query over a span of time; all series share `times`."""

    query: str
    start: AwareDatetime
    end: AwareDatetime
    step_s: FiniteFloat = Field(description="Seconds between two entries of `times`.")
    evaluated_step_s: FiniteFloat = Field(
        description="Seconds between two evaluated points; less than step_s when thinned."
    )
    times: list[AwareDatetime]
    series: list[RangeSeries]
    truncated: bool = Field(description="True when there are more series than `limit`.")
    warnings: list[str]


class Comparison(Output):
    """One series now and before. `delta` = current - before, `ratio` = current / before."""

    labels: Labels
    status: Literal["both", "new", "gone", "not_finite"]
    current: FiniteFloat | None
    before: FiniteFloat | None
    delta: FiniteFloat | None
    ratio: FiniteFloat | None = Field(description="Null when before is 0 or unknown.")


class QuantileValue(Output):
    """One quantile of one group."""

    labels: Labels
    quantile: FiniteFloat
    value: FiniteFloat | None
    raw: str | None = Field(default=None, description="NaN: nothing was observed in the window.")


class QuantileResult(Output):
    """Quantiles of a histogram, per group."""

    metric: str
    kind: Literal["classic", "native"]
    window_s: FiniteFloat
    values: list[QuantileValue]
    truncated: bool
    warnings: list[str]


class Exemplar(Output):
    """One traced observation."""

    labels: Labels
    trace_id: str | None
    value: FiniteFloat | None
    raw: str | None = None
    time: AwareDatetime


class ExemplarSeries(Output):
    """The exemplars of one series, newest first."""

    labels: Labels
    exemplars: list[Exemplar]
    truncated: bool


class MetricName(Output):
    """A metric and what its exporter says about it."""

    name: str
    type: str | None
    help: str | None
    unit: str | None


class MetricMetadata(Output):
    """One description of a metric; exporters that disagree give several."""

    metric: str
    type: str
    help: str
    unit: str


class LabelName(Output):
    """A label that series carry."""

    name: str


class LabelValue(Output):
    """One value of a label."""

    value: str


class LabelSet(Output):
    """The labels of one series; ``__name__`` is the metric."""

    labels: Labels


class CardinalityEntry(Output):
    """A name and what it counts for."""

    name: str
    count: int


class Cardinality(Output):
    """What fills the head block of the database, biggest first."""

    series: int
    chunks: int
    label_pairs: int | None
    oldest: AwareDatetime | None
    newest: AwareDatetime | None
    series_by_metric: list[CardinalityEntry]
    series_by_label_pair: list[CardinalityEntry]
    values_by_label: list[CardinalityEntry]
    memory_bytes_by_label: list[CardinalityEntry]


class AstNode(Output):
    """One node of an expression, in depth-first order."""

    depth: int
    type: str
    detail: str = Field(description="Function, operator, metric, or literal.")


class AstSelector(Output):
    """One series selector of an expression."""

    metric: str | None
    matchers: list[str]
    range_s: FiniteFloat | None
    offset_s: FiniteFloat


class PromqlAst(Output):
    """The structure of a PromQL expression."""

    query: str
    selectors: list[AstSelector]
    functions: list[str]
    aggregations: list[str] = Field(description="Such as `sum by (job)`.")
    operators: list[str]
    nodes: list[AstNode]
    truncated: bool


class FormattedQuery(Output):
    """A valid PromQL expression, laid out."""

    query: str
    formatted: str
