"""Every claim has a case. The tokens themselves, mutated, are in test_tokens.py."""

from __future__ import annotations

from typing import Any

import pytest

from shared_auth.claims import CHECKED_WHEN_PRESENT, IGNORED, REQUIRED, judge
from shared_auth.principal import Principal
from shared_auth.reasons import Denied, Reason

NOW = 1_800_000_000
GOOD = {
    "iss": "https://portal.example",
    "sub": "ada",
    "aud": "https://portal.example/mcp",
    "exp": NOW + 600,
    "iat": NOW,
    "jti": "one",
    "client_id": "agent",
    "scope": "mcp",
    "gid": "grant",
    "groups": ["a", "b"],
    "name": "Ada",
    "email": "ada@example.com",
}


def _judge(claims: Any, now: Any = NOW) -> Any:
    return judge(claims, issuer="https://portal.example", audience="https://portal.example/mcp", now=now)


def test_good_claims_yield_the_principal_that_they_state() -> None:
    found = _judge(GOOD | {"nbf": NOW, "auth_time": NOW})
    assert found.expires_at == NOW + 600
    assert found.principal == Principal(
        issuer="https://portal.example",
        subject="ada",
        client_id="agent",
        grant_id="grant",
        scopes=frozenset({"mcp"}),
        groups=frozenset({"a", "b"}),
        name="Ada",
        email="ada@example.com",
    )


def test_groups_name_and_email_may_be_absent() -> None:
    principal = _judge({name: GOOD[name] for name in REQUIRED}).principal
    assert (principal.groups, principal.name, principal.email) == (frozenset(), "", "")


@pytest.mark.requirement("RS-15")
@pytest.mark.parametrize("name", sorted(REQUIRED))
def test_a_required_claim_that_is_absent_refuses(name: Any) -> None:
    with pytest.raises(Denied, match="token_invalid"):
        _judge({key: value for key, value in GOOD.items() if key != name})


@pytest.mark.requirement("RS-16")
@pytest.mark.parametrize("name", ["cnf", "act", "may_act", "azp", "nonce", "scp", "Aud"])
def test_a_claim_that_nobody_accounts_for_refuses(name: Any) -> None:
    with pytest.raises(Denied, match="token_invalid"):
        _judge(GOOD | {name: "x"})


WRONG: list[Any] = [None, True, "", [], {}, ["x"], 1.5, -1, float("inf"), 10**30, [""], [1]]
CASES = [
    (name, value)
    for name in sorted(REQUIRED | CHECKED_WHEN_PRESENT)
    for value in WRONG
    if not (name == "groups" and value in ([], ["x"])) and not (name == "nbf" and value == -1)
]


@pytest.mark.requirement("RS-15")
@pytest.mark.parametrize(("name", "value"), CASES)
def test_a_claim_of_a_wrong_kind_or_value_refuses(name: Any, value: Any) -> None:
    with pytest.raises(Denied):
        _judge(GOOD | {name: value})


@pytest.mark.requirement("RS-13")
@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://portal.example/"},
        {"iss": "https://evil.example"},
        {"aud": "https://portal.example"},
        {"aud": "https://portal.example/mcp/"},
        {"aud": ["https://portal.example/mcp"]},
        {"aud": ["https://portal.example/mcp", "https://evil.example"]},
        {"iat": NOW + 61, "exp": NOW + 600},
        {"nbf": NOW + 61},
        {"iat": NOW + 600},
        {"exp": NOW + 86_401},
        {"scope": "mcp  x"},
    ],
)
def test_a_token_of_another_issuer_audience_or_time_refuses(change: Any) -> None:
    with pytest.raises(Denied, match="token_invalid"):
        _judge(GOOD | change)


def test_the_expiry_is_exact_and_its_reason_is_its_own() -> None:
    assert _judge(GOOD, now=NOW + 599.9)
    with pytest.raises(Denied) as denied:
        _judge(GOOD, now=NOW + 600)
    assert denied.value.reason is Reason.TOKEN_EXPIRED


def test_another_replicas_clock_may_run_a_minute_ahead() -> None:
    assert _judge(GOOD, now=NOW - 60)


def test_every_claim_is_in_exactly_one_list() -> None:
    assert not REQUIRED & CHECKED_WHEN_PRESENT
    assert not (REQUIRED | CHECKED_WHEN_PRESENT) & IGNORED
    assert GOOD.keys() <= REQUIRED | CHECKED_WHEN_PRESENT
