from __future__ import annotations

import hypothesis
import pytest

# No test may fail because the machine is slow: how long something takes is a matter of bench/.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--fuzz-examples",
        type=int,
        default=400,
        help="Requests that tests/fuzz makes up for each way to sign in; many more find rarer things.",
    )
