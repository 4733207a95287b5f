"""AWS Signature Version 4 in a request's headers, verified before its body is read. No roles and no files here.

After "Create a signed AWS API request" of the AWS IAM user guide. Decided here:

- ``host``, ``x-amz-date`` and every other ``x-amz-*`` header that is there must be signed.
- a request with a body must say its SHA-256 in ``x-amz-content-sha256``, so that the signature is known to be good
  before the body is read; ``UNSIGNED-PAYLOAD`` and streamed signatures are refused.
- temporary credentials (``x-amz-security-token``) and presigned addresses are refused.
- a request may come again within the five minutes that clocks may differ: nobody remembers signatures. To predict
  changes nothing, and a push is a hint without content, so the same request once more does no harm.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import NoReturn
from urllib.parse import quote_from_bytes, unquote_to_bytes

from starlette.types import Scope

from serving.access.caller import AccessDenied

SCHEME = b"AWS4-HMAC-SHA256"
CLOCK_SECONDS = 300
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_AUTHORIZATION = re.compile(
    rb"AWS4-HMAC-SHA256 +Credential=([^,\s]+)/(\d{8})/([^,/\s]+)/([^,/\s]+)/aws4_request"
    rb",\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]{64})"
)
_TIME = re.compile(rb"\d{8}T\d{6}Z")
_SHA256 = re.compile(rb"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Signed:
    """What the Authorization header of a signed request says."""

    access_key_id: str
    date: bytes
    region: bytes
    service: bytes
    names: tuple[bytes, ...]
    signature: bytes


def read_authorization(value: bytes) -> Signed:
    """Raises ``AccessDenied`` when it is no header of this scheme."""
    found = _AUTHORIZATION.fullmatch(value)
    if found is None:
        _refuse(
            "send 'AWS4-HMAC-SHA256 Credential=ID/DATE/REGION/SERVICE/aws4_request, SignedHeaders=..., Signature=...'"
        )
    key_id, date, region, service, names, signature = found.groups()
    return Signed(key_id.decode("latin-1"), date, region, service, tuple(names.split(b";")), signature)


def verify(signed: Signed, scope: Scope, secret: str, region: str, service: str, now: float) -> str:
    """The SHA-256 (hex) that the body must have. ``now`` in Unix seconds.

    Raises:
        AccessDenied: the request was not signed with ``secret`` for this region and service within five minutes.
    """
    headers = _collect(scope["headers"])
    if (signed.region, signed.service) != (region.encode(), service.encode()):
        _refuse(f"sign for the region {region} and the service {service}")
    _check_signed_names(signed.names, headers)
    moment = _check_time(headers[b"x-amz-date"], signed.date, now)
    body_sha256 = _claimed_body(headers)
    request = canonical_request(scope, signed.names, headers, body_sha256)
    credential_scope = b"/".join((signed.date, signed.region, signed.service, b"aws4_request"))
    text = b"\n".join((SCHEME, moment, credential_scope, hashlib.sha256(request).hexdigest().encode()))
    key = _signing_key(secret, signed.date, signed.region, signed.service)
    if not hmac.compare_digest(_hmac(key, text).hex().encode(), signed.signature):
        _refuse("the signature is not that of this request and key")
    return body_sha256.decode()


def canonical_request(
    scope: Scope, names: Iterable[bytes], headers: Mapping[bytes, bytes], body_sha256: bytes
) -> bytes:
    lines = [
        scope["method"].encode(),
        quote_from_bytes(_normal_path(scope["raw_path"]), safe="/~").encode(),
        _canonical_query(scope["query_string"]),
        *(name + b":" + headers[name] for name in names),
        b"",
        b";".join(names),
        body_sha256,
    ]
    return b"\n".join(lines)


def _normal_path(path: bytes) -> bytes:
    kept: list[bytes] = []
    for part in path.split(b"/"):
        if part == b"..":
            del kept[-1:]
        elif part not in {b"", b"."}:
            kept.append(part)
    return b"/" + b"/".join(kept) + (b"/" if kept and path.endswith(b"/") else b"")


def _canonical_query(query: bytes) -> bytes:
    """Names and values percent-encoded in one way, then sorted. A "+" is a blank, as forms write it."""
    if not query:
        return b""
    pairs = (pair.partition(b"=")[::2] for pair in query.split(b"&"))
    return b"&".join(name + b"=" + value for name, value in sorted((_encode(n), _encode(v)) for n, v in pairs))


def _encode(text: bytes) -> bytes:
    return quote_from_bytes(unquote_to_bytes(text.replace(b"+", b" ")), safe="-_.~").encode()


def _collect(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The canonical value of each header: outer blanks cut, inner ones one, repeated headers joined by commas."""
    collected: dict[bytes, bytes] = {}
    for name, value in headers:
        trimmed = b" ".join(value.split())
        collected[name] = collected[name] + b"," + trimmed if name in collected else trimmed
    return collected


def _check_signed_names(names: tuple[bytes, ...], headers: Mapping[bytes, bytes]) -> None:
    if b"x-amz-security-token" in headers:
        _refuse("temporary credentials are not taken here")
    needed = {b"host", b"x-amz-date", *(name for name in headers if name.startswith(b"x-amz-"))}
    if not needed <= set(names):
        _refuse("sign the headers host, x-amz-date and every other x-amz-* header")
    if list(names) != sorted(set(names)) or not set(names) <= headers.keys():
        _refuse("SignedHeaders must name, in order, headers that are there")


def _check_time(value: bytes, date: bytes, now: float) -> bytes:
    try:
        if not _TIME.fullmatch(value):
            raise ValueError
        signed_at = datetime.strptime(value.decode(), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        _refuse("x-amz-date must be a time as 20260131T235959Z")
    if not value.startswith(date) or abs(signed_at.timestamp() - now) > CLOCK_SECONDS:
        _refuse("the signature is more than five minutes old or ahead of this clock")
    return value


def _claimed_body(headers: Mapping[bytes, bytes]) -> bytes:
    claimed = headers.get(b"x-amz-content-sha256")
    if claimed is None:
        if headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers:
            _refuse("send and sign the header x-amz-content-sha256 with the SHA-256 of the body")
        return EMPTY_SHA256.encode()
    if not _SHA256.fullmatch(claimed):
        _refuse("x-amz-content-sha256 must be the SHA-256 of the body; unsigned and streamed bodies are not taken")
    return claimed


@lru_cache(maxsize=64)
def _signing_key(secret: str, date: bytes, region: bytes, service: bytes) -> bytes:
    key = b"AWS4" + secret.encode()
    for part in (date, region, service, b"aws4_request"):
        key = _hmac(key, part)
    return key


def _hmac(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")


def _refuse(reason: str) -> NoReturn:
    raise AccessDenied("unauthorized", f"AWS Signature Version 4: {reason}")
