from __future__ import annotations

from shared_auth.principal import Principal


def test_a_principal_survives_json() -> None:
    one = Principal("https://portal.example", "ada", "agent", "grant", frozenset({"mcp"}), frozenset({"a"}), "Ada", "@")
    assert Principal.from_json(one.to_json()) == one


def test_what_a_client_calls_itself_is_no_part_of_who_it_is() -> None:
    one = Principal("https://portal.example", "ada", "agent", client_name="Agent")
    assert one == Principal("https://portal.example", "ada", "agent", client_name="Another name")
