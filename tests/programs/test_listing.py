"""The calls made, in few lines: reads by number, each write that was sent by itself, none left out without a word."""

from __future__ import annotations

import re

from portal.gate import CallRecord
from portal.programs.listing import listed

TIMES = "\N{MULTIPLICATION SIGN}"


def read(tool: str, outcome: str = "ok", ms: float = 1.0) -> CallRecord:
    return CallRecord(tool, outcome, ms)


def write(tool: str, outcome: str = "ok", effect: str = "write") -> CallRecord:
    return CallRecord(tool, outcome, 2.0, effect)


def test_reads_between_two_writes_are_one_line_each_kind_in_the_order_of_the_first() -> None:
    calls = [read("a.x", ms=3), read("b.y"), read("a.x", ms=9), read("a.x", "timeout"), write("a.set"), read("a.x")]
    assert listed(calls, 10) == [
        f"  a.x {TIMES} 2 → ok (≤ 9 ms)",
        "  b.y → ok (1 ms)",
        "  a.x → timeout (1 ms)",
        "  a.set → ok (write, 2 ms)",
        "  a.x → ok (1 ms)",
    ]


def test_a_write_whose_end_nobody_knows_is_marked() -> None:
    ends = ["timeout", "unavailable", "upstream", "error", "cancelled", "running"]
    assert all("may have taken effect" in line for line in listed([write("a.set", end) for end in ends], 10))
    sure = ["ok", "not_found", "forbidden", "rate_limited"]
    assert not any("may have" in line for line in listed([write("a.set", end, "destructive") for end in sure], 10))


def test_what_was_not_sent_is_counted_like_a_read() -> None:
    calls = [write("a.set", "invalid")] * 3 + [write("a.set", "not sent")]
    assert listed(calls, 10) == [f"  a.set {TIMES} 3 → invalid (≤ 2 ms)", "  a.set → not sent (2 ms)"]


def test_of_too_many_reads_the_last_kinds_are_named_and_the_others_counted() -> None:
    calls = [read(f"a.tool_{n}") for n in range(30) for _ in range(2)]
    lines = listed(calls, 4)
    assert lines[0] == "  … 52 earlier reads"
    assert lines[1:] == [f"  a.tool_{n} {TIMES} 2 → ok (≤ 1 ms)" for n in range(26, 30)]


def test_of_too_many_writes_every_one_is_counted_and_reads_make_room() -> None:
    calls = [call for n in range(20) for call in (read(f"a.tool_{n}"), write("a.set" if n % 2 else "a.drop"))]
    lines = listed(calls, 5)
    assert lines[0] == "  … 19 earlier reads"
    assert lines[1:3] == [f"  a.drop {TIMES} 8 → ok (write, ≤ 2 ms)", f"  a.set {TIMES} 7 → ok (write, ≤ 2 ms)"]
    written = [line for line in lines if "(write" in line]
    counted = [int(n) for n in re.findall(rf"{TIMES} (\d+)", "\n".join(written))]
    assert sum(counted) + len(written) - len(counted) == 20


def test_a_name_of_any_length_is_cut() -> None:
    (line,) = listed([read("a." + "x" * 5_000)], 5)
    assert len(line) < 120
