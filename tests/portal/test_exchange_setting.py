"""An upstream that exchanges tokens is one that tokens may travel to."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from portal.sections import Upstream
from portal.settings import ConfigurationError
from portal.upstream.registry import Upstreams


@pytest.mark.parametrize("url", ["https://notes.example/mcp", "http://127.0.0.1:8400/mcp", "http://[::1]:8400/mcp"])
def test_a_server_over_https_or_on_this_machine_may_exchange(url: Any) -> None:
    assert Upstream(url=url, auth="exchange").auth == "exchange"


@pytest.mark.parametrize(
    "upstream",
    [
        {"url": "http://notes.example/mcp"},
        {"url": "https://notes.example/mcp", "token": "static"},
        {"module": "servers.catalog"},
    ],
)
def test_anything_else_does_not_start(upstream: Any) -> None:
    with pytest.raises(ValidationError):
        Upstream.model_validate(upstream | {"auth": "exchange"})


def test_without_anybody_to_exchange_tokens_such_an_upstream_does_not_start() -> None:
    with pytest.raises(ConfigurationError, match=r"upstreams\.notes\.auth"):
        Upstreams({"notes": Upstream(url="https://notes.example/mcp", auth="exchange")})
