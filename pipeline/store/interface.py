"""What every store does, and what it raises. Not here: the stores (``files.py``, ``s3.py``), what the objects mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
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


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as a listing has it: its size in bytes, and when it was written by the store's clock."""

    key: str
    size: int
    written: datetime


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

    def remove(self, prefix: str, *, last: str) -> None:
        """Take a published folder away, ``last`` first. What is not there, or half of it, is a success as well."""

    def keys(self, prefix: str) -> Iterator[str]:
        """All keys that begin with ``prefix``, sorted."""

    def listed(self, prefix: str) -> Iterator[Listed]:
        """The objects of these keys, in the same order."""


MAX_KEY, MAX_PART = 900, 250  # bytes; S3 takes 1024, a file system 255 a part


def check_key(key: str) -> str:
    """The key itself. Raises ``ValueError`` unless its parts are plain: not empty, no leading dot, no control."""
    if not key.isprintable() or "\\" in key or len(key.encode()) > MAX_KEY:
        raise ValueError(f"{key!r} cannot be a key: it must be short, printable and without backslashes")
    for part in key.split("/"):
        if not part or part.startswith(".") or len(part.encode()) > MAX_PART:
            raise ValueError(f"{key!r} cannot be a key: a part is empty, too long or begins with a dot")
    return key
