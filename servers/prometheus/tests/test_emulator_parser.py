"""The emulator's PromQL: what it reads, what it refuses and where, and that no text can break it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.prometheus.emulator.promql.calls import CALLS
from servers.prometheus.emulator.promql.durations import format_ms, parse_ms
from servers.prometheus.emulator.promql.errors import ParseError
from servers.prometheus.emulator.promql.matchers import matcher
from servers.prometheus.emulator.promql.parser import parse
from servers.prometheus.emulator.promql.printer import pretty, text
from servers.prometheus.emulator.promql.signatures import FUNCTIONS, NOT_SUPPORTED
from servers.prometheus.emulator.promql.syntax import tree

NAMES = st.sampled_from(["up", "sum", "by", "http_requests_total", "job:errors:rate5m", "a"])
LABELS = st.sampled_from(["job", "le", "on", "service"])
VALUES = st.text(max_size=8)
DURATIONS = st.sampled_from(["1s", "5m", "1h30m", "90m", "1d", "250ms"])


@st.composite
def selectors(draw: st.DrawFn) -> str:
    inner = []
    for label in sorted(draw(st.lists(LABELS, max_size=2, unique=True))):
        value = draw(VALUES).encode("unicode_escape").decode().replace('"', '\\"')
        inner.append(f'{label}{draw(st.sampled_from(["=", "!="]))}"{value}"')
    offset = draw(st.one_of(st.just(""), DURATIONS.map(lambda d: f" offset {d}")))
    return f"{draw(NAMES)}{{{', '.join(inner)}}}{offset}"


def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from(["+", "-", "*", "/", "%", "^", "==", ">= bool", "and", "or", "unless", "> on (job)"])
    return st.one_of(
        st.tuples(inner, operators, inner).map(" ".join),
        inner.map(lambda e: f"({e})"),
        inner.map(lambda e: f"-{e}"),
        st.tuples(st.sampled_from(["sum", "avg by (job)", "max without (le, job)", "topk"]), inner).map(
            lambda p: f"topk(3, {p[1]})" if p[0] == "topk" else f"{p[0]} ({p[1]})"
        ),
        st.tuples(st.sampled_from(["abs", "ceil", "sort"]), inner).map(lambda p: f"{p[0]}({p[1]})"),
    )


RATES = st.tuples(st.sampled_from(["rate", "max_over_time"]), NAMES, DURATIONS).map(lambda p: f"{p[0]}({p[1]}[{p[2]}])")
QUERIES = st.recursive(st.one_of(selectors(), RATES), larger, max_leaves=8)


@given(QUERIES)
def test_printed_queries_read_back_as_they_were(query: str) -> None:
    node = parse(query)
    assert tree(parse(text(node))) == tree(node)
    assert tree(parse(pretty(node))) == tree(node)


@given(st.text(alphabet=st.sampled_from(list("ab5.e\"'`\\(){}[]=!~<>+-*/%^,:@# \n$é")) | st.characters(), max_size=60))
def test_no_text_breaks_the_parser(query: str) -> None:
    try:
        parse(query)
    except ParseError as error:
        line, column = str(error).split(": parse error: ")[0].split(":")
        assert int(line) >= 1
        assert int(column) >= 1


@pytest.mark.parametrize(
    "query",
    ["(" * 5_000, "-" * 5_000 + "1", "1" + "+1" * 3_000, "sum(" * 3_000, "a or " * 3_000 + "a", "x" * 20_000],
    ids=["parentheses", "signs", "operators", "calls", "sets", "length"],
)
def test_a_query_without_end_is_refused(query: str) -> None:
    with pytest.raises(ParseError, match="parse error"):
        parse(query)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("a[5m:1m]", "1:5: parse error: subqueries are not supported by the emulator"),
        ("a @ 5", "1:3: parse error: the @ modifier is not supported by the emulator"),
        ("1 + label_join(a, 'b', 'c')", '1:5: parse error: function "label_join" is not supported by the emulator'),
        ("sum(\n  rat(a[5m]))", '2:3: parse error: unknown function with name "rat"'),
        ('a{b=~"(?=x)"}', "1:3: parse error: error parsing regexp: invalid or unsupported Perl syntax"),
        ('a{b=~"(x)\\\\1"}', "1:3: parse error: error parsing regexp: invalid or unsupported Perl syntax"),
        ('a{b=~"' + "x" * 1_001 + '"}', "1:3: parse error: error parsing regexp: longer than 1000 characters"),
    ],
)
def test_what_the_emulator_lacks_is_refused_by_name_and_place(query: str, message: str) -> None:
    with pytest.raises(ParseError) as raised:
        parse(query)
    assert str(raised.value).startswith(message)


def test_every_known_function_can_be_computed() -> None:
    assert CALLS.keys() == FUNCTIONS.keys()
    assert not NOT_SUPPORTED & FUNCTIONS.keys()


@given(st.integers(min_value=0, max_value=9 * 10**12))
def test_printed_durations_read_back_as_they_were(duration_ms: int) -> None:
    assert parse_ms(format_ms(duration_ms)) == duration_ms


@pytest.mark.parametrize("text", ["", "5", "m", "1m1h", "5m5m", "-5m", "1.5h", "9" * 70 + "s", "1s "])
def test_what_is_no_duration_is_refused(text: str) -> None:
    assert parse_ms(text) is None


def test_regular_expressions_match_the_whole_value() -> None:
    assert matcher("job", "=~", "api|web").matches("web")
    assert not matcher("job", "=~", "api|web").matches("web2")
    assert matcher("job", "!~", "api.*").matches("web")
    assert matcher("job", "=~", ".*").matches("two\nlines")


def test_the_syntax_tree_has_the_shape_of_prometheus_3() -> None:
    node = parse('sum by (job) (rate(errors_total{code=~"5.."}[5m] offset 1m)) / 2')
    assert tree(node) == {
        "type": "binaryExpr",
        "op": "/",
        "bool": False,
        "matching": None,
        "lhs": {
            "type": "aggregation",
            "op": "sum",
            "grouping": ["job"],
            "without": False,
            "param": None,
            "expr": {
                "type": "call",
                "func": {"name": "rate", "argTypes": ["matrix"], "variadic": 0, "returnType": "vector"},
                "args": [
                    {
                        "type": "matrixSelector",
                        "name": "errors_total",
                        "range": 300_000,
                        "offset": 60_000,
                        "timestamp": None,
                        "startOrEnd": None,
                        "matchers": [
                            {"name": "code", "type": "=~", "value": "5.."},
                            {"name": "__name__", "type": "=", "value": "errors_total"},
                        ],
                    }
                ],
            },
        },
        "rhs": {"type": "numberLiteral", "val": "2"},
    }
