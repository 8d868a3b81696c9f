"""What functions and aggregations there are, and what they take and give."""

from __future__ import annotations

from dataclasses import dataclass

from servers.prometheus.emulator.promql.nodes import Type


@dataclass(frozen=True, slots=True)
class Signature:
    """``optional`` counts the parameters at the end that may be left out."""

    parameters: tuple[Type, ...]
    returns: Type = "vector"
    optional: int = 0


_RANGE = Signature(("matrix",))
_VECTOR = Signature(("vector",))
_DATE = Signature(("vector",), optional=1)

FUNCTIONS: dict[str, Signature] = {
    **{f"{name}_over_time": _RANGE for name in ("avg", "min", "max", "sum", "count", "last", "present", "stddev")},
    **dict.fromkeys(("rate", "irate", "increase", "delta", "idelta", "changes", "resets", "deriv"), _RANGE),
    **dict.fromkeys(("abs", "ceil", "floor", "sqrt", "exp", "ln", "log2", "log10", "sgn", "timestamp"), _VECTOR),
    **dict.fromkeys(("absent", "sort", "sort_desc"), _VECTOR),
    **dict.fromkeys(("hour", "minute", "day_of_week"), _DATE),
    "absent_over_time": _RANGE,
    "quantile_over_time": Signature(("scalar", "matrix")),
    "predict_linear": Signature(("matrix", "scalar")),
    "histogram_quantile": Signature(("scalar", "vector")),
    "clamp": Signature(("vector", "scalar", "scalar")),
    "clamp_min": Signature(("vector", "scalar")),
    "clamp_max": Signature(("vector", "scalar")),
    "round": Signature(("vector", "scalar"), optional=1),
    "label_replace": Signature(("vector", "string", "string", "string", "string")),
    "scalar": Signature(("vector",), returns="scalar"),
    "vector": Signature(("scalar",)),
    "time": Signature((), returns="scalar"),
    "pi": Signature((), returns="scalar"),
}

AGGREGATIONS: dict[str, Type | None] = {
    **dict.fromkeys(("sum", "avg", "min", "max", "count", "group", "stddev", "stdvar")),
    **dict.fromkeys(("topk", "bottomk", "quantile"), "scalar"),
}
"""Each aggregation with the type of its parameter, if it takes one."""

NOT_SUPPORTED = frozenset(
    [
        "count_values",
        "limitk",
        "limit_ratio",
        "acos",
        "acosh",
        "asin",
        "asinh",
        "atan",
        "atanh",
        "cos",
        "cosh",
        "sin",
        "sinh",
        "tan",
        "tanh",
        "deg",
        "rad",
        "day_of_month",
        "day_of_year",
        "days_in_month",
        "month",
        "year",
        "double_exponential_smoothing",
        "holt_winters",
        "histogram_avg",
        "histogram_count",
        "histogram_fraction",
        "histogram_stddev",
        "histogram_stdvar",
        "histogram_sum",
        "info",
        "label_join",
        "mad_over_time",
        "sort_by_label",
        "sort_by_label_desc",
        "stdvar_over_time",
        "first_over_time",
        "ts_of_max_over_time",
        "ts_of_min_over_time",
        "ts_of_last_over_time",
        "ts_of_first_over_time",
    ]
)
"""Names that Prometheus knows and the emulator does not compute."""
