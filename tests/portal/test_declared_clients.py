"""Clients of the settings reach the auth flow as the operator wrote them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from portal.mapping import declared_clients
from portal.settings import PortalSettings, load
from shared_auth.configuration import ConfigurationError
from shared_auth.keys import generate, public_half

KEY = public_half(generate())
TEXT = f"""
[auth.clients.ci]
grant_types = ["client_credentials"]
secret_hash = "{"a" * 64}"
groups = ["robots"]

[auth.clients.nightly]
name = "Nightly report"
grant_types = ["client_credentials"]
jwks = [{{ kty = "EC", crv = "P-256", kid = "k", x = "{KEY["x"]}", y = "{KEY["y"]}" }}]
"""


def test_what_proves_a_client_decides_its_method(tmp_path: Path) -> None:
    (tmp_path / "portal.toml").write_text(TEXT, encoding="utf-8")
    ci, nightly = declared_clients(load(tmp_path / "portal.toml"))
    assert (ci.client_id, ci.name, ci.auth_method, *ci.groups) == ("ci", "ci", "client_secret_basic", "robots")
    assert (nightly.name, nightly.auth_method, list(nightly.keys)) == ("Nightly report", "private_key_jwt", ["k"])


@pytest.mark.parametrize("client", [{}, {"grant_types": ["client_credentials"]}, {"secret_hash": "x"}])
def test_a_declaration_that_cannot_work_is_refused_by_name(client: Any) -> None:
    settings = PortalSettings.model_validate({"auth": {"clients": {"ci": client}}})
    with pytest.raises(ConfigurationError, match=r"auth\.clients\.ci"):
        declared_clients(settings)
