"""`portal auth evidence`: what the auth flow promises, the endpoints that there are, and the tests that show it.

Which test shows what stands in the tests themselves; how each ended last is in the file that `make test` writes. Of an
installed portal without its repository, the page says that both are not here.
"""

from __future__ import annotations

import ast
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from starlette.routing import Route

from portal.app import open_portal
from portal.guards import GUARDS
from portal.inspection import flat
from portal.settings import PortalSettings
from shared_auth.requirements import Requirement, requirements

ROOT = Path(__file__).resolve().parent.parent
RESULTS = "var/test-results*.xml"
NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class Proof:
    """What is known of the tests: which name a requirement, and how each ended last. None where they are not."""

    tests: Mapping[str, Sequence[str]] | None
    outcomes: Mapping[str, str]


def named(root: Path) -> dict[str, list[str]]:
    """Return the tests under ``root`` by the requirement that they name, as ``tests/x/test_y.py::test_z``.

    A name counts where a test function carries it as a decorator, written out. Raises ValueError for any other use.
    """
    found: dict[str, list[str]] = {}
    for path in sorted(root.glob("**/test_*.py")):
        module = ast.parse(path.read_text(encoding="utf-8"))
        marks = [(test, mark) for test, decorator in _decorators(module) for mark in _marks(decorator)]
        if len(marks) != len(list(_marks(module))):
            raise ValueError(f"{path}: requirement marks must be decorators of test functions")
        for test, mark in marks:
            for name in mark.args:
                if not isinstance(name, ast.Constant) or mark.keywords:
                    raise ValueError(f"{path}: {test}: write the ids out")
                found.setdefault(str(name.value), []).append(f"{path.relative_to(root.parent).as_posix()}::{test}")
    return found


def _decorators(module: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield from ((node.name, decorator) for decorator in node.decorator_list)


def _marks(place: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(place):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.requirement":
            yield node


def outcomes(files: Sequence[Path]) -> dict[str, str]:
    """Return how each test of pytest's JUnit ``files`` ended: the worst of its cases."""
    found: dict[str, str] = {}
    for file in files:
        for case in ET.parse(file).iter("testcase"):  # noqa: S314 - our own test run wrote it
            name = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name', '').partition('[')[0]}"
            kinds = {child.tag for child in case}
            ended = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
            worse = ("failed", "passed", "skipped")
            found[name] = min(ended, found.get(name, ended), key=worse.index)
    return found


def known(root: Path = ROOT) -> Proof:
    """Return what the repository at ``root`` knows, or that there is none."""
    if not (root / "tests" / "shared_auth").is_dir():
        return Proof(None, {})
    return Proof(named(root / "tests"), outcomes(sorted(root.glob(RESULTS))))


async def evidence(settings: PortalSettings, proof: Proof) -> tuple[str, bool]:
    """Return (the page in Markdown, whether every endpoint has a guard and every promise a test that did not fail)."""
    with tempfile.TemporaryDirectory() as folder:
        async with open_portal(settings, demo_dir=Path(folder)) as portal:
            served = portal.routes
    lines = ["# Evidence of the auth flow", "", *_summary(proof), "", "## Endpoints", ""]
    lines += ["| address | methods | what stands before it | shown by |", "|---|---|---|---|", *_endpoints(served)]
    lines += ["", "## Effective settings", "", "```", *_settings(settings), "```"]
    chapter = ""
    for one in requirements().values():
        if one.chapter != chapter:
            chapter = one.chapter
            lines += [
                "",
                f"## {chapter}",
                "",
                "| id | level | source | what holds | tests, last result |",
                "|---|---|---|---|---|",
            ]
        lines.append(f"| {one.id} | {one.level} | {one.source} | {one.behaviour} | {_shown(one, proof)} |")
    return "\n".join([*lines, ""]), _is_whole(served, proof)


def _summary(proof: Proof) -> list[str]:
    every = requirements().values()
    held = [one for one in every if not one.deviation]
    lines = [f"{len(held)} requirements are held, {len(every) - len(held)} are not and say why."]
    if proof.tests is None:
        return [*lines, "The tests are not here: run this in the repository to see them."]
    tests = {test for one in held for test in proof.tests.get(one.id, [])}
    ended = [proof.outcomes.get(test, NOT_RUN) for test in tests]
    counts = ", ".join(f"{ended.count(kind)} {kind}" for kind in ("passed", "failed", "skipped", NOT_RUN))
    return [*lines, f"{len(tests)} tests show them: {counts} (`make test` writes the results)."]


def _endpoints(served: Sequence[Route]) -> Iterator[str]:
    methods: dict[str, set[str]] = {}
    for route in served:
        methods.setdefault(route.path, set()).update((route.methods or set()) - {"HEAD", "OPTIONS"})
    for path, given in methods.items():
        guard, ids = GUARDS.get(path, ("**nothing that is known**", ""))
        yield f"| `{path}` | {', '.join(sorted(given))} | {guard} | {ids.replace(' ', ', ')} |"


def _settings(settings: PortalSettings) -> Iterator[str]:
    auth = settings.auth.model_dump(mode="json")
    for client in auth["clients"].values():
        client["secret_hash"] = "given" if client["secret_hash"] else None
    yield from flat(
        {"issuer": settings.issuer, "endpoint": settings.endpoint, "local_sign_in": settings.local_sign_in}, ""
    )
    yield from flat(auth, "", "auth")


def _shown(one: Requirement, proof: Proof) -> str:
    if one.deviation:
        return f"**not held**: {one.deviation}"
    if proof.tests is None:
        return "the tests are not here"
    return "<br>".join(
        f"{test.rpartition('/')[2]}: {proof.outcomes.get(test, NOT_RUN)}" for test in proof.tests.get(one.id, [])
    )


def _is_whole(served: Sequence[Route], proof: Proof) -> bool:
    guarded = all(route.path in GUARDS for route in served)
    if proof.tests is None:
        return guarded
    held = [one for one in requirements().values() if not one.deviation]
    tests = [test for one in held for test in proof.tests.get(one.id, [])]
    return guarded and all(one.id in proof.tests for one in held) and "failed" not in map(proof.outcomes.get, tests)
