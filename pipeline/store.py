"""Objects by key on ``file:`` or ``s3:``, with atomic and conditional writes. The only file that knows boto3.

Not here: the file side (``pipeline/file_store.py``), what the objects mean.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from pipeline.errors import SettingsInvalid, StoreUnavailable

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from mypy_boto3_s3 import S3Client


class KeyNotFound(KeyError):
    """There is no object under this key."""


class KeyExists(ValueError):
    """An object under this key is there already, with other content."""


class KeyChanged(ValueError):
    """The object was changed by somebody else since it was read."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An object's bytes and the tag that stands for exactly these bytes."""

    data: bytes
    etag: str


class Store(Protocol):
    """Objects by key. Keys are ``/``-separated plain words; ``uri`` tells people where it is.

    Every call may raise ``StoreUnavailable`` (try again) or ``SettingsInvalid`` (the store cannot be used).
    """

    uri: str

    def read(self, key: str) -> Stored:
        """Raises ``KeyNotFound``."""

    def create(self, key: str, data: bytes) -> None:
        """Write a new object. The same bytes again are a success. Raises ``KeyExists``."""

    def replace(self, key: str, data: bytes, etag: str | None) -> None:
        """Write if the object still has ``etag`` (``None``: is not there). Raises ``KeyChanged``."""

    def publish(self, prefix: str, files: Mapping[str, bytes], *, last: str) -> None:
        """Write a folder of objects so that whoever sees ``last`` sees all. The same folder again is a success;

        raises ``KeyExists`` when a whole folder with another ``last`` is there.
        """

    def keys(self, prefix: str) -> Iterator[str]:
        """All keys that begin with ``prefix``, sorted."""


def open_store(uri: str, *, read_only: bool = False) -> Store:
    """The store at ``file:PATH`` or ``s3://bucket/prefix``, proven fit for conditional writes unless ``read_only``.

    Raises:
        SettingsInvalid: the address is neither, or the place ignores conditional writes or refuses us.
        StoreUnavailable: it does not answer.
    """
    parts = urlsplit(uri)
    if parts.scheme == "file" and not parts.netloc and parts.path:
        from pipeline.file_store import FileStore  # noqa: PLC0415  it imports the words above

        return FileStore(parts.path, read_only=read_only)
    if parts.scheme == "s3" and parts.netloc:
        return S3Store(parts.netloc, parts.path.strip("/"), read_only=read_only)
    raise SettingsInvalid(f"{uri!r} is not a store; write file:PATH or s3://bucket/prefix")


MAX_KEY, MAX_PART = 900, 250  # bytes; S3 takes 1024, a file system 255 a part


def check_key(key: str) -> str:
    """The key itself. Raises ``ValueError`` unless its parts are plain: not empty, no leading dot, no control."""
    if not key.isprintable() or "\\" in key or len(key.encode()) > MAX_KEY:
        raise ValueError(f"{key!r} cannot be a key: it must be short, printable and without backslashes")
    for part in key.split("/"):
        if not part or part.startswith(".") or len(part.encode()) > MAX_PART:
            raise ValueError(f"{key!r} cannot be a key: a part is empty, too long or begins with a dot")
    return key


MISSING = frozenset({"NoSuchKey", "404", "NotFound"})
CONDITION_FAILED = frozenset({"PreconditionFailed", "412"})
TRIES = 3
PROBE = ".probe/conditional-writes"
# A publish gives up before another one may take its unfinished files for leftovers and replace them.
PUBLISH_SECONDS, LEFTOVER_SECONDS = 300, 600


