"""The reply says which engine ran a program only when it was not the usual one."""

from __future__ import annotations

import pytest

from portal.programs.presenting import Shown
from portal.programs.reply import failed, succeeded
from portal.sandbox.contract import Engine, Failure, Outcome


@pytest.mark.parametrize(("engine", "said"), [("monty", False), ("cpython", True)])
def test_the_engine_is_named_when_it_is_the_exception(engine: Engine, said: bool) -> None:
    done = succeeded(Outcome(3, engine=engine), [], Shown("3"), elapsed_ms=4.0)
    assert done.text.splitlines() == ["ok · 0 calls · 4 ms", "3"] + ["(ran on cpython)"] * said
    broken = failed(Outcome(failure=Failure("raised", "ValueError: x"), engine=engine), [], elapsed_ms=4.0)
    assert (
        broken.text.splitlines() == ["failed: raised · 0 calls · 4 ms", "ValueError: x"] + ["(ran on cpython)"] * said
    )
