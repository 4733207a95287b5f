"""Reading objects by key from a release store. Writing is the pipeline's; what the keys mean is ``source.py``'s.

Not here: the S3 side (``s3_store.py``).
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from serving.errors import SettingsInvalid, StoreUnavailable


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


@dataclass(frozen=True, slots=True)
class FileStore:
    """A release store in a folder; writers rename whole files into place, so a read is never torn."""

    root: Path

    def read(self, key: str, limit: int) -> bytes:
        try:
            return _read(self.root / key, limit)
        except (FileNotFoundError, NotADirectoryError) as error:
            if self.root.is_dir():
                raise ObjectMissing(key) from error
            raise StoreUnavailable(f"the release store file:{self.root} does not exist") from error
        except OSError as error:
            raise StoreUnavailable(f"{key} cannot be read from file:{self.root}: {error.strerror}") from error


def _read(path: Path, limit: int) -> bytes:
    # O_NONBLOCK: opening a FIFO that lies where a file should be must not hang
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, "it is not a file")
        if status.st_size > limit:
            raise ObjectTooLarge(f"{path.name} has {status.st_size} bytes, {limit} are allowed")
        return file.read(limit)


def open_store(uri: str) -> ReleaseStore:
    """The release store behind ``uri``. Raises ``SettingsInvalid`` for an address that is none."""
    scheme, colon, rest = uri.partition(":")
    if scheme == "file" and rest:
        return FileStore(Path(rest.removeprefix("//")).expanduser().absolute())
    if scheme == "s3" and colon:
        from serving.s3_store import open_s3  # noqa: PLC0415  it imports the words above, and who has files needs it not

        return open_s3(uri)
    shown = f"{scheme}:" if colon else uri
    raise SettingsInvalid(
        f"SERVING_STORE: {shown!r} is no release store that is known here; write file:PATH or s3://BUCKET/PREFIX"
    )
