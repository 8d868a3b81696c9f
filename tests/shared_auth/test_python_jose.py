"""What python-jose by itself accepts, or crashes on, and what we make of it: one test a case.

Where the library's own answer is the unsafe one, the test shows that answer first: when a release mends it, the test says so.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jose import jwk, jws, jwt
from sqlalchemy.ext.asyncio import AsyncEngine

from shared_auth import jose
from shared_auth.jose import BadToken
from shared_auth.keys import Keys, generate, public_half
from shared_auth.principal import Principal
from shared_auth.reasons import Denied, Reason
from shared_auth.sealing import Seal
from shared_auth.tokens import TYPE, Tokens
from tests.shared_auth.flow import ISSUER, RESOURCE, Clock, without

OURS, THEIRS = generate(), generate()
PUBLIC = public_half(OURS)
KEYS = {OURS["kid"]: PUBLIC}
HEADER = {"alg": "ES256", "kid": OURS["kid"], "typ": TYPE}
PRINCIPAL = Principal(issuer=ISSUER, subject="ada", client_id="agent", grant_id="g", scopes=frozenset({"mcp"}))


def part(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(claims: Any, key: Any = OURS, **header: Any) -> str:
    """Return a token with a good signature over whatever header and claims a test wants."""
    named = without({"kid": key["kid"], "typ": TYPE} | header)
    raw = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    return str(jws.sign(raw, dict(key), headers=named, algorithm="ES256"))


def resigned(header: bytes, body: bytes) -> str:
    """Return a token with a good signature over a header as it is written, which the library would not write."""
    said = f"{part(header)}.{part(body)}"
    return f"{said}.{part(jwk.construct(dict(OURS), 'ES256').sign(said.encode()))}"


def refused(token: Any, why: str, keys: Any = KEYS) -> None:
    with pytest.raises(BadToken, match=why):
        jose.verify(token, keys, typ=TYPE)


class Door:
    """Our whole judgement of an access token: signature, header and claims."""

    def __init__(self, keys: Keys, clock: Clock) -> None:
        self.tokens = Tokens(keys, issuer=ISSUER, clock=clock)
        self.key = keys.signing
        self.claims = jose.claimed(self.tokens.mint(PRINCIPAL, audience=RESOURCE, ttl_s=600).token)

    def token(self, **changes: Any) -> str:
        return signed(without(self.claims | changes), self.key)

    def library(self, token: str, **expected: Any) -> Any:
        """Return what python-jose says to ``token``, with its options as they are."""
        options = {"verify_exp": False} if "exp" in jose.claimed(token) else {}  # the clock here stands still
        return jwt.decode(token, public_half(self.key), algorithms=["ES256"], options=options, **expected)

    async def refuses(self, token: str, reason: Reason = Reason.TOKEN_INVALID) -> None:
        with pytest.raises(Denied) as denied:
            await self.tokens.verify(token, audience=RESOURCE)
        assert denied.value.reason is reason


@pytest.fixture
async def door(engine: AsyncEngine, clock: Clock) -> Door:
    keys = Keys(engine, Seal(b"s" * 32), clock=clock)
    await keys.start()
    return Door(keys, clock)


async def test_a_good_token_passes(door: Door) -> None:
    assert (await door.tokens.verify(door.token(), audience=RESOURCE)).principal == PRINCIPAL


@pytest.mark.requirement("JW-01")
async def test_no_audience(door: Door) -> None:
    token = door.token(aud=None)
    assert door.library(token, audience=RESOURCE), "accepted although an audience is expected"
    await door.refuses(token)


@pytest.mark.requirement("JW-02")
async def test_another_audience(door: Door) -> None:
    for audience in ("https://evil.example/mcp", f"{RESOURCE}/", [RESOURCE, "https://evil.example/mcp"]):
        await door.refuses(door.token(aud=audience))


@pytest.mark.requirement("JW-03")
async def test_no_expiry(door: Door) -> None:
    token = door.token(exp=None)
    assert door.library(token, audience=RESOURCE)
    await door.refuses(token)


@pytest.mark.requirement("JW-04")
async def test_expired(door: Door, clock: Clock) -> None:
    now = int(clock())
    await door.refuses(door.token(iat=now - 600, exp=now), Reason.TOKEN_EXPIRED)


@pytest.mark.requirement("JW-05")
async def test_issued_in_the_future(door: Door, clock: Clock) -> None:
    token = door.token(iat=int(clock()) + 300)
    assert door.library(token, audience=RESOURCE)
    await door.refuses(token)


@pytest.mark.requirement("JW-06")
async def test_not_valid_yet(door: Door, clock: Clock) -> None:
    await door.refuses(door.token(nbf=int(clock()) + 300))


@pytest.mark.requirement("JW-07")
async def test_another_issuer(door: Door) -> None:
    token = door.token(iss="https://evil.example")
    assert door.library(token, audience=RESOURCE, issuer=None)
    for issuer in ("https://evil.example", f"{ISSUER}/", None):
        await door.refuses(door.token(iss=issuer))


@pytest.mark.requirement("JW-08")
def test_another_typ() -> None:
    for typ in ("JWT", "application/at+jwt", "logout+jwt", "", None, 7):
        token = signed({}, typ=typ) if typ is not None else resigned(b'{"alg":"ES256","kid":"%s"}' % _kid(), b"{}")
        assert jws.verify(token, PUBLIC, ["ES256"]) == b"{}"
        refused(token, "wrong typ")


@pytest.mark.requirement("JW-09")
def test_critical_extensions() -> None:
    token = signed({}, crit=["exp"], exp=1)
    assert jws.verify(token, PUBLIC, ["ES256"]) == b"{}"
    refused(token, "header parameter refused")


@pytest.mark.requirement("JW-10")
def test_a_key_id_that_is_not_known() -> None:
    token = signed({}, kid="unknown")
    assert jws.verify(token, {"keys": [PUBLIC]}, ["ES256"]) == b"{}", "it tries every key"
    refused(token, "unknown key")
    refused(signed({}, kid=None), "unknown key")


@pytest.mark.requirement("JW-11")
def test_a_key_for_encryption() -> None:
    token, key = signed({}), PUBLIC | {"use": "enc"}
    assert jws.verify(token, key, ["ES256"]) == b"{}"
    refused(token, "not for signatures", {OURS["kid"]: key})


@pytest.mark.requirement("JW-12")
def test_no_algorithm() -> None:
    for alg in ("none", "None", "NONE", "", None):
        for signature in ("", signed({}).rpartition(".")[2]):
            refused(f"{part(HEADER | {'alg': alg})}.{part({})}.{signature}", "algorithm refused")


def _confused(secret: bytes, kid: str) -> str:
    said = f"{part({'alg': 'HS256', 'kid': kid, 'typ': TYPE})}.{part({'sub': 'eve'})}"
    return f"{said}.{part(hmac.new(secret, said.encode(), hashlib.sha256).digest())}"


@pytest.fixture(scope="module")
def pair() -> Any:
    return rsa.generate_private_key(65_537, 2_048)


@pytest.mark.requirement("JW-13", "JW-24")
def test_hs256_with_a_public_key_in_pem(pair: Any) -> None:
    pem = pair.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    keys = {"rsa": jwk.construct(pem, "RS256").to_dict()}
    refused(_confused(pem, "rsa"), "algorithm refused", keys)


@pytest.mark.requirement("JW-14", "JW-24")
def test_hs256_with_a_public_key_in_der(pair: Any) -> None:
    der = pair.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    token = _confused(der, "rsa")
    assert jws.verify(token, der, None) == b'{"sub": "eve"}', "a public key, taken for a shared secret"
    pem = pair.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    refused(token, "algorithm refused", {"rsa": jwk.construct(pem, "RS256").to_dict()})


@pytest.mark.requirement("JW-24")
def test_the_header_does_not_choose_the_algorithm() -> None:
    assert jws.verify(signed({}), PUBLIC, None) == b"{}", "without a list, what the header says"
    for alg in ("RS256", "ES384", "HS256"):
        _, body, signature = signed({}).split(".")
        refused(f"{part(HEADER | {'alg': alg})}.{body}.{signature}", "algorithm")
    refused(signed({}), "unsupported key", {OURS["kid"]: PUBLIC | {"alg": "ES384"}})


@pytest.mark.requirement("JW-15")
def test_a_key_that_the_token_brings_along() -> None:
    token = signed({}, THEIRS, kid=OURS["kid"], jwk=public_half(THEIRS))
    refused(token, "header parameter refused")
    refused(signed({}, jwk=PUBLIC), "header parameter refused")


@pytest.mark.requirement("JW-16")
def test_a_key_set_that_the_token_names() -> None:
    refused(signed({}, jku="https://evil.example/jwks"), "header parameter refused")


@pytest.mark.requirement("JW-17")
def test_a_certificate_that_the_token_names_or_brings() -> None:
    refused(signed({}, x5u="https://evil.example/certificate"), "header parameter refused")
    refused(signed({}, x5c=["AA"]), "header parameter refused")


@pytest.mark.requirement("JW-18")
def test_a_token_of_a_megabyte(monkeypatch: pytest.MonkeyPatch) -> None:
    token = signed({"x": "x" * 1_000_000})
    assert jws.verify(token, PUBLIC, ["ES256"])
    monkeypatch.setattr("base64.b64decode", None)  # nothing of it is decoded
    refused(token, "not a compact JWS")


DEEP = b'{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}"


@pytest.mark.requirement("JW-19")
def test_a_header_that_is_nested_deeply() -> None:
    token = f"{part(DEEP)}.{part({})}.{part(b'x' * 64)}"
    with pytest.raises(RecursionError):
        jws.verify(token, PUBLIC, ["ES256"])
    refused(token, "nested too deeply")


@pytest.mark.requirement("JW-20")
def test_claims_that_are_nested_deeply() -> None:
    token = signed(DEEP)
    with pytest.raises(RecursionError):
        jwt.decode(token, PUBLIC, algorithms=["ES256"])
    refused(token, "nested too deeply")


@pytest.mark.requirement("JW-21")
def test_what_is_no_text() -> None:
    with pytest.raises(AttributeError):
        jws.verify(7, PUBLIC, ["ES256"])
    for token in (None, 7, 1.5, True, [], {}, signed({}).encode(), bytearray(b"a.b.c"), object()):
        refused(token, "not a compact JWS")


@pytest.mark.requirement("JW-22")
def test_an_rsa_key_of_1024_bits() -> None:
    small = jwk.construct(rsa.generate_private_key(65_537, 1_024), "RS256")
    token = jws.sign(b"{}", small.to_dict(), headers={"kid": "small", "typ": TYPE}, algorithm="RS256")
    public = small.public_key().to_dict()
    assert jws.verify(token, public, ["RS256"]) == b"{}"
    refused(token, "under 2048 bits", {"small": public})
    padded = public | {"n": part(b"\0" * 128 + base64.urlsafe_b64decode(public["n"] + "=="))}
    refused(token, "under 2048 bits", {"small": padded})


@pytest.mark.requirement("JW-23")
def test_a_key_that_stands_twice() -> None:
    kid = _kid()
    twice = resigned(b'{"alg":"none","alg":"ES256","kid":"%s","typ":"at+jwt"}' % kid, b"{}")
    assert jws.verify(twice, PUBLIC, ["ES256"]) == b"{}", "it takes the last"
    refused(twice, "duplicate JSON key")
    refused(signed(b'{"sub":"ada","sub":"eve"}'), "duplicate JSON key")
    refused(signed(b'{"act":{"sub":"ada","sub":"eve"}}'), "duplicate JSON key")


@pytest.mark.requirement("JW-25")
def test_a_symmetric_key() -> None:
    token = jws.sign(b"{}", "k", headers={"kid": "short", "typ": TYPE}, algorithm="HS256")
    assert jws.verify(token, "k", ["HS256"]) == b"{}"
    for secret in (b"k", b"k" * 64):
        refused(_confused(secret, "short"), "algorithm refused", {"short": {"kty": "oct", "k": part(secret)}})
        with pytest.raises(BadToken, match="unsupported key"):
            jose.check_key({"kty": "oct", "k": part(secret), "alg": "HS256"})


@pytest.mark.requirement("JW-26")
def test_another_spelling_of_the_same_bytes() -> None:
    head, body, signature = signed({"sub": "ada"}).split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    spare = signature[:-1] + alphabet[alphabet.index(signature[-1]) ^ 1]  # the last character has four bits to spare
    assert jws.verify(f"{head}.{body}.{spare}", PUBLIC, ["ES256"]), "the same signature, spelt in another way"
    for other in (spare, f"{signature}==", f"{signature}\n", f" {signature}", f"{signature[:9]}!{signature[9:]}"):
        refused(f"{head}.{body}.{other}", "not base64url")
    for other in (f"{head}=", f"{head}\n", f"{head}!"):
        refused(f"{other}.{body}.{signature}", "not base64url")
    for other in (f"{body}=", f"{body}\n", f"{body}!"):
        refused(f"{head}.{other}.{signature}", "not base64url")


@pytest.mark.requirement("JW-26")
def test_the_letters_of_the_other_base64() -> None:
    found = next(
        token for token in (signed({"n": n}) for n in range(500)) if set("-_") <= set(token.rpartition(".")[2])
    )
    head, body, signature = found.split(".")
    assert jose.verify(found, KEYS, typ=TYPE)
    for one, other in (("-", "+"), ("_", "/")):
        refused(f"{head}.{body}.{signature.replace(one, other)}", "not base64url")


@pytest.mark.requirement("JW-27")
def test_an_encrypted_token() -> None:
    head = part({"alg": "dir", "enc": "A128GCM", "kid": OURS["kid"], "typ": TYPE})
    refused(f"{head}..{part(b'i' * 12)}.{part(b'c')}.{part(b't' * 16)}", "not a compact JWS")


def _kid() -> bytes:
    return str(OURS["kid"]).encode()
