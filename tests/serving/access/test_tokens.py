"""serving/access/tokens.py, with tokens that a real issuer signed"""

import asyncio
import base64
import hashlib
import hmac
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from serving.access.caller import AccessDenied
from serving.access.jwks import Jwks
from serving.access.tokens import TokenVerifier
from tests.serving.access.issuer import AUDIENCE, ISSUER, issuing, jwk, private_key, token


@pytest.fixture(scope="module")
def issuer():
    with issuing("one", "ec", "ed", "short") as made:
        yield made


def verifier(issuer, claim="scope"):
    return TokenVerifier(ISSUER, AUDIENCE, claim, Jwks(issuer.url))


def verify(checker, text):
    return asyncio.run(checker.verify(text, hashlib.sha256(text.encode("latin-1")).digest()))


def denied(checker, text):
    with pytest.raises(AccessDenied) as refused:
        verify(checker, text)
    return refused.value.code, str(refused.value)


@pytest.mark.parametrize("kid", ["one", "ec", "ed"])
def test_a_token_of_the_issuer_is_accepted(issuer, kid):
    """RSA, elliptic curve, Edwards curve; the caller's name is the subject."""
    caller = verify(verifier(issuer), token(kid))
    assert (caller.name, caller.role) == ("svc", "predict")


@pytest.mark.parametrize(
    ("claim", "claims", "role"),
    [
        ("scope", {"scope": "openid gavel:predict"}, "predict"),
        ("scope", {"scope": "predict admin"}, "admin"),
        ("roles", {"roles": ["other", "gavel:admin"]}, "admin"),
        ("https://x.example/roles", {"https://x.example/roles": ["predict"]}, "predict"),
        ("scope", {"scope": "administrator predictor"}, None),
        ("scope", {"scope": None}, None),
        ("scope", {"scope": {"admin": True}}, None),
        ("scope", {"scope": [["admin"], 1, None]}, None),
        ("roles", {"scope": "admin"}, None),
    ],
)
def test_the_role_is_in_the_claim(issuer, claim, claims, role):
    """Words of a text or members of a list; a token without either role may nothing."""
    if role is None:
        assert denied(verifier(issuer, claim), token(**claims))[0] == "forbidden"
    else:
        assert verify(verifier(issuer, claim), token(**claims)).role == role


NOW = time.time()


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": NOW - 60}, "expired"),
        ({"nbf": NOW + 600}, "not good yet"),
        ({"iat": NOW + 600}, "not good yet"),
        ({"aud": "other"}, "another audience"),
        ({"aud": ["other", "gavel2"]}, "another audience"),
        ({"iss": ISSUER + "/"}, "another issuer"),
        ({"exp": None}, "needs the claims"),
        ({"aud": None}, "needs the claims"),
        ({"iss": None}, "needs the claims"),
        ({"sub": None}, "needs the claims"),
        ({"exp": "soon"}, "not a token"),
        ({"exp": [1]}, "not a token"),
        ({"exp": float("inf")}, "not a token"),
    ],
)
def test_a_token_with_a_wrong_claim_is_refused_with_the_reason(issuer, claims, reason):
    """Expired, too early, for others, by others, or incomplete."""
    code, detail = denied(verifier(issuer), token(**claims))
    assert code == "unauthorized"
    assert reason in detail


def test_a_token_that_never_ends_is_no_error_of_ours(issuer):
    """A number beyond all years is the issuer's folly."""
    assert verify(verifier(issuer), token(exp=10**400))


def encoded(value):
    return base64.urlsafe_b64encode(value if isinstance(value, bytes) else json.dumps(value).encode()).rstrip(b"=")


def forged(header, sign=lambda signed: b""):
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "eve", "exp": time.time() + 600, "scope": "admin"}
    signed = encoded(header) + b"." + encoded(claims)
    return (signed + b"." + encoded(sign(signed))).decode()


def public_pem(kid):
    return private_key(kid).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_a_token_without_signature_is_refused(issuer):
    """The algorithm "none", however it is written."""
    for name in ("none", "None", "NONE", ""):
        assert denied(verifier(issuer), forged({"alg": name, "kid": "one"}))[0] == "unauthorized"


@pytest.mark.parametrize("secret", [public_pem("one"), json.dumps(jwk("one")).encode(), b""])
def test_the_public_key_is_no_secret_to_sign_with(issuer, secret):
    """HS256 over the published key: the old confusion of algorithms."""
    text = forged({"alg": "HS256", "kid": "one"}, lambda signed: hmac.digest(secret, signed, "sha256"))
    assert denied(verifier(issuer), text)[0] == "unauthorized"


