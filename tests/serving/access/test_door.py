"""serving/access/door.py"""

import asyncio
import json
import logging
import time

import pytest

from serving.access import credentials_file
from serving.access.caller import ANONYMOUS, AccessDenied
from serving.access.door import is_loopback, open_access
from serving.errors import SettingsInvalid
from serving.settings import Settings
from tests.serving.access.conftest import DOCUMENT, head, key_entry
from tests.serving.access.issuer import AUDIENCE, ISSUER, issuing, token


@pytest.fixture
def access(credentials):
    return open_access(Settings(auth="required", credentials=credentials, push_token="push-it"))


def identify(access, scope):
    return asyncio.run(access.identify(scope))


def code(access, scope):
    with pytest.raises(AccessDenied) as refused:
        identify(access, scope)
    return refused.value.code


@pytest.mark.parametrize(
    "headers",
    [
        {"x_api_key": "predict-key"},
        {"authorization": "Bearer predict-key"},
        {"authorization": "bearer  predict-key "},
        {"x_api_key": "predict-key", "authorization": "Basic eA=="},
    ],
)
def test_a_key_comes_in_either_header(access, headers):
    """The scheme's name in any case."""
    assert identify(access, head(**headers)).name == "alice"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x_api_key": ""},
        {"x_api_key": "Predict-key"},
        {"x_api_key": "predict-key "},
        {"x_api_key": "old-key"},
        {"x_api_key": "é"},
        {"x_api_key": "x" * 60_000},
        {"x_api_key": "a.b.c"},
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"authorization": "predict-key"},
        {"authorization": "Basic predict-key"},
        {"authorization": "Bearer " + DOCUMENT["keys"][0]["sha256"]},
    ],
)
def test_anything_else_is_unauthorized(access, headers):
    """401 with WWW-Authenticate, also for an expired key and for the stored SHA-256 itself."""
    with pytest.raises(AccessDenied) as refused:
        identify(access, head(**headers))
    assert refused.value.code == "unauthorized"
    assert refused.value.headers["www-authenticate"] == "Bearer"
    assert "key-" not in str(refused.value)


def test_roles(access):
    """An admin may all, predict may not push, and the push token is an admin's."""
    assert identify(access, head("/v1/reload", x_api_key="admin-key")).role == "admin"
    assert identify(access, head("/v1/predict", x_api_key="admin-key")).role == "admin"
    assert identify(access, head("/v1/reload", authorization="Bearer push-it")).role == "admin"
    assert code(access, head("/v1/reload", x_api_key="predict-key")) == "forbidden"


def test_open_addresses_ask_nobody(access):
    """Even a wrong key does not matter there."""
    assert identify(access, head("/livez", "GET", x_api_key="wrong")) is ANONYMOUS


def test_when_off_only_admins_are_asked(credentials):
    """On loopback a laptop needs no key to predict, but to push."""
    access = open_access(Settings(credentials=credentials))
    assert identify(access, head(x_api_key="wrong")) is ANONYMOUS
    assert code(access, head("/v1/reload")) == "unauthorized"
    assert identify(access, head("/v1/reload", x_api_key="admin-key")).name == "root"


@pytest.mark.parametrize("auth", ["off", "required"])
def test_where_nobody_is_an_admin_pushes_are_disabled(credentials, auth):
    """403, whoever asks."""
    credentials.write_text(json.dumps({"keys": [key_entry("predict-key", "alice", "predict")]}))
    access = open_access(Settings(auth=auth, credentials=credentials))
    assert code(access, head("/v1/reload", x_api_key="predict-key")) == "push_disabled"
    assert code(access, head("/v1/reload")) == "push_disabled"


def test_rotation_without_a_failed_request(credentials, monkeypatch):
    """Add the new key, move the client, remove the old one; the server stays up."""
    monkeypatch.setattr(credentials_file, "LOOK_SECONDS", 0.0)
    access = open_access(Settings(auth="required", credentials=credentials))
    new = key_entry("new-key", "alice-2", "predict")
    for keys, good in (([*DOCUMENT["keys"], new], ("predict-key", "new-key")), ([new], ("new-key",))):
        aside = credentials.with_suffix(".new")
        aside.write_text(json.dumps({"keys": keys}))
        aside.replace(credentials)
        for key in good:
            assert identify(access, head(x_api_key=key))
    assert code(access, head(x_api_key="predict-key")) == "unauthorized"


