"""A release store in S3, read only. The only file that knows obstore; what the keys mean is ``source.py``'s.

obstore takes address and credentials from the ordinary ``AWS_*`` variables. Its first read starts threads, which a fork
would not take along: a store is read in the process that will go on reading it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import urlsplit

import obstore
from obstore.store import S3Store as Bucket

from serving.errors import SettingsInvalid, StoreUnavailable
from serving.store.interface import ObjectMissing, ObjectTooLarge

ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
SENT = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION")
CONNECT_SECONDS, READ_SECONDS = 5.0, 30.0
# What fails at once is tried again, what took long is not: the next look at the channel is soon enough.
TRIES, TRY_AGAIN_SECONDS = 3, 5.0

_URI = re.compile(r"s3://([a-zA-Z0-9][\w.-]{1,61}[a-zA-Z0-9])((?:/[\w@+=~-][\w.@+=~-]*)*)/?", re.ASCII)
_CODE = re.compile(r"<Code>(\w+)</Code>")
_STATUS = re.compile(r"status code: (\d{3})")
_REASON = re.compile(r'(?:message|error): "([^"]+)"')
_KIND = re.compile(r"kind: (Timeout|Connect)")
MISSING, NO_BUCKET, REFUSED = {"NoSuchKey", "NotFound"}, {"NoSuchBucket"}, {"401", "403"}


class S3Store:
    """Objects in a bucket below a prefix. One read takes at most ``seconds``, and ``TRY_AGAIN_SECONDS`` on top."""

    def __init__(self, bucket: str, prefix: str, seconds: float = READ_SECONDS) -> None:
        self.uri = f"s3://{bucket}/{prefix}".rstrip("/")
        self._root = f"{prefix}/" if prefix else ""
        try:
            self._bucket = _open(bucket, seconds)
        except (obstore.exceptions.BaseError, ValueError) as error:
            raise SettingsInvalid(f"SERVING_STORE: {self.uri} cannot be used: {_cause(error)}") from error

    def read(self, key: str, limit: int) -> bytes:
        try:
            found = obstore.get(self._bucket, self._root + key)
            size = found.meta["size"]  # of the response's header; the client takes no byte more
            if size > limit:
                raise ObjectTooLarge(f"{self.uri}/{key} has {size} bytes, {limit} are allowed")
            return bytes(found.bytes())
        except (ObjectTooLarge, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a panic in the library is no Exception, and would end the thread that polls
            raise self._meaning(error, key) from error

    def _meaning(self, error: BaseException, key: str) -> Exception:
        """The error in our words. The same trouble gives the same words, so that it is logged once, not each second."""
        cause, status = _cause(error), _STATUS.search(str(error))
        if cause in MISSING:
            return ObjectMissing(key)
        if cause in NO_BUCKET:
            return StoreUnavailable(f"{self.uri}: there is no such bucket; make it, or correct SERVING_STORE")
        if status and status[1] in REFUSED:
            advice = "mend AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or let this key list and read there"
            return StoreUnavailable(f"{self.uri} refuses to be read ({cause}); {advice}")
        if status:
            return StoreUnavailable(f"{self.uri} answers {status[1]} ({cause}); it is asked again")
        return StoreUnavailable(f"{self.uri} cannot be read ({cause}); it is asked again: see that it runs{_where()}")


def open_s3(uri: str) -> S3Store:
    """The store at ``s3://bucket/prefix``. Nothing is asked of it yet. Raises ``SettingsInvalid``."""
    found = _URI.fullmatch(uri)
    if found is None:
        raise SettingsInvalid("SERVING_STORE: write s3://BUCKET or s3://BUCKET/PREFIX, in plain letters and digits")
    _check(os.environ)
    return S3Store(found[1], found[2].lstrip("/"))


def _open(bucket: str, seconds: float) -> Bucket:
    return Bucket(
        bucket,
        client_options={
            "allow_http": True,  # when the address says so; AWS's own is https
            "connect_timeout": timedelta(seconds=min(CONNECT_SECONDS, seconds)),
            "timeout": timedelta(seconds=seconds),
        },
        retry_config={
            "max_retries": TRIES - 1,
            "retry_timeout": timedelta(seconds=min(TRY_AGAIN_SECONDS, seconds)),
            "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=1), "base": 2},
        },
    )


def _check(environment: Mapping[str, str]) -> None:
    """Values with which the library would panic at the first request, as a line break behind a secret."""
    for name in (*SENT, *ENDPOINTS):
        value = environment.get(name, "x")
        if value.split() != [value] or not value.isascii() or not value.isprintable():
            raise SettingsInvalid(f"{name} is empty or has blanks or other characters in it; correct it or unset it")
    for name in ENDPOINTS:
        if name in environment and not _is_address(environment[name]):
            raise SettingsInvalid(f"{name} is no address; write http://HOST:PORT or https://HOST:PORT")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and not set("@?#") & {*url}
        )
    except ValueError:  # a port that is none, half an IPv6 address
        return False


def _cause(error: BaseException) -> str:
    """The server's own word for it, its status, or what the system said; never what was sent, nor times or ids."""
    text = str(error)
    for pattern in (_CODE, _STATUS, _REASON, _KIND):
        found = pattern.findall(text)
        if found:
            return str(found[-1])
    return text.partition("\n")[0].rpartition(": ")[2][:200]


def _where() -> str:
    address = next((os.environ[name] for name in ENDPOINTS if name in os.environ), None)
    where = f" at {address}" if address else ", and name it in AWS_ENDPOINT_URL_S3 if it is not AWS's"
    return where if "AWS_ACCESS_KEY_ID" in os.environ else f"{where}; AWS_ACCESS_KEY_ID is not set"
