"""`portal auth evidence`: every endpoint with its guard, every promise with its tests, no secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from portal.app import open_portal
from portal.evidence import ROOT, Proof, evidence, known, named, outcomes
from portal.guards import GUARDS
from shared_auth.requirements import requirements
from tests.fuzz.standing import WAYS, settings
from tests.shared_auth.company import CLIENT_SECRET

RESULTS = """<testsuites><testsuite>
<testcase classname="tests.a.test_b" name="test_one[x]"/>
<testcase classname="tests.a.test_b" name="test_one[y]"><failure message="no"/></testcase>
<testcase classname="tests.a.test_b" name="test_two"><skipped/></testcase>
<testcase classname="tests.a.test_b" name="test_three[x]"><skipped/></testcase>
<testcase classname="tests.a.test_b" name="test_three[y]"/>
<testcase classname="tests.a.test_b" name="test_four"><error message="no"/></testcase>
</testsuite></testsuites>"""


@pytest.mark.parametrize("way", WAYS)
async def test_every_address_has_a_guard_that_somebody_wrote_down(tmp_path: Path, way: str) -> None:
    async with open_portal(settings(tmp_path, way)) as portal:
        served = {route.path for route in portal.routes}
    assert served <= set(GUARDS)
    always = set(GUARDS) - {"/sign-in/callback", "/sign-in/logout"}
    assert always <= served


def test_a_test_ended_as_the_worst_of_its_cases(tmp_path: Path) -> None:
    (tmp_path / "r.xml").write_text(RESULTS)
    assert outcomes([tmp_path / "r.xml"]) == {
        "tests/a/test_b.py::test_one": "failed",
        "tests/a/test_b.py::test_two": "skipped",
        "tests/a/test_b.py::test_three": "passed",
        "tests/a/test_b.py::test_four": "failed",
    }


async def test_the_page_shows_promises_tests_and_settings_and_no_secret(tmp_path: Path) -> None:
    tests = named(ROOT / "tests")
    every = sorted({test for found in tests.values() for test in found})
    proof = Proof(tests, dict.fromkeys(every, "passed") | {tests["RS-01"][0]: "skipped"})
    where = settings(tmp_path, "provider")
    page, whole = await evidence(where, proof)
    assert whole
    for name, one in requirements().items():
        assert f"| {name} | {one.level} |" in page
    assert "nothing that is known" not in page
    assert "| `/token` | POST | the client proves itself" in page
    assert f"{len(every) - 1} passed, 0 failed, 1 skipped, 0 not run" in page
    assert "auth.oidc.issuer = 'https://login.example'" in page
    assert "auth.clients.build.secret_hash = 'given'" in page
    assert CLIENT_SECRET not in page
    assert str(where.auth.clients["build"].secret_hash) not in page


@pytest.mark.parametrize("ended", ["failed", "passed"])
async def test_a_failed_test_and_a_promise_without_one_are_not_whole(tmp_path: Path, ended: str) -> None:
    tests = named(ROOT / "tests")
    failed = {tests["AS-20"][0]: ended}
    page, whole = await evidence(settings(tmp_path, "local"), Proof(tests, failed))
    assert whole is (ended == "passed")
    assert f": {ended}" in page
    assert ": not run" in page
    less = {name: found for name, found in tests.items() if name != "AS-20"}
    assert not (await evidence(settings(tmp_path, "local"), Proof(less, {})))[1]


async def test_without_the_repository_it_says_so(tmp_path: Path) -> None:
    assert known(tmp_path) == Proof(None, {})
    page, whole = await evidence(settings(tmp_path, "local"), known(tmp_path))
    assert whole
    assert "The tests are not here" in page
    assert known().tests is not None
