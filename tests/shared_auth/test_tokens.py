from __future__ import annotations

import asyncio
import base64
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import create_async_engine

from shared_auth import jose, keys, store
from shared_auth.keys import Keys
from shared_auth.principal import Principal
from shared_auth.reasons import Denied
from shared_auth.sealing import Seal
from shared_auth.tokens import Tokens
from tests.shared_auth.flow import ISSUER, RESOURCE, Clock
from tests.shared_auth.headless import twin

PRINCIPAL = Principal(
    issuer=ISSUER, subject="ada", client_id="agent", grant_id="grant", scopes=frozenset({"mcp"}), name="Ada"
)


async def _tokens(clock: Clock, folder: Path) -> tuple[Tokens, Keys]:
    engine = create_async_engine(f"sqlite+aiosqlite:///{folder / 'keys.db'}")
    async with engine.begin() as connection:
        await connection.run_sync(store.metadata.create_all)
    found = Keys(engine, Seal(b"s" * 32), clock=clock)
    await found.start()
    await engine.dispose()
    return Tokens(found, issuer=ISSUER, clock=clock), found


@pytest.fixture
async def made(clock: Clock, tmp_path: Any) -> Any:
    return await _tokens(clock, tmp_path)


async def test_a_minted_token_yields_its_principal_and_carries_only_listed_claims(made: Any) -> None:
    tokens, _ = made
    minted = tokens.mint(PRINCIPAL, audience=RESOURCE, ttl_s=600)
    assert (await tokens.verify(minted.token, audience=RESOURCE)).principal == PRINCIPAL
    head, body = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in minted.token.split(".")[:2])
    assert (head["typ"], head["alg"]) == ("at+jwt", "ES256")
    assert set(body) == {"iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope", "gid", "groups", "name"}
    assert minted.token not in repr(minted)


async def test_two_tokens_of_one_moment_differ(made: Any) -> None:
    tokens, _ = made
    assert len({tokens.mint(PRINCIPAL, audience=RESOURCE, ttl_s=600).token for _ in range(3)}) == 3


@pytest.mark.parametrize("ttl_s", [0, -1, 86_401])
async def test_a_life_over_a_day_is_not_minted(made: Any, ttl_s: Any) -> None:
    with pytest.raises(ValueError, match="ttl_s"):
        made[0].mint(PRINCIPAL, audience=RESOURCE, ttl_s=ttl_s)


@pytest.mark.requirement("RS-11", "RS-13")
async def test_a_remembered_token_expires_to_the_second_and_only_fits_its_audience(made: Any, clock: Clock) -> None:
    tokens, _ = made
    token = tokens.mint(PRINCIPAL, audience=RESOURCE, ttl_s=600).token
    await tokens.verify(token, audience=RESOURCE)
    with pytest.raises(Denied, match="token_invalid"):
        await tokens.verify(token, audience=f"{RESOURCE}/other")
    clock.advance(599)
    await tokens.verify(token, audience=RESOURCE)
    clock.advance(1)
    for _ in range(2):
        with pytest.raises(Denied, match="token_expired"):
            await tokens.verify(token, audience=RESOURCE)


async def test_what_is_remembered_is_bounded_and_a_forgotten_token_still_verifies(made: Any, clock: Clock) -> None:
    _, found = made
    tokens = Tokens(found, issuer=ISSUER, clock=clock, remembered=2)
    minted = [tokens.mint(PRINCIPAL, audience=RESOURCE, ttl_s=600).token for _ in range(4)]
    for token in (*minted, *minted):
        assert (await tokens.verify(token, audience=RESOURCE)).principal == PRINCIPAL
        assert len(tokens._verified) <= 2
    with pytest.raises(Denied):
        await tokens.verify("refused", audience=RESOURCE)
    await tokens.verify(minted[3], audience=RESOURCE)
    assert len(tokens._verified) == 2


@pytest.mark.parametrize("kid", [None, 7, ["kid"], {"a": 1}, "", "unknown"])
async def test_a_key_id_of_any_kind_is_no_key_of_ours(made: Any, kid: Any) -> None:
    tokens, found = made
    token = jose.sign({"sub": "ada"}, {**found.signing, "kid": kid}, typ="at+jwt")
    with pytest.raises(Denied, match="token_invalid"):
        await tokens.verify(token, audience=RESOURCE)


@pytest.mark.requirement("RS-10")
async def test_a_token_signed_by_somebody_else_under_our_key_id_is_refused(made: Any) -> None:
    tokens, found = made
    good = tokens.mint(PRINCIPAL, audience=RESOURCE, ttl_s=600).token
    claims = json.loads(base64.urlsafe_b64decode(good.split(".")[1] + "=="))
    forged = jose.sign(claims, {**keys.generate(), "kid": found.signing["kid"]}, typ="at+jwt")
    with pytest.raises(Denied, match="token_invalid"):
        await tokens.verify(forged, audience=RESOURCE)


