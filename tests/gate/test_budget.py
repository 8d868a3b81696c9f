"""A person's calls per minute: never more than a minute's worth at once, refilled evenly, forgotten when full."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from portal.gate import budget
from portal.gate.budget import CallsPerMinute


@given(st.integers(1, 50), st.lists(st.floats(0, 30, allow_nan=False), min_size=1, max_size=200))
def test_no_stretch_of_time_sees_more_than_its_share_and_one_full_bucket(calls: int, waits: list[float]) -> None:
    now_s = [0.0]
    limit = CallsPerMinute(calls, lambda: now_s[0])
    taken = 0
    for wait_s in waits:
        now_s[0] += wait_s
        until_s = limit.take("ada")
        if until_s == 0:
            taken += 1
        else:
            assert 0 < until_s <= 60 / calls + 1e-9
    assert taken <= calls + now_s[0] * calls / 60 + 1e-6


def test_waiting_as_long_as_told_is_enough() -> None:
    now_s = [0.0]
    limit = CallsPerMinute(7, lambda: now_s[0])
    while not (until_s := limit.take("ada")):
        pass
    now_s[0] += until_s + 1e-9
    assert limit.take("ada") == 0


def test_one_persons_calls_cost_another_nothing() -> None:
    limit = CallsPerMinute(1, lambda: 0.0)
    assert limit.take("ada") == 0
    assert limit.take("ada") > 0
    assert limit.take("bob") == 0


def test_persons_who_come_once_do_not_fill_the_memory_and_spenders_are_not_forgiven() -> None:
    now_s = [0.0]
    limit = CallsPerMinute(1, lambda: now_s[0])
    for number in range(budget.SWEEP_AT - 1):
        limit.take(number)
    now_s[0] = 61.0
    limit.take("spender")
    limit.take("newcomer")
    assert limit.take("spender") > 0
    assert len(limit._buckets) == 2