class S3Store:
    """Objects in a bucket, below a prefix. Endpoint and credentials come from the ordinary ``AWS_*`` variables."""

    def __init__(self, bucket: str, prefix: str, *, read_only: bool = False) -> None:
        self.uri = f"s3://{bucket}/{prefix}".rstrip("/")
        self._bucket = bucket
        self._root = f"{prefix}/" if prefix else ""
        self._client = _client()
        if not read_only:
            self._probe()

    def read(self, key: str) -> Stored:
        with _said_plainly(self.uri, key):
            answer = self._client.get_object(Bucket=self._bucket, Key=self._root + key)
            return Stored(answer["Body"].read(), answer["ETag"])

    def create(self, key: str, data: bytes) -> None:
        check_key(key)
        if not self._put(key, data, IfNoneMatch="*") and self.read(key).data != data:
            raise KeyExists(f"{self.uri}/{key} is there already with other content")

    def replace(self, key: str, data: bytes, etag: str | None) -> None:
        check_key(key)
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        if not self._put(key, data, **condition):
            raise KeyChanged(f"{self.uri}/{key} was changed by somebody else")

    def publish(self, prefix: str, files: Mapping[str, bytes], *, last: str) -> None:
        began = time.monotonic()
        for name in files:
            check_key(f"{prefix}/{name}")
        if not self._published(prefix, files[last], last):
            for name in sorted(files.keys() - {last}):
                self._write_part(f"{prefix}/{name}", files[name])
            if time.monotonic() - began > PUBLISH_SECONDS:
                raise StoreUnavailable(f"writing {self.uri}/{prefix} took more than {PUBLISH_SECONDS} s")
            self.create(f"{prefix}/{last}", files[last])

    def keys(self, prefix: str) -> Iterator[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._root + prefix)
        with _said_plainly(self.uri):
            found = [item["Key"] for page in pages for item in page.get("Contents", ())]
        names = (name.removeprefix(self._root) for name in found if not name.endswith("/"))
        return iter(sorted(name for name in names if not any(part.startswith(".") for part in name.split("/"))))

    def _published(self, prefix: str, wanted: bytes, last: str) -> bool:
        try:
            found = self.read(f"{prefix}/{last}").data
        except KeyNotFound:
            return False
        if found != wanted:
            raise KeyExists(f"{self.uri}/{prefix} is there already with other content")
        return True

    def _write_part(self, key: str, data: bytes) -> None:
        """Write one file of a folder whose ``last`` is not there; what a dead publish left is replaced."""
        try:
            self.create(key, data)
        except KeyExists:
            etag, age = self._age(key)
            if age < LEFTOVER_SECONDS:
                raise StoreUnavailable(f"{self.uri}/{key} is being written by somebody else; try later") from None
            if not self._put(key, data, IfMatch=etag):
                raise StoreUnavailable(f"{self.uri}/{key} is being written by somebody else; try later") from None

    def _age(self, key: str) -> tuple[str, float]:
        """Tag of an object and its age in seconds by the server's own clock."""
        with _said_plainly(self.uri, key):
            answer = self._client.head_object(Bucket=self._bucket, Key=self._root + key)
        now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
        return answer["ETag"], (now - answer["LastModified"]).total_seconds()

    def _put(self, key: str, data: bytes, **condition: str) -> bool:
        """Write under a condition; False when it does not hold."""
        for attempt in range(TRIES):
            try:
                with _said_plainly(self.uri, key):
                    return self._put_once(key, data, condition)
            except _Conflict:
                time.sleep(0.1 * 2**attempt)
        raise StoreUnavailable(f"{self.uri}/{key} is being written by others; try later")

    def _put_once(self, key: str, data: bytes, condition: Mapping[str, Any]) -> bool:
        try:
            self._client.put_object(Bucket=self._bucket, Key=self._root + key, Body=data, **condition)
        except self._client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in CONDITION_FAILED | MISSING:
                raise
            # botocore may have sent it twice because the answer to the first was lost
            return bool(error.response["ResponseMetadata"]["RetryAttempts"]) and self.read(key).data == data
        return True

    def _probe(self) -> None:
        """Some S3 servers answer 200 and ignore the condition; two writers would overwrite each other."""
        self._put(PROBE, b"probe", IfNoneMatch="*")
        if self._put(PROBE, b"probe", IfNoneMatch="*") or self._put(PROBE, b"probe", IfMatch='"0"'):
            raise SettingsInvalid(
                f"{self.uri}: this S3 server ignores conditional writes, so two runs could"
                " overwrite each other; use another server"
            )


def _client() -> S3Client:
    import boto3  # noqa: PLC0415  it takes longer to import than most steps need, and most stores are folders
    import botocore.config  # noqa: PLC0415

    config = botocore.config.Config(
        connect_timeout=5, read_timeout=30, retries={"total_max_attempts": TRIES, "mode": "standard"}
    )
    return boto3.session.Session().client("s3", config=config)


class _Conflict(Exception):
    """Two conditional writes met at the server; the same call is to be made again."""


@contextmanager
def _said_plainly(uri: str, key: str = "") -> Iterator[None]:
    """Turn botocore's errors into ours."""
    from botocore import exceptions as botocore  # noqa: PLC0415

    try:
        yield
    except botocore.ClientError as error:
        raise _meaning(error, uri, key) from error
    except (
        botocore.HTTPClientError,
        botocore.ConnectionError,
        botocore.IncompleteReadError,
        botocore.FlexibleChecksumError,
        botocore.CredentialRetrievalError,
    ) as error:
        raise StoreUnavailable(f"{uri} does not answer: {error}") from error
    except botocore.BotoCoreError as error:
        raise SettingsInvalid(f"{uri} cannot be used: {error}") from error


def _meaning(error: ClientError, uri: str, key: str) -> Exception:
    code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    if code in MISSING:
        return KeyNotFound(f"{uri}/{key}")
    if code == "ConditionalRequestConflict":
        return _Conflict()
    if code == "NoSuchBucket":
        return SettingsInvalid(f"{uri}: there is no such bucket; make it, or correct the address")
    if code != "NotImplemented" and (
        status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS
    ):
        return StoreUnavailable(f"{uri} does not answer as it should: {error}")
    return SettingsInvalid(f"{uri} refuses: {error}")
