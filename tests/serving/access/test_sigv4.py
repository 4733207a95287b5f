"""serving/access/sigv4.py: what botocore signs is accepted, anything changed afterwards is not"""

import asyncio
import datetime as dt
import hashlib
import json
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from serving.access import sigv4
from serving.access.caller import AccessDenied
from serving.access.door import open_access
from serving.settings import Settings
from tests.serving.access.conftest import AWS_ID, AWS_SECRET, DOCUMENT, aws_entry

BASE = "http://prices.example:8000"


@pytest.fixture
def access(credentials):
    return open_access(Settings(auth="required", credentials=credentials))


def signed(
    target="/v1/predict",
    body=b'{"rows": []}',
    method="POST",
    key=(AWS_ID, AWS_SECRET, None),
    region="us-east-1",
    service="execute-api",
    claim=True,
    **headers,
):
    """The ASGI scope of a request that botocore signed."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if claim:
        given.setdefault("X-Amz-Content-SHA256", hashlib.sha256(body).hexdigest())
    request = AWSRequest(method, BASE + target, headers=given, data=body)
    SigV4Auth(Credentials(*key), service, region).add_auth(request)
    return scope_of(request.prepare())


def scope_of(prepared):
    parts = urlsplit(prepared.url)
    fields = {k.lower(): v for k, v in prepared.headers.items()}
    fields.setdefault("host", parts.netloc)
    return {
        "type": "http",
        "method": prepared.method,
        "path": "/v1/predict",
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "headers": [(k.encode(), v if isinstance(v, bytes) else str(v).encode("utf-8")) for k, v in fields.items()],
    }


def identify(access, scope):
    return asyncio.run(access.identify(scope))


def refusal(access, scope):
    with pytest.raises(AccessDenied) as refused:
        identify(access, scope)
    assert refused.value.code == "unauthorized"
    return str(refused.value)


def changed(scope, name, value):
    """The request with one header changed, added, or (None) taken away."""
    kept = [(k, v) for k, v in scope["headers"] if k != name]
    return {**scope, "headers": kept if value is None else [*kept, (name, value)]}


@pytest.mark.parametrize(
    "target",
    [
        "/v1/predict", "/", "", "/v1/predict?", "/v1/predict?a=1", "/x?b=2&a=1&a=0&c", "/x?a=&=b",
        "/x?q=%20%21%22%23%24%25%26%27%28%29%2A%2B%2C%2F%3A%3B%3C%3D%3E%3F%40%5B%5C%5D%5E%60%7B%7C%7D~-_.",
        "/x?name=%C3%A9%E6%BC%A2&A=1&a=1&%C3%A9=0", "/x?a=b%3Dc%26d", "/x?a=1&a=1",
        "/v2/models/caf%C3%A9/infer", "/a%20b/c%2Fd", "/a//b/./c/../d", "/a/..", "/v1/", "/~user/-_.", "/a;b=c,d@e",
        "/x?" + "&".join(f"k{i % 50}={i}" for i in range(1_000)),
    ],
)  # fmt: skip
def test_what_botocore_signs_is_accepted(access, target):
    """Whatever stands in path and query."""
    caller = identify(access, signed(target))
    assert (caller.name, caller.role) == ("signer", "predict")
    assert caller.body_sha256 == hashlib.sha256(b'{"rows": []}').hexdigest()


@pytest.mark.parametrize("params", [{"a": "b c+d/é&=%"}, {"z": "1", "a": "~'()*!"}, {"a b": ""}])
def test_parameters_that_botocore_encodes_are_accepted(access, params):
    """Also when they are given apart from the address."""
    body = b"x"
    headers = {"X-Amz-Content-SHA256": hashlib.sha256(body).hexdigest()}
    request = AWSRequest("POST", BASE + "/x", headers=headers, data=body, params=params)
    SigV4Auth(Credentials(AWS_ID, AWS_SECRET), "execute-api", "us-east-1").add_auth(request)
    assert identify(access, scope_of(request.prepare())).name == "signer"


@pytest.mark.parametrize("body", [b"", b"x", b"\0\xff" * 500_000])
def test_the_body_is_compared_after_it_was_read(access, body):
    """The signature vouches for the SHA-256; another body is refused."""
    caller = identify(access, signed(body=body))
    caller.accept_body(body)
    with pytest.raises(AccessDenied):
        caller.accept_body(body + b" ")


def test_a_request_without_body_need_not_name_its_sha256(access):
    """Its body is the empty one, and nothing else."""
    caller = identify(access, signed(method="GET", body=b"", claim=False))
    caller.accept_body(b"")
    with pytest.raises(AccessDenied):
        caller.accept_body(b"x")


def test_blanks_in_headers_do_not_matter(access):
    """Proxies may fold them."""
    scope = signed(X_Amz_Meta="a   b", Accept=" text/plain ")
    assert identify(access, changed(scope, b"x-amz-meta", b"  a b "))


def test_a_header_that_was_not_signed_may_change(access):
    """User-Agent and such are the proxies' to write."""
    assert identify(access, changed(signed(), b"user-agent", b"other"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"host", b"other.example"),
        (b"content-type", b"text/plain"),
        (b"x-amz-date", b"20200101T000000Z"),
        (b"x-amz-content-sha256", hashlib.sha256(b"other").hexdigest().encode()),
        (b"x-amz-meta", b"added"),
        (b"content-type", None),
        (b"host", None),
        (b"x-amz-date", None),
        (b"x-amz-content-sha256", None),
        (b"authorization", None),
    ],
)
def test_a_changed_header_is_refused(access, name, value):
    """Signed headers are as they were, and no x-amz-* header comes without signature."""
    refusal(access, changed(signed(Content_Type="application/json"), name, value))


