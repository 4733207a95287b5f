"""The store on S3: conditional writes, proven at the start. The only file of the pipeline that knows boto3.

Not here: the store's interface (``interface.py``).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pipeline.errors import SettingsInvalid, StoreUnavailable
from pipeline.store.interface import KeyChanged, KeyExists, KeyNotFound, Listed, Stored, check_key

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from mypy_boto3_s3 import S3Client

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

    def remove(self, prefix: str, *, last: str) -> None:
        rest = [key for key in self.keys(f"{prefix}/") if key != f"{prefix}/{last}"]
        for key in (f"{prefix}/{last}", *rest):
            with _said_plainly(self.uri, key):
                self._client.delete_object(Bucket=self._bucket, Key=self._root + check_key(key))

    def keys(self, prefix: str) -> Iterator[str]:
        return (each.key for each in self.listed(prefix))

    def listed(self, prefix: str) -> Iterator[Listed]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._root + prefix)
        with _said_plainly(self.uri):
            items = [item for page in pages for item in page.get("Contents", ())]
        found = [Listed(item["Key"].removeprefix(self._root), item["Size"], item["LastModified"]) for item in items]
        ours = [each for each in found if not each.key.endswith("/") and not f"/{each.key}".count("/.")]
        return iter(sorted(ours, key=lambda each: each.key))

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
