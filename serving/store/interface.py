"""What every release store does, and what it raises. Not here: the stores (``files.py``, ``s3.py``)."""

from __future__ import annotations

from typing import Protocol


class ObjectMissing(KeyError):
    """There is no object under this key."""


class ObjectTooLarge(ValueError):
    """The object has more bytes than the reader allows."""


class ReleaseStore(Protocol):
    """Objects by key, read only."""

    def read(self, key: str, limit: int) -> bytes:
        """The bytes of an object.

        Raises:
            ObjectMissing: there is none under this key.
            ObjectTooLarge: it has more than ``limit`` bytes; they were not read.
            StoreUnavailable: the store cannot be read.
        """
