"""Values that cross: equal to what was meant, or refused within the budget, whatever bytes arrive."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.sandbox import events
from portal.sandbox.budget import Budget, NotJson, OverBudget
from portal.sandbox.decode import Arena
from portal.sandbox.encode import Nodes, is_small
from portal.sandbox.wire import (
    ProtocolError,
    encode_varint,
    fields,
    put_bytes,
    put_packed,
    put_varint,
    signed32,
    varints,
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**300), 2**300)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=6)
    ),
    max_leaves=40,
)


def budget(nodes: int = 10_000, size: int = 1_000_000, depth: int = 64) -> Budget:
    return Budget(nodes, size, depth, "result_bytes")


def decoded(nodes: Nodes, root: int, within: Budget, *, strict: bool = True) -> Any:
    return Arena(memoryview(nodes.message()), max_nodes=within.nodes).value(root, within, strict=strict)


@given(JSON)
def test_json_survives_the_way_in_and_out(value: Any) -> None:
    nodes = Nodes()
    root = nodes.add(value)
    found = decoded(nodes, root, budget())
    assert found == value
    assert json.dumps(found) == json.dumps(value)


@given(JSON, st.integers(1, 60), st.integers(1, 400))
def test_what_comes_out_is_within_the_budget(value: Any, most: int, size: int) -> None:
    nodes = Nodes()
    root = nodes.add(value)
    within = budget(most, size)
    try:
        found = decoded(nodes, root, within)
    except OverBudget:
        return
    assert count(found) <= most
    # Strings are counted whole; numbers and punctuation are not, but each is small.
    assert len(json.dumps(found, ensure_ascii=False).encode()) <= 7 * size + 40 * most


def count(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(map(count, value.values()))
    return 1 + sum(map(count, value)) if isinstance(value, list) else 1


@pytest.mark.parametrize("levels", [10, 60, 5_000])
def test_shared_nodes_are_paid_for_at_every_visit(levels: int) -> None:
    nodes = Nodes()
    root = nodes.add(1)
    for _ in range(levels):
        root = nodes.node(put_bytes(11, put_packed(1, [root, root])))
    within = budget(depth=10_000 if levels < 100 else 64)
    if levels == 10:
        found = decoded(nodes, root, budget())
        assert count(found) == 2**11 - 1
        found[0].append("own")
        assert found[1] != found[0]
    else:
        with pytest.raises(OverBudget):
            decoded(nodes, root, within)
        assert within.spent_nodes <= within.nodes + 1


def test_keys_that_share_themselves_are_never_hashed() -> None:
    nodes = Nodes()
    key = nodes.add(1)
    for _ in range(500):
        key = nodes.node(put_bytes(12, put_packed(1, [key, key])))
    root = nodes.node(put_bytes(14, put_bytes(1, put_varint(1, key) + put_varint(2, 0))))
    assert decoded(nodes, root, budget(), strict=False) == {"(…)": 1}
    with pytest.raises(NotJson):
        decoded(nodes, root, budget())


def test_a_node_cannot_refer_to_itself_or_forward() -> None:
    for child in (0, 1, 2**40):
        nodes = Nodes()
        nodes.node(put_bytes(11, put_packed(1, [child])))
        nodes.add(1)
        with pytest.raises(ProtocolError):
            decoded(nodes, 0, budget())
        with pytest.raises(ProtocolError):
            decoded(nodes, child + 2, budget())


def test_more_nodes_than_the_budget_are_refused_unread() -> None:
    nodes = Nodes()
    for number in range(100):
        nodes.add(number)
    with pytest.raises(OverBudget):
        Arena(memoryview(nodes.message()), max_nodes=99)


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_a_value_or_a_named_error(data: bytes, strict: bool) -> None:
    try:
        arena = Arena(memoryview(data), max_nodes=100)
        json.dumps(arena.value(0, budget(100, 1_000), strict=strict), allow_nan=False)
    except (ProtocolError, OverBudget, NotJson):
        pass


@given(st.lists(st.binary(max_size=40), max_size=8), st.integers(1, 33), st.booleans())
def test_any_nodes_are_a_value_or_a_named_error(bodies: list[bytes], kind: int, strict: bool) -> None:
    nodes = Nodes()
    nodes.add("leaf")
    for body in bodies:
        nodes.node(put_bytes(kind, body))
    with contextlib.suppress(ProtocolError, OverBudget, NotJson):
        json.dumps(decoded(nodes, len(bodies), budget(100, 1_000), strict=strict), allow_nan=False)


@given(st.binary(max_size=120))
def test_any_bytes_are_an_event_or_a_protocol_error(data: bytes) -> None:
    try:
        event = events.event(data)
    except ProtocolError:
        return
    for parse in (
        lambda body: list(events.printed(body)),
        events.call,
        events.system,
        events.seconds,
        events.names,
        lambda body: events.futures(body, 500),
        events.complete,
        events.error,
    ):
        try:
            parse(event.body)
        except ProtocolError:
            continue


@given(st.integers(0, 2**64 - 1))
def test_numbers_survive(number: int) -> None:
    assert varints(memoryview(encode_varint(number))) == [number]
    ((field, _, value, _),) = fields(memoryview(put_varint(3, number)))
    assert (field, value) == (3, number)
    assert -(2**63) <= signed32(number) < 2**63


@pytest.mark.parametrize(
    "data", [b"\x80" * 11, b"\xff" * 10, b"\x08", b"\x0a\x05ab", b"\x00", b"\x0b", b"\x0a\xff\xff\xff\xff\x0f"]
)
def test_malformed_messages_are_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        list(fields(memoryview(data)))


@pytest.mark.parametrize("value", [object(), {1: 2}, {1, 2}, b"x", 1j])
def test_what_json_cannot_hold_is_not_encoded(value: Any) -> None:
    with pytest.raises(TypeError):
        Nodes().add([value])


def test_deep_values_are_not_encoded() -> None:
    value: list[Any] = []
    for _ in range(300):
        value = [value]
    with pytest.raises(TypeError):
        Nodes().add(value)


@given(JSON)
def test_measuring_agrees_with_counting(value: Any) -> None:
    assert is_small(value, nodes=10_000, chars=1_000_000)
    if count(value) > 1:
        assert not is_small(value, nodes=count(value) - 1)


def test_floats_that_are_no_json_become_text_in_results_only() -> None:
    nodes = Nodes()
    roots = [nodes.add(number) for number in (math.nan, math.inf, -math.inf)]
    assert [decoded(nodes, root, budget(), strict=False) for root in roots] == ["NaN", "Infinity", "-Infinity"]
    for root in roots:
        with pytest.raises(NotJson):
            decoded(nodes, root, budget())