@pytest.mark.parametrize(
    ("metadata", "path", "expected"),
    [
        ([("x-api-key", "predict-key")], "ModelInfer", "alice"),
        ([("authorization", "Bearer predict-key"), ("trace-bin", b"\xff")], "ModelInfer", "alice"),
        ([], "ServerLive", ""),
        ([], "ModelInfer", None),
        ([("x-api-key", "wrong")], "ModelInfer", None),
        ([("authorization", "AWS4-HMAC-SHA256 Credential=a")], "ModelInfer", None),
    ],
)
def test_grpc_calls_bring_keys_as_metadata(access, metadata, path, expected):
    """The same keys, the same table; no signatures."""
    call = access.identify_metadata(f"/inference.GRPCInferenceService/{path}", metadata)
    if expected is None:
        with pytest.raises(AccessDenied) as refused:
            asyncio.run(call)
        assert refused.value.code == "unauthorized"
    else:
        assert asyncio.run(call).name == expected


def test_tokens_and_keys_are_taken_side_by_side(credentials):
    """A bearer value is looked up as a key first, then read as a token."""
    with issuing("one") as issuer:
        access = open_access(
            Settings(
                auth="required",
                credentials=credentials,
                oidc_issuer=ISSUER,
                oidc_audience=AUDIENCE,
                oidc_jwks_url=issuer.url,
            )
        )
        assert identify(access, head(x_api_key="predict-key")).name == "alice"
        assert issuer.asked == 0
        assert identify(access, head(authorization=f"Bearer {token()}")).name == "svc"
        assert identify(access, head("/v1/reload", authorization=f"Bearer {token(scope='admin')}")).role == "admin"
        assert code(access, head("/v1/reload", authorization=f"Bearer {token()}")) == "forbidden"
        assert code(access, head(authorization=f"Bearer {token(aud='x')}")) == "unauthorized"


def test_required_without_any_credential_does_not_start():
    """The message says how to make one."""
    for settings in (Settings(auth="required"), Settings(host="0.0.0.0")):
        with pytest.raises(SettingsInvalid, match=r"serving\.keys add .*SERVING_CREDENTIALS"):
            open_access(settings)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"credentials": "/nowhere/keys.json"}, "SERVING_CREDENTIALS: /nowhere/keys.json cannot be read"),
        ({"oidc_issuer": "https://x"}, "set SERVING_OIDC_AUDIENCE, SERVING_OIDC_JWKS_URL"),
        ({"oidc_audience": "a", "oidc_jwks_url": "https://x"}, "set SERVING_OIDC_ISSUER"),
        ({"oidc_issuer": "i", "oidc_audience": "a", "oidc_jwks_url": "file:///etc/passwd"}, "https://"),
    ],
)
def test_settings_that_cannot_be_used_are_named(settings, reason):
    """One sentence each."""
    with pytest.raises(SettingsInvalid, match=reason):
        open_access(Settings(**settings))


@pytest.mark.parametrize(
    ("host", "auth", "required"),
    [
        ("127.0.0.1", "auto", False),
        ("127.9.9.9", "auto", False),
        ("::1", "auto", False),
        ("localhost", "auto", False),
        ("0.0.0.0", "auto", True),
        ("::", "auto", True),
        ("10.0.0.5", "auto", True),
        ("prices.example", "auto", True),
        ("127.0.0.1", "required", True),
        ("0.0.0.0", "off", False),
    ],
)
def test_who_must_say_who_they_are(host, auth, required, caplog):
    """Automatic: whoever comes from beyond this machine. Switched off beyond this machine, the log warns."""
    with caplog.at_level(logging.WARNING):
        assert open_access(Settings(host=host, auth=auth, push_token="hush")).required is required
    assert bool(caplog.records) is (not required and not is_loopback(host))


def test_a_key_check_costs_a_few_microseconds(access):
    """It is on the way of every request."""
    scope = head(host="x", accept="*/*", user_agent="wrk", content_length="100", x_api_key="predict-key")

    async def many(times=2_000):
        began = time.perf_counter()
        for _ in range(times):
            await access.identify(scope)
        return (time.perf_counter() - began) / times

    assert min(asyncio.run(many()) for _ in range(5)) < 20e-6