def test_a_key_that_the_token_brings_along_is_not_looked_at(issuer):
    """Neither jwk nor jku in the header."""
    for extra in ({"jwk": jwk("foreign")}, {"jku": "http://127.0.0.1:9/"}):
        text = jwt.encode({"sub": "eve"}, private_key("foreign"), "RS256", {"kid": "one", **extra})
        assert denied(verifier(issuer), text)[0] == "unauthorized"


@pytest.mark.parametrize("header", [{"kid": "foreign"}, {"kid": "ec"}, {"kid": "one", "alg": "PS256"}])
def test_a_token_by_another_key_or_algorithm_is_refused(issuer, header):
    """The key decides the algorithm, not the token."""
    name = header.get("alg", "RS256")
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "eve", "exp": time.time() + 600, "scope": "admin"}
    text = jwt.encode(claims, private_key("foreign"), name, header)
    assert denied(verifier(issuer), text)[0] == "unauthorized"


def test_a_right_signature_by_an_algorithm_that_the_key_is_not_for_is_refused(issuer):
    """PS512 by the very key that is published for RS256."""
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "svc", "exp": time.time() + 600, "scope": "admin"}
    text = jwt.encode(claims, private_key("one"), "PS512", {"kid": "one"})
    assert "algorithm" in denied(verifier(issuer), text)[1]


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_a_key_that_can_be_broken_is_refused(issuer):
    """RSA with 1,024 bits."""
    assert denied(verifier(issuer), token("short"))[0] == "unauthorized"


def test_a_changed_token_is_refused_also_after_the_right_one(issuer):
    """What is remembered is the whole token."""
    checker = verifier(issuer)
    text = token()
    assert verify(checker, text)
    header, claims, signature = text.split(".")
    admin = encoded({**json.loads(base64.urlsafe_b64decode(claims + "==")), "scope": "admin"}).decode()
    assert denied(checker, f"{header}.{admin}.{signature}")[0] == "unauthorized"
    assert denied(checker, f"{header}.{claims}.{signature[:-4]}AAAA")[0] == "unauthorized"


def test_a_remembered_token_expires_all_the_same(issuer, monkeypatch):
    """It is remembered until its end and no longer."""
    checker, text = verifier(issuer), token(exp=time.time() - 28)  # within the difference that clocks may have
    assert verify(checker, text)
    monkeypatch.setattr("serving.access.tokens.LEEWAY_SECONDS", 0)
    assert "expired" in denied(checker, text)[1]


def test_a_proven_token_is_not_proven_again(issuer, monkeypatch):
    """Its signature costs more than the prediction."""
    checker, text = verifier(issuer), token()
    first = verify(checker, text)
    monkeypatch.setattr(jwt, "decode", None)
    assert verify(checker, text) is first


def test_a_token_of_a_key_that_was_taken_back_is_refused():
    """Though it was proven a moment ago."""

    async def scenario(issuer):
        clock = [1_000.0]
        checker = TokenVerifier(ISSUER, AUDIENCE, "scope", Jwks(issuer.url, lambda: clock[0]))
        old, new = token("one"), token("two")
        assert await checker.verify(old, b"old")
        issuer.keys[:] = [jwk("two")]
        clock[0] += 30
        assert await checker.verify(new, b"new")
        with pytest.raises(AccessDenied):
            await checker.verify(old, b"old")

    with issuing("one") as issuer:
        asyncio.run(scenario(issuer))


HOSTILE = [
    "..",
    "a.b.c",
    "é.é.é",
    "=.=.=",
    (encoded(b"[" * 3_000) + b"..").decode(),
    (encoded(b"\xff") + b"..").decode(),
    (encoded([]) + b"..").decode(),
    (encoded({"alg": "RS256", "kid": ["one"]}) + b"..").decode(),
    (encoded({"alg": ["RS256"], "kid": "one"}) + b"..").decode(),
    (encoded({"alg": "RS256", "kid": "one", "crit": ["x"]}) + b".e30.").decode(),
    (encoded({"alg": "RS256", "kid": "one", "b64": False, "crit": ["b64"]}) + b".e30.").decode(),
    "x" * 4_000 + "." + "y" * 4_000 + "." + "z" * 4_000,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_token_is_refused(issuer, text):
    """401, never an error of ours, and nothing of it is repeated."""
    assert denied(verifier(issuer), text)[0] == "unauthorized"


@pytest.fixture(scope="module")
def checker(issuer):
    return verifier(issuer)


@given(header=st.binary(max_size=60), claims=st.binary(max_size=60), signature=st.text(max_size=20))
def test_any_token_at_all_is_refused(checker, header, claims, signature):
    """Random bytes in each of the three parts."""
    text = f"{encoded(header).decode()}.{encoded(claims).decode()}.{signature}".encode("latin-1", "replace")
    assert denied(checker, text.decode("latin-1"))[0] == "unauthorized"
