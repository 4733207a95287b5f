"""Objects by key on ``file:`` or ``s3:``, with atomic and conditional writes. The only file that knows boto3."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol


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
    """Objects by key. Keys are ``/``-separated plain words; ``uri`` tells people where it is."""

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
