"""Whose account a server works with stands in the settings, and what is wrong there is named before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from portal.mapping import declared_clients, vault_servers
from portal.sections import Upstream
from portal.settings import ConfigurationError, PortalSettings, load

TEXT = """
[upstreams.gitlab]
module = "servers._template"
credential = "person"

[upstreams.gitlab.oauth]
preset = "gitlab"
host = "https://gitlab.acme.example"
client_id = "portal"
client_secret = "hunter2"
scopes = ["api", "read_user"]
required_scopes = ["api"]
scope_includes = { api = ["read_user"] }
revoke_ends_all = true
private_networks = ["10.20.0.0/16"]

[upstreams.own]
url = "https://own.example/mcp"
auth = "exchange"
credential = "person"

[upstreams.own.oauth]
client_id = "portal"
auth_method = "none"
scopes = ["a"]
authorize_url = "https://own.example/authorize"
token_url = "https://own.example/token"

[upstreams.wiki]
module = "servers._template"
credential = "service"
service_token = "hunter3"

[upstreams.catalog]
module = "servers.catalog"

[auth.clients.own-server]
grant_types = ["urn:ietf:params:oauth:grant-type:token-exchange"]
secret_hash = "{hash}"
server = "own"
"""


def test_what_the_operator_writes_is_what_the_vault_gets(tmp_path: Path) -> None:
    (tmp_path / "portal.toml").write_text(TEXT.replace("{hash}", "a" * 64), encoding="utf-8")
    settings = load(tmp_path / "portal.toml")
    gitlab, own, wiki = vault_servers(settings)
    assert gitlab.vendor is not None
    assert gitlab.vendor.token_url == "https://gitlab.acme.example/oauth/token"
    assert gitlab.vendor.scopes == ("api", "read_user")
    assert gitlab.vendor.required_scopes == {"api"}
    assert gitlab.vendor.scope_includes == {"api": ("read_user",)}
    assert gitlab.vendor.revoke_ends_all
    assert [str(network) for network in gitlab.vendor.networks] == ["10.20.0.0/16"]
    assert (own.resource, own.vendor is not None and own.vendor.auth_method) == ("https://own.example/mcp", "none")
    assert (wiki.vendor, wiki.service_token) == (None, "hunter3")
    assert declared_clients(settings)[0].server == "own"
    assert "hunter" not in repr((settings, gitlab, own, wiki))


OAUTH = {"preset": "gitlab", "client_id": "portal", "client_secret": "hunter2"}


@pytest.mark.parametrize(
    "upstream",
    [
        {"credential": "person"},
        {"oauth": OAUTH},
        {"credential": "service"},
        {"service_token": "x"},
        {"credential": "service", "service_token": "x", "oauth": OAUTH},
        {"credential": "person", "oauth": OAUTH, "service_token": "x"},
        {"credential": "person", "oauth": OAUTH | {"preset": "nobody"}},
        {"credential": "person", "oauth": OAUTH | {"client_ident": "x"}},
        {"credential": "person", "oauth": {"preset": "gitlab"}},
    ],
)
def test_a_credential_that_is_half_said_is_refused(upstream: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        Upstream.model_validate({"module": "servers._template"} | upstream)
    assert "hunter2" not in str(refused.value)


def test_a_server_at_an_address_gets_one_only_by_exchange() -> None:
    with pytest.raises(ValidationError, match="exchange"):
        Upstream.model_validate({"url": "https://x.example/mcp", "credential": "person", "oauth": OAUTH})


@pytest.mark.parametrize(
    ("name", "oauth", "says"),
    [
        ("notes", {"host": "http://gitlab.example"}, "upstreams.notes.oauth.authorize_url"),
        ("notes", {"preset": None}, "upstreams.notes.oauth.authorize_url"),
        ("notes", {"token_url": "http://10.0.0.1/t"}, "upstreams.notes.oauth.token_url"),
        ("notes", {"private_networks": ["10.0.0.1/8"]}, "upstreams.notes.oauth.private_networks"),
        ("notes", {"required_scopes": ["api"]}, "upstreams.notes.oauth.required_scopes"),
        ("notes", {"client_secret": None}, "upstreams.notes.oauth.client_secret"),
        ("notes", {"preset": "google"}, "upstreams.notes.oauth.scopes"),
        ("callback", {}, "upstreams.callback"),
    ],
)
def test_a_vendor_that_is_wrong_is_named_with_its_setting(name: str, oauth: Any, says: str) -> None:
    upstream = {"module": "servers._template", "credential": "person", "oauth": OAUTH | oauth}
    settings = PortalSettings.model_validate({"upstreams": {name: upstream}})
    with pytest.raises(ConfigurationError, match=f"^{says}") as refused:
        vault_servers(settings)
    assert "hunter2" not in str(refused.value)


def test_a_client_for_a_server_without_a_credential_is_refused() -> None:
    client = {"grant_types": ["urn:ietf:params:oauth:grant-type:token-exchange"], "server": "catalog"}
    settings = PortalSettings.model_validate(
        {"upstreams": {"catalog": {"module": "servers.catalog"}}, "auth": {"clients": {"c": client}}}
    )
    with pytest.raises(ConfigurationError, match=r"auth\.clients\.c\.server"):
        vault_servers(settings)
