from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import shared_auth
from shared_auth.reasons import WIRE, Denied, Reason

SOURCES = Path(shared_auth.__file__).parent


@pytest.mark.requirement("SH-02")
@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_wire_form_fit_for_headers_and_people(reason: Any) -> None:
    wire = Denied(reason).wire
    assert 400 <= wire.status <= 503
    assert wire.error or reason is Reason.NO_CREDENTIALS
    # RFC 6749 section 5.2: the characters that error_description may hold, which also keep a quoted header whole.
    assert re.fullmatch(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+", wire.description)
    assert str(Denied(reason)) == reason.value


@pytest.mark.requirement("SH-02")
def test_the_table_is_exhaustive() -> None:
    assert WIRE.keys() == set(Reason)


@pytest.mark.requirement("SH-02")
@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_given_somewhere(reason: Any) -> None:
    used = [path for path in SOURCES.rglob("*.py") if path.name != "reasons.py"]
    assert any(f"Reason.{reason.name}" in path.read_text() for path in used)
