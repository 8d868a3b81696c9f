"""YAML texts and wildcards for both readers: some written down, many put together from odd parts."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

SEED = 20_240
MADE = 6_000

SCALARS = (
    "", "~", "null", "Null", "NULL", "nULL", "true", "True", "TRUE", "tRUE", "yes", "no", "on", "off", "y", "n", "0", "-0", "+0", "00", "007", "1", "-1", "+1",
    "1.", ".1", ".", "-.1", "1.0", "1.50", "1e3", "1E3", "1e+3", "1e-3", "1e", "e1", "1e400", "-1e400", "1e-400", ".inf", "-.inf", "+.INF", ".Inf", ".iNf", ".nan",
    ".NaN", ".NAN", "-.nan", "0x1f", "0X1F", "0x", "-0x1", "0o17", "0O17", "0o8", "0o", "0b1", "1_000", "1:30", "1:30:00", "2026-01-01", "2026-01-01T00:00:00Z",
    "9007199254740993", "12345678901234567890", "0.1e1", "1e21", "1e20", "123456789.123456789", "a: b", "a:b", "a #b", "a#b", "#a", "- a", "-a", "-", "?", "? a", ":",
    ": a", "[", "]", "{", "}", "[a]", "{a: b}", "[a, b: c]", "{a, b}", "[,]", "[a,]", "{a: }", "{a:b}", '{"a":b}', "&x a", "*x", "!a b", "!!str 1", "!!int '1'",
    "!!null x", "! 1", "'a'", "'a''b'", "'a\"", '"a"', '"a\\tb"', '"\\x41\\u00e9\\U0001F600"', '"\\q"', '"a', "|", ">", "|-", "|+", ">-", "|2", "%a", "@a",
    "`a`", "=", "<<", "a  b", "é", "\U0001f600", "a\tb", "---", "...", "--- a", "-- a", "*", "&", "!", "!!", "|x",
)  # fmt: skip
SHAPES = (
    "a: {0}\n", "a: {0}\nb: {1}\n", "- {0}\n- {1}\n", "a:\n  - {0}\n  - b: {1}\n", "a:\n  b: {0}\n  c: {1}\n", "{0}: {1}\n", "a: [{0}, {1}]\n", "a: {{b: {0}, c: {1}}}\n",
    "a: {0}\n---\nb: {1}\n", "---\na: {0}\n...\n---\nb: {1}\n", "a: |\n  {0}\n  {1}\n", "a: >\n  {0}\n\n  {1}\n---\nb: 1\n", "a: |-\n  {0}\n   {1}\n\nb: 1\n", "a: |+\n  {0}\n\n---\nb: {1}\n",
    "a:\n  {0}\n  {1}\n", "a: {0}\n  {1}\n", "# {0}\na: {1} # c\n", "? {0}\n: {1}\n", "a: &x {0}\nb: *x\n", 'a: "{0}\n  {1}"\n', "a: '{0}\n\n  {1}'\n", "\ufeffa: {0}\n",
    "a: {0}\r\nb: {1}\r\n", "{0}\n", "{0}\n---\n{1}\n", "a:\n- {0}\n-   {1}\n", "a:   {0}   \nb:\t{1}\n", "a: {0}\n\n\n", "a:\n\n  b: {0}\n# c\n  c: {1}\n",
)  # fmt: skip

GLOBS = (
    "*/root.yaml", "**/root.yaml", "globs/*", "globs/*.yaml", "globs/*/*.yaml", "globs/**/*.yaml", "globs/**", "globs/**/d?.yaml", "globs/d*/**/*.yaml", "globs/deep/*/*.yaml",
    "globs/{left,right}/*.yaml", "globs/{left,right}/{l,r}1.yaml", "globs/{one,two,gone}.yaml", "globs/{one}.yaml", "globs/range/r{1..3}.yaml", "globs/range/r{3..1}.yaml",
    "globs/{deep/{x,x/y},star}/*.yaml", "globs/class/[ab].yaml", "globs/class/[a-b].yaml", "globs/class/[!a].yaml", "globs/class/[^a].yaml", "globs/class/[]a].yaml",
    "globs/neg/[!a].yaml", "globs/quest/q?.yaml", "globs/quest/q??.yaml", "globs/quest/?.yaml", "globs/dots/*", "globs/dots/*.yaml", "globs/dots/?hidden.yaml", "globs/**/h.yaml",
    "globs/nothing*.yaml", "globs/*/", "globs/./star/*.yaml", "globs/star/../left/*.yaml", "globs//star//*.yaml", "globs/star/s*.y*ml", "globs/*/*1.yaml", "*/**/files/*",
    "globs/**/**/d2.yaml", "globs/deep/**/x/**/*.yaml", "globs/S*/*.yaml", "globs/star/[[:alpha:]]1.yaml", "globs/star/[s][1-2].yaml", "globs/class/[a.yaml", "globs/***/d0.yaml",
    "globs/de**/d0.yaml", "globs/range/r{01..03}.yaml", "globs/range/r{1..4..2}.yaml", "globs/class/{a..c}.yaml", "globs/ext/+(e|f).yaml", "globs/ext/!(e).yaml", "globs/ext/@(e|g).yaml",
    "globs/ext/?(e)f.yaml", "globs/ext/*(e|f).yaml",
)  # fmt: skip


def texts() -> Sequence[str]:
    """Return the texts, the same ones at every run."""
    return list(dict.fromkeys(_texts()))


def _texts() -> Iterator[str]:
    yield from (
        "",
        "\n",
        "# c",
        "---",
        "---\n---",
        "...",
        "%YAML 1.2\n---\na: 1\n",
        "%YAML 1.1\n---\na: no\n",
        "a: 1\n%b: 2\n",
        "--- |\n x\n",
        "--- {a: 1}\n",
        "a: 1\n--- \nb: 2",
    )
    for shape in SHAPES:
        for scalar in SCALARS:
            yield shape.format(scalar, "z")
    # Not for secrets: the same texts every time are the point.
    chance = random.Random(SEED)
    for _ in range(MADE):
        yield chance.choice(SHAPES).format(chance.choice(SCALARS), chance.choice(SCALARS))
