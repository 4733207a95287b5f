"""A release store in a folder. Not here: the interface (``interface.py``)."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from serving.errors import StoreUnavailable
from serving.store.interface import ObjectMissing, ObjectTooLarge


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
