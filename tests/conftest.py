from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--fuzz-examples",
        type=int,
        default=400,
        help="Requests that tests/fuzz makes up for each way to sign in; many more find rarer things.",
    )
