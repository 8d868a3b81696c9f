"""Settings: where they come from, and that what is misspelt, wrong or unsafe is refused by name and never shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from portal.sections import Upstream
from portal.settings import ConfigurationError, PortalSettings, load
from shared_auth.configuration import is_loopback

SECRET = "hunter2-hunter2-hunter2-hunter2-hunter2"

pytestmark = pytest.mark.usefixtures("alone")


def refused(config: Path | None = None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(config)
    said = str(caught.value)
    assert "\n" not in said
    assert SECRET not in said
    return said


def written(folder: Path, text: str) -> Path:
    file = folder / "portal.toml"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.requirement("RS-62")
def test_without_anything_the_defaults_hold() -> None:
    settings = load()
    assert (settings.host, settings.port, settings.jail) == ("127.0.0.1", 8300, "degrade")
    assert settings.endpoint == "http://127.0.0.1:8300/mcp"
    assert settings.upstreams == {}


def test_arguments_come_before_the_environment_and_that_before_the_file(
    alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(alone, 'port = 1\nlog_level = "error"\ncatalogue_ttl_s = 5\n[limits]\ncalls = 7\nwall_s = 9\n')
    monkeypatch.setenv("PORTAL_PORT", "2")
    monkeypatch.setenv("PORTAL_LOG_LEVEL", "debug")
    monkeypatch.setenv("PORTAL_LIMITS__CALLS", "8")
    settings = load(port=3)
    assert (settings.port, settings.log_level, settings.catalogue_ttl_s) == (3, "debug", 5)
    assert (settings.limits.calls, settings.limits.wall_s) == (8, 9)


def test_secrets_may_stand_in_a_folder(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (alone / "secrets").mkdir()
    (alone / "secrets" / "PORTAL_DATABASE_URL").write_text(f"postgresql://portal:{SECRET}@db/portal")
    monkeypatch.setenv("PORTAL_SECRETS_DIR", str(alone / "secrets"))
    settings = load()
    assert settings.database == f"postgresql://portal:{SECRET}@db/portal"
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings.model_dump(mode="json"))


@pytest.mark.parametrize("name", ["PORTAL_PROT", "PORTAL_LIMIT__CALLS", "PORTAL_"])
def test_a_variable_that_is_no_setting_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, SECRET)
    assert refused() == f"settings: {name} is not a setting; see docs/configuration.md"


def test_variables_of_the_tests_and_of_the_command_line_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTAL_TEST_ANYTHING", "1")
    monkeypatch.setenv("PORTAL_TOKEN", "1")
    load()


def test_a_misspelt_variable_inside_a_section_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTAL_LIMITS__CALL", "8")
    assert refused() == "settings: limits.call: Extra inputs are not permitted"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("prot = 1", "settings: prot: Extra inputs are not permitted"),
        ("[limits]\ncall = 1", "settings: limits.call: Extra inputs are not permitted"),
        ("[limits]\ncalls = -1", "settings: limits.calls: Input should be greater than or equal to 0"),
        (f'port = "{SECRET}"', "settings: port: Input should be a valid integer, unable to parse string as an integer"),
        (
            '[auth]\nsecret = "short"',
            "settings: auth.secret: Value should have at least 32 items after validation, not 5",
        ),
        ("[upstreams.a]", "settings: upstreams.a: Value error, give either module or url"),
        (
            f'[upstreams.a]\nurl = "http://x"\nmodule = "y"\ntoken = "{SECRET}"',
            "settings: upstreams.a: Value error, give either module or url",
        ),
        (
            f'[upstreams.a]\nurl = "ftp://{SECRET}"',
            "settings: upstreams.a.url: String should match pattern '^https?://'",
        ),
        (
            '[upstreams.a]\nmodule = "../etc"',
            "settings: upstreams.a.module: String should match pattern '^[a-z_][\\w.]*$'",
        ),
        (
            'public_url = "http://portal.example"',
            "settings: public_url: Value error, must be https unless it is a loopback address (tokens travel over it)",
        ),
        (
            'public_url = "https://portal.example/x"',
            "settings: public_url: Value error, must be http(s)://host[:port] without a path",
        ),
    ],
)
def test_what_is_wrong_in_the_file_is_named(alone: Path, text: str, says: str) -> None:
    assert refused(written(alone, text)) == says


@pytest.mark.parametrize("text", ["port = ", "\x00", "[a]\n[a]"])
def test_a_file_that_is_not_toml_is_named_and_not_quoted(alone: Path, text: str) -> None:
    file = written(alone, text)
    assert refused(file) == f"settings: {file} cannot be read: TOMLDecodeError"


def test_a_file_that_is_not_there_is_named(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(alone / "none.toml") == f"settings: {alone / 'none.toml'} does not exist"
    monkeypatch.setenv("PORTAL_CONFIG", "other.toml")
    assert refused() == "settings: other.toml does not exist"


@pytest.mark.parametrize(
    ("given", "issuer"),
    [
        ({}, "http://127.0.0.1:8300"),
        ({"host": "::1", "port": 1}, "http://[::1]:1"),
        ({"public_url": "https://Portal.Example:8443/"}, "https://portal.example:8443"),
        ({"public_url": "http://localhost:5"}, "http://localhost:5"),
    ],
)
def test_the_issuer_is_the_public_address(given: dict[str, Any], issuer: str) -> None:
    assert PortalSettings(**given).issuer == issuer


@pytest.mark.parametrize(
    ("given", "jail"),
    [
        ({}, "degrade"),
        ({"host": "::1"}, "degrade"),
        ({"host": "localhost"}, "degrade"),
        ({"host": "0.0.0.0"}, "require"),
        ({"host": "10.0.0.1"}, "require"),
        ({"host": "portal.internal"}, "require"),
        ({"public_url": "https://portal.example"}, "require"),
        ({"public_url": "http://127.0.0.1:8300"}, "degrade"),
        ({"host": "0.0.0.0", "sandbox": {"jail": "degrade"}}, "degrade"),
        ({"sandbox": {"jail": "require"}}, "require"),
    ],
)
def test_the_jail_is_required_wherever_others_can_reach_the_portal(given: dict[str, Any], jail: str) -> None:
    assert PortalSettings(**given).jail == jail


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("[::1]", True),
        ("localhost", True),
        ("localhost.evil.example", False),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("127.0.0.1.nip.io", False),
    ],
)
def test_only_this_machine_is_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_an_upstreams_token_is_never_shown() -> None:
    upstream = Upstream(url="https://x.example", token=SecretStr(SECRET))
    assert SECRET not in repr(upstream)
    assert SECRET not in str(upstream.model_dump(mode="json"))