@pytest.mark.parametrize(
    "change",
    [
        {"method": "PUT"},
        {"raw_path": b"/v1/reload"},
        {"query_string": b"a=1"},
        {"query_string": b"a=1&b=3"},
        {"query_string": b"a=1&b=2&b=2"},
        {"query_string": b"a=1&b=2&"},
    ],
)
def test_a_changed_request_is_refused(access, change):
    """Method, path and query are as they were signed."""
    assert "not that of this request" in refusal(access, {**signed("/v1/predict?b=2&a=1"), **change})


def test_a_plus_and_a_blank_are_not_the_same(access):
    """A changed query must not slip through as another way of writing it."""
    refusal(access, {**signed("/x?a=b%2Bc"), "query_string": b"a=b+c"})


def test_a_header_that_comes_twice_is_refused(access):
    """There is no saying which of the two was meant."""
    scope = signed()
    refusal(access, {**scope, "headers": [*scope["headers"], (b"x-amz-date", dict(scope["headers"])[b"x-amz-date"])]})


def clock(monkeypatch, seconds):
    """botocore signs with a clock that is off by so much."""
    from botocore import auth, compat

    moment = dt.datetime.now(dt.UTC).replace(tzinfo=None) + dt.timedelta(seconds=seconds)
    assert hasattr(compat, "get_current_datetime")
    monkeypatch.setattr(auth, "get_current_datetime", lambda: moment)


@pytest.mark.parametrize("seconds", [-295, 295])
def test_clocks_may_differ_by_five_minutes(access, monkeypatch, seconds):
    """Either way."""
    clock(monkeypatch, seconds)
    assert identify(access, signed())


@pytest.mark.parametrize("seconds", [-305, 305, -86_400, 86_400])
def test_what_is_older_or_of_the_future_is_refused(access, monkeypatch, seconds):
    """A request that was overheard is worth nothing after five minutes."""
    clock(monkeypatch, seconds)
    assert "five minutes" in refusal(access, signed())


def test_within_five_minutes_a_request_may_come_again(access):
    """Decided so: nothing that can be asked for does harm when it is asked for twice."""
    scope = signed()
    assert identify(access, scope) == identify(access, scope)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"region": "eu-west-1"}, "region us-east-1"),
        ({"service": "s3"}, "service execute-api"),
        ({"key": ("AKIDOTHER", AWS_SECRET, None)}, "not known here"),
        ({"key": (AWS_ID, "wrong" + AWS_SECRET, None)}, "not that of this request and key"),
        ({"key": (AWS_ID, AWS_SECRET, "session")}, "temporary credentials"),
        ({"claim": False}, "x-amz-content-sha256"),
        ({"X_Amz_Content_SHA256": "UNSIGNED-PAYLOAD"}, "unsigned and streamed"),
        ({"X_Amz_Content_SHA256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}, "unsigned and streamed"),
    ],
)
def test_another_region_service_key_or_rule_is_refused_with_the_reason(access, arguments, reason):
    """Whoever signs must be able to see what to change."""
    assert reason in refusal(access, signed(**arguments))


