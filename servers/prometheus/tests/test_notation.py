"""Times, durations, matchers and grids: what is written is understood, whatever is written."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers._kit import InvalidInput
from servers.prometheus import matchers as m
from servers.prometheus.moments import at, duration_s, duration_text, moment_s
from servers.prometheus.series_over_time import MAX_EVALUATED_POINTS, Series, grid, on_grid

NOW_S = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("1h30m", 5400), ("250ms", 0.25), ("7d", 604_800), ("1w", 604_800), ("1y", 31_536_000), ("90", 90)],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", " ", "0", "0s", "-5m", "5 m", "m5", "5m1h", "1.5h", "11y", "9" * 9 + "y", "٣s"])
def test_what_is_no_duration_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^window: "):
        duration_s(text, name="window")


@given(st.integers(1, 315_360_000_000))
def test_a_duration_is_written_so_that_it_is_read_back(milliseconds: int) -> None:
    assert duration_s(duration_text(milliseconds / 1000)) == pytest.approx(milliseconds / 1000)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("now", NOW_S),
        ("-1h", NOW_S - 3600),
        ("now-1h30m", NOW_S - 5400),
        ("now - 5m", NOW_S - 300),
        ("+2h", NOW_S + 7200),
        ("-90", NOW_S - 90),
        (1_700_000_000, 1_700_000_000),
        ("1700000000.5", 1_700_000_000.5),
        ("2023-11-14T22:13:20Z", 1_700_000_000),
        ("2023-11-14T23:13:20+01:00", 1_700_000_000),
        ("2023-11-14T22:13:20", 1_700_000_000),
        ("1970-01-02", 86_400),
    ],
)
def test_a_moment_is_read(value: str | float, seconds: float) -> None:
    assert moment_s(value, NOW_S) == seconds


@pytest.mark.parametrize(
    "value", ["", "yesterday", "-", "1 hour ago", "2023-13-01", "-100y", "0001-01-01T00:00:00+14:00"]
)
def test_what_is_no_moment_is_refused_by_name(value: str) -> None:
    with pytest.raises(InvalidInput, match=r"^start: "):
        moment_s(value, NOW_S, name="start")


@given(st.text(max_size=40) | st.floats(allow_nan=True))
def test_any_moment_is_read_or_refused(value: str | float) -> None:
    try:
        found = moment_s(value, NOW_S)
    except InvalidInput:
        return
    assert at(found).year >= 1970


@given(st.text(min_size=1), st.sampled_from(["=", "!=", "=~", "!~"]), st.text())
def test_a_matcher_is_written_so_that_it_is_read_back(name: str, op: m.Operator, value: str) -> None:
    matcher = m.Matcher(name, op, value)
    try:
        found = m.parse(str(matcher))
    except InvalidInput:
        # A name with quotes or backslashes is none that anybody could have written.
        assert re.search(r'["\\]|[\x00-\x1f\x7f]', name)
        return
    assert found == matcher


@given(st.text(max_size=100))
def test_any_text_is_a_matcher_or_refused(text: str) -> None:
    try:
        matcher = m.parse(text)
    except InvalidInput:
        return
    assert m.parse(str(matcher)) == matcher


@pytest.mark.parametrize(
    ("text", "labels", "holds"),
    [
        ('a="1"', {"a": "1"}, True),
        ('a="1"', {"a": "11"}, False),
        ("a!=1", {}, True),
        ("a=", {}, True),
        ('a=~"1|2"', {"a": "2"}, True),
        ('a=~"1|2"', {"a": "12"}, False),
        ("a=~`\\d+`", {"a": "42"}, True),
        ('a=~"\\\\d+"', {"a": "42"}, True),
        ('a=~""', {}, True),
        ('a!~"x.*"', {"a": "xy"}, False),
        ('a!~"x.*"', {"b": "xy"}, True),
        ('"a.b"="1"', {"a.b": "1"}, True),
    ],
)
def test_a_matcher_judges_labels_as_prometheus_does(text: str, labels: dict[str, str], holds: bool) -> None:
    assert m.tests([m.parse(text)])(labels) is holds


@pytest.mark.parametrize("pattern", ["(", "a)|(b", "[", "(?=a)", "(a{1000}){1000}"])
def test_what_is_no_pattern_of_prometheus_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidInput, match="regular expression"):
        m.tests([m.Matcher("a", "=~", pattern)])


def test_a_pattern_made_to_backtrack_does_not_stop_the_server() -> None:
    # With Python's own engine this never ends: the test would hang rather than fail.
    assert m.tests([m.Matcher("a", "=~", "(a+)+b")])({"a": "a" * 10_000}) is False


@given(st.text(min_size=1))
def test_a_label_name_in_an_address_is_letters_digits_and_underscores(name: str) -> None:
    assert re.fullmatch(r"[a-zA-Z0-9_]+", m.label_in_path(name))


@given(
    st.floats(0, 4e9),
    st.floats(0, 4e8),
    st.none() | st.floats(0.001, 1e6),
    st.integers(2, 1000),
)
def test_a_grid_keeps_its_promises(start_s: float, span_s: float, step_s: float | None, max_points: int) -> None:
    try:
        found = grid(start_s, start_s + span_s, step_s, max_points)
    except InvalidInput:
        assert step_s is not None
        return
    assert found.count <= MAX_EVALUATED_POINTS
    assert 1 <= len(found.shown) <= max_points
    assert found.shown[-1] == found.count - 1
    assert found.time_s(found.count - 1) <= start_s + span_s + 0.001
    if step_s is None:
        assert found.stride == 1


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False), min_size=1, max_size=50))
def test_statistics_are_finite_and_in_order(numbers: list[float]) -> None:
    moments = grid(0, len(numbers) - 1, 1, 1000)
    series = on_grid(Series({}, [(float(i), n, None) for i, n in enumerate(numbers)], has_histograms=False), moments)
    assert series.values == numbers
    assert series.min is not None
    assert series.avg is not None
    assert series.max is not None
    assert math.isfinite(series.avg)
    slack = 1e-9 * max(abs(series.min), abs(series.max))
    assert series.min - slack <= series.avg <= series.max + slack
    assert series.last == numbers[-1]
    assert series.max_time == at(numbers.index(max(numbers)))
