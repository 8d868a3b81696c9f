"""Demo vendors: started before their servers, stopped after them, and a demo that fails is one line that names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from portal.embedded import vendors
from portal.sections import Demo, Upstream
from portal.settings import ConfigurationError


def demo(name: str, **options: Any) -> Upstream:
    return Upstream(module=f"tests.portal.demos.{name}", settings={"kept": 1}, demo=Demo(options=options))


async def test_a_demo_fills_in_the_settings_of_its_server(tmp_path: Path) -> None:
    plain = Upstream(url="http://127.0.0.1:1")
    async with vendors({"good": demo("good", a=1), "plain": plain}, tmp_path) as configured:
        assert configured["plain"] is plain
        assert configured["good"].settings == {"kept": 1, "url": "http://127.0.0.1:1", "given": {"a": 1}}
        assert (tmp_path / "good" / "started").exists()
        assert not (tmp_path / "good" / "stopped").exists()
    assert (tmp_path / "good" / "stopped").exists()


@pytest.mark.parametrize(
    ("upstream", "says"),
    [
        (demo("none"), "upstreams.x.demo: tests.portal.demos.none has no demo"),
        (demo("bad_options", sped="hunter2"), "upstreams.x.demo.options: sped: Extra inputs are not permitted"),
        (
            demo("bad_options", speed="hunter2"),
            "upstreams.x.demo.options: speed: Input should be a valid integer, unable to parse string as an integer",
        ),
        (demo("not_started"), "upstreams.x.demo: prometheus did not become ready within 20 s"),
        (demo("not_started", a=1), "upstreams.x.demo: OSError"),
    ],
)
async def test_a_demo_that_does_not_start_is_one_line(tmp_path: Path, upstream: Upstream, says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        async with vendors({"good": demo("good"), "x": upstream}, tmp_path):
            pass
    assert str(caught.value) == says
    assert (tmp_path / "good" / "started").exists()