def test_host_and_date_must_be_signed(access, monkeypatch):
    """A signature that leaves them out could be used elsewhere, or later."""
    for name in ("host", "x-amz-date"):
        with monkeypatch.context() as patch:
            original = SigV4Auth.headers_to_sign

            def without(self, request, name=name, original=original):
                found = original(self, request)
                del found[name]
                return found

            patch.setattr(SigV4Auth, "headers_to_sign", without)
            assert "sign the headers host, x-amz-date" in refusal(access, signed())


def test_the_key_of_another_day_is_refused(access, monkeypatch):
    """A signing key is good for one day: whoever got hold of yesterday's has nothing today."""
    for name in ("scope", "credential_scope"):
        original = getattr(SigV4Auth, name)
        monkeypatch.setattr(
            SigV4Auth,
            name,
            lambda self, request, original=original: original(self, request).replace(
                request.context["timestamp"][:8], "20200101"
            ),
        )
    days = SigV4Auth.signature

    def signature(self, text, request):
        now = request.context["timestamp"]
        request.context["timestamp"] = "20200101T000000Z"
        try:
            return days(self, text, request)
        finally:
            request.context["timestamp"] = now

    monkeypatch.setattr(SigV4Auth, "signature", signature)
    assert "five minutes" in refusal(access, signed())


@pytest.mark.parametrize(
    "value",
    [
        b"AWS4-HMAC-SHA256",
        b"AWS4-HMAC-SHA256 Credential=a",
        b"AWS4-HMAC-SHA256 " + b"," * 10_000,
        b"AWS4-HMAC-SHA256 " + b"Credential=" * 1_000,
        b"AWS4-HMAC-SHA256 Credential=" + b"/" * 50_000,
        b"AWS4-HMAC-SHA256 Credential=\xff/20260101/a/b/aws4_request, SignedHeaders=host, Signature=" + b"0" * 64,
        b"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-east-1/execute-api/aws4_request, SignedHeaders="
        + b";" * 9_000 + b", Signature=" + b"0" * 64,
        b"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-east-1/execute-api/aws4_request, SignedHeaders=host,"
        b" Signature=" + b"F" * 64,
        b"AWS4-ECDSA-P256-SHA256 Credential=a",
    ],
)  # fmt: skip
def test_a_broken_authorization_is_refused_quickly(access, value):
    """No error of ours, no long search."""
    refusal(access, changed(signed(), b"authorization", value))


@pytest.mark.parametrize(
    "value", [b"", b"2026", b"20261399T000000Z", b"20260101T000000Z ", b"\xff", b"20260101T250000Z"]
)
def test_a_broken_date_is_refused(access, value):
    """Also one that looks like one."""
    refusal(access, changed(signed(), b"x-amz-date", value))


def test_an_expired_key_pair_is_refused(credentials):
    """Its signature is right, its time is over."""
    document = {**DOCUMENT, "aws": [aws_entry(not_after="2020-01-01T00:00:00Z")]}
    credentials.write_text(json.dumps(document))
    access = open_access(Settings(auth="required", credentials=credentials))
    assert "expired" in refusal(access, signed())


def test_the_example_of_the_specification():
    """The canonical request and signature that AWS publishes for GET ListUsers (IAM user guide, Signature Version 4)."""
    headers = {
        b"content-type": b"application/x-www-form-urlencoded; charset=utf-8",
        b"host": b"iam.amazonaws.com",
        b"x-amz-date": b"20150830T123600Z",
    }
    scope = {
        "method": "GET",
        "raw_path": b"/",
        "query_string": b"Action=ListUsers&Version=2010-05-08",
        "headers": list(headers.items()),
    }
    signature = b"5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    given = (
        b"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, "
        b"SignedHeaders=content-type;host;x-amz-date, Signature=" + signature
    )
    now = dt.datetime(2015, 8, 30, 12, 36, tzinfo=dt.UTC).timestamp()
    found = sigv4.verify(sigv4.read_authorization(given), scope, AWS_SECRET, "us-east-1", "iam", now)
    assert found == sigv4.EMPTY_SHA256