@pytest.mark.requirement("RS-14", "RS-17")
async def test_an_id_token_of_ours_would_not_be_an_access_token(made: Any) -> None:
    tokens, found = made
    good = tokens.mint(PRINCIPAL, audience=RESOURCE, ttl_s=600).token
    claims = json.loads(base64.urlsafe_b64decode(good.split(".")[1] + "=="))
    with pytest.raises(Denied, match="token_invalid"):
        await tokens.verify(jose.sign(claims, found.signing, typ="JWT"), audience=RESOURCE)


@pytest.fixture(scope="module")
def shared() -> Any:
    """One set of keys for many mutations."""
    with tempfile.TemporaryDirectory() as folder:
        yield asyncio.run(_tokens(Clock(), Path(folder)))[0]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


def _changed_object(data: Any, part: str, extra: list[str]) -> str:
    """Return the spelling of a JSON object that says something else than ``part``, or says it in other bytes."""
    value = json.loads(base64.urlsafe_b64decode(part + "=="))
    name = data.draw(st.sampled_from([*value, *extra]))
    match data.draw(st.sampled_from(["set", "drop", "add", "respell"])):
        case "set":
            value[name] = data.draw(JSON)
        case "drop":
            value.pop(name, None)
        case "add":
            value |= data.draw(st.dictionaries(st.text(max_size=6), JSON, min_size=1, max_size=3))
        case _:
            value = dict(reversed(value.items()))
    raw = json.dumps(value, separators=data.draw(st.sampled_from([(",", ":"), (", ", ": ")]))).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _changed_signature(data: Any, part: str) -> str:
    raw = bytearray(base64.urlsafe_b64decode(part + "=="))
    match data.draw(st.sampled_from(["flip", "cut", "grow", "swap", "empty", "other"])):
        case "flip":
            raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        case "cut":
            del raw[data.draw(st.integers(0, len(raw) - 1)) :]
        case "grow":
            raw += data.draw(st.binary(min_size=1, max_size=9))
        case "swap":
            raw = raw[32:] + raw[:32]
        case "empty":
            raw.clear()
        case _:
            raw = bytearray(data.draw(st.binary(min_size=64, max_size=64)))
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _changed_text(data: Any, token: str) -> str:
    """Return the token with one character more, less or another, above all where decoders are lenient."""
    place: int = data.draw(
        st.sampled_from([token.index("."), token.rindex("."), len(token) - 1]) | st.integers(0, len(token))
    )
    new: str = data.draw(
        st.sampled_from(["", "=", "==", " ", "\n", "\t", "+", "/", "!", "\0", "."]) | st.characters(codec="utf-8")
    )
    return token[:place] + new + token[place + data.draw(st.integers(0, 1)) :]


@pytest.mark.requirement("RS-10", "JW-28")
@settings(max_examples=600, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_mutation_of_a_valid_token_yields_a_principal(shared: Any, data: Any) -> None:
    token = shared.mint(PRINCIPAL, audience=RESOURCE, ttl_s=600).token
    head, body, signature = token.split(".")
    match data.draw(st.sampled_from(["header", "claims", "signature", "text", "parts"])):
        case "header":
            mutated = f"{_changed_object(data, head, ['crit', 'jwk', 'jku', 'x5u', 'zip', 'b64'])}.{body}.{signature}"
        case "claims":
            mutated = f"{head}.{_changed_object(data, body, ['admin', 'nbf', 'email'])}.{signature}"
        case "signature":
            mutated = f"{head}.{body}.{_changed_signature(data, signature)}"
        case "text":
            mutated = _changed_text(data, token)
        case _:
            parts = data.draw(st.lists(st.sampled_from([head, body, signature, ""]), min_size=1, max_size=4))
            mutated = ".".join(parts)
    if mutated == token:
        return
    with pytest.raises(Denied):
        asyncio.run(shared.verify(mutated, audience=RESOURCE))


@pytest.mark.requirement("JW-28")
def test_the_twin_of_a_signature_states_the_same(shared: Any) -> None:
    token = shared.mint(PRINCIPAL, audience=RESOURCE, ttl_s=600).token
    found = [asyncio.run(shared.verify(one, audience=RESOURCE)) for one in (token, twin(token))]
    assert found[0] == found[1]


@given(st.text() | st.lists(st.text(), min_size=3, max_size=3).map(".".join))
def test_no_text_crashes_the_verifier(shared: Any, text: str) -> None:
    with pytest.raises(Denied):
        asyncio.run(shared.verify(text, audience=RESOURCE))
