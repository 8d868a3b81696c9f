"""Signing and verifying. What python-jose itself accepts or crashes on is in test_python_jose.py."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jose import jwk, jws

from shared_auth.jose import MAX_TOKEN_BYTES, BadToken, check_key, sign, verify


def _ec(kid: str) -> dict[str, Any]:
    key = jwk.construct(ec.generate_private_key(ec.SECP256R1()), "ES256")
    return {**key.to_dict(), "kid": kid}


def _public(key: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in key.items() if name != "d"}


def _b64(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


ONE, TWO = _ec("one"), _ec("two")
KEYS = {"one": _public(ONE), "two": _public(TWO)}
CLAIMS = {"sub": "ada", "aud": "https://portal.example/mcp"}
GOOD = sign(CLAIMS, ONE, typ="at+jwt")
HEAD = {"alg": "ES256", "kid": "one", "typ": "at+jwt"}


def test_a_token_that_we_signed_yields_its_claims() -> None:
    assert verify(GOOD, KEYS, typ="at+jwt") == CLAIMS


@pytest.mark.parametrize("token", [None, b"a.b.c", 7, "", "a.b", "a.b.c.d", "é.b.c", "x" * MAX_TOKEN_BYTES + ".b.c"])
def test_what_is_no_compact_jws_is_refused(token: Any) -> None:
    with pytest.raises(BadToken, match="not a compact JWS"):
        verify(token, KEYS, typ="at+jwt")


def test_another_key_of_ours_does_not_fit() -> None:
    _, body, signature = GOOD.split(".")
    with pytest.raises(BadToken, match="bad signature"):
        verify(f"{_b64({**HEAD, 'kid': 'two'})}.{body}.{signature}", KEYS, typ="at+jwt")


@pytest.mark.parametrize("alg", [["ES256"], 7, {"ES256": 1}])
def test_an_algorithm_that_is_no_text_is_refused(alg: Any) -> None:
    _, body, signature = GOOD.split(".")
    with pytest.raises(BadToken, match="algorithm refused"):
        verify(f"{_b64({**HEAD, 'alg': alg})}.{body}.{signature}", KEYS, typ="at+jwt")


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"[]", "not a JSON object"),
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
    ],
)
def test_a_body_that_is_no_object_is_refused_even_when_signed(raw: Any, why: Any) -> None:
    token = jws.sign(raw, ONE, headers={"kid": "one", "typ": "at+jwt"}, algorithm="ES256")
    with pytest.raises(BadToken, match=why):
        verify(token, KEYS, typ="at+jwt")


@pytest.mark.requirement("JW-28")
def test_changed_claims_do_not_verify() -> None:
    head, _, signature = GOOD.split(".")
    with pytest.raises(BadToken, match="bad signature"):
        verify(f"{head}.{_b64({**CLAIMS, 'sub': 'eve'})}.{signature}", KEYS, typ="at+jwt")


@pytest.mark.parametrize("change", [{"crv": "P-384"}, {"alg": "ES512"}, {"kty": "OKP"}, {"kty": "RSA"}, {"kty": None}])
def test_a_key_of_another_kind_is_refused(change: Any) -> None:
    with pytest.raises(BadToken):
        check_key({**KEYS["one"], **change})


def test_an_rsa_key_of_2048_bits_is_accepted() -> None:
    private = jwk.construct(rsa.generate_private_key(65537, 2048), "RS256")
    key = {**private.to_dict(), "kid": "rsa"}
    token = sign(CLAIMS, key, typ="JWT")
    assert verify(token, {"rsa": private.public_key().to_dict()}, typ="JWT") == CLAIMS
