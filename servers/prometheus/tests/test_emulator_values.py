"""What the emulator computes where no real Prometheus was asked: 3.x windows, stale series, limits, numbers as text."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.prometheus.emulator.engine import Engine
from servers.prometheus.emulator.load import Load, Part
from servers.prometheus.emulator.numbers import number_text, scientific_text
from servers.prometheus.emulator.promql.columns import Column, Steps
from servers.prometheus.emulator.promql.errors import ExecutionError
from servers.prometheus.emulator.promql.histograms import bucket_quantile
from servers.prometheus.emulator.promql.labels import labels_of
from servers.prometheus.emulator.promql.parser import parse
from servers.prometheus.emulator.release import Release
from servers.prometheus.emulator.storage import Recorded
from servers.prometheus.emulator.templates import expand

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def engine(version: str, **series: list[float | None]) -> Engine:
    """Return an engine over series with a sample every 15 s from 0 on."""
    recorded = Recorded(retention_ms=3_600_000)
    for name, values in series.items():
        for i, value in enumerate(values):
            recorded.append(labels_of({"__name__": name}), i * 15_000, value)
    return Engine(recorded, Release(version))


def value(computed: Engine, query: str, time_ms: int) -> float | None:
    [column] = computed.over(parse(query), Steps(time_ms)) or [Column((), [None])]
    return column.values[0]


def test_a_window_excludes_its_own_start_from_3_on() -> None:
    samples: list[float | None] = [0, 1, 2, 3, 4]
    assert value(engine("2.42.0", a=samples), "count_over_time(a[30s])", 60_000) == 3
    assert value(engine("3.5.0", a=samples), "count_over_time(a[30s])", 60_000) == 2


def test_a_series_that_ended_is_gone_at_once_and_its_past_is_not() -> None:
    computed = engine("3.5.0", a=[1, 2, None])
    assert value(computed, "a", 29_000) == 2
    assert value(computed, "a", 31_000) is None
    assert value(computed, "sum_over_time(a[1m])", 31_000) == 3


def test_a_value_is_forgotten_after_five_minutes() -> None:
    computed = engine("3.5.0", a=[7])
    assert value(computed, "a", 299_999) == 7
    assert value(computed, "a", 300_000) is None


def test_a_counter_that_was_reset_still_grows() -> None:
    assert value(engine("2.42.0", a=[100, 110, 5, 15]), "increase(a[45s])", 45_000) == pytest.approx(25)


def test_a_query_that_is_too_large_is_refused() -> None:
    with pytest.raises(ExecutionError, match="too many samples"):
        engine("3.5.0", a=[1]).over(parse("a"), Steps(0, 1, 5_000_000))


def test_a_histogram_without_observations_has_no_quantile() -> None:
    assert math.isnan(bucket_quantile(0.5, [(1.0, 0.0), (math.inf, 0.0)]))
    assert math.isnan(bucket_quantile(0.5, [(1.0, 3.0), (2.0, 3.0)]))
    assert bucket_quantile(0.99, [(1.0, 10.0), (2.0, 20.0), (math.inf, 30.0)]) == 2.0
    assert bucket_quantile(0.5, [(1.0, 10.0), (math.inf, 10.0)]) == 0.5


@given(FINITE)
def test_numbers_as_text_read_back_exactly(number: float) -> None:
    assert float(number_text(number)) == number
    assert "e" not in number_text(number)
    assert float(scientific_text(number)) == number


@pytest.mark.parametrize(
    ("number", "plain", "scientific"),
    [
        (0.0, "0", "0e+00"),
        (1.0, "1", "1e+00"),
        (0.125, "0.125", "1.25e-01"),
        (-1234.5, "-1234.5", "-1.2345e+03"),
        (1e21, "1000000000000000000000", "1e+21"),
        (math.nan, "NaN", "NaN"),
        (-math.inf, "-Inf", "-Inf"),
    ],
)
def test_numbers_look_as_go_prints_them(number: float, plain: str, scientific: str) -> None:
    assert (number_text(number), scientific_text(number)) == (plain, scientific)


@given(
    st.floats(min_value=0.01, max_value=500),
    st.floats(min_value=0, max_value=1),
    st.floats(min_value=0, max_value=1),
    st.lists(st.floats(min_value=0, max_value=500_000), min_size=2, max_size=20),
)
def test_counters_never_fall(mean: float, before: float, after: float, moments: list[float]) -> None:
    load = Load(mean, daily=0.5, peak_s=50_000, ripple=0.06, ripple_s=600, since_s=0)
    part = Part(load, before, after, onset_s=200_000)
    counts = [part.count(t) for t in sorted(moments)]
    assert counts == sorted(counts)
    assert counts[0] >= 0


def test_annotations_are_filled_in() -> None:
    labels = {"service": "cart-api"}
    assert expand("{{ $labels.service }}: {{ $value | humanizePercentage }}", labels, 0.1234) == "cart-api: 12.34%"
    assert expand("{{$value | humanize}} and {{ $value | humanizeDuration }}", labels, 5400) == "5.4k and 1h 30m 0s"
    assert expand('{{ printf "%.1f" $value }} {{ $labels.nothing }}|{{ other }}', labels, 2.25) == "2.2 |{{ other }}"
