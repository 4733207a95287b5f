"""The store on a local folder: an object is a file, written aside and put in place by one rename or link.

Beside the objects lie ``.tmp`` (what is being written, one locked folder a write) and ``.lock`` (taken for
compare-and-swap). Not here: the store's interface (``interface.py``).
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pipeline.contract.bundle import sha256
from pipeline.errors import SettingsInvalid, StoreUnavailable
from pipeline.store.interface import KeyChanged, KeyExists, KeyNotFound, Listed, Stored, check_key

LOCK_SECONDS = 30.0
FULL = (errno.ENOSPC, errno.EDQUOT)


class FileStore:
    """Objects below a local folder, which is made. A key cannot lie beneath another object's key."""

    def __init__(self, path: str, *, read_only: bool = False) -> None:
        self.root = Path(path).expanduser().absolute()
        self.uri = f"file:{self.root}"
        self._aside = self.root / ".tmp"
        if not read_only:
            with self._said_plainly():
                self._aside.mkdir(parents=True, exist_ok=True)
                self._remove_leftovers()

    def read(self, key: str) -> Stored:
        with self._said_plainly():
            try:
                data = (self.root / check_key(key)).read_bytes()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                raise KeyNotFound(f"{self.uri}/{key}") from None
        return Stored(data, sha256(data))

    def create(self, key: str, data: bytes) -> None:
        target = self.root / check_key(key)
        with self._said_plainly(), self._staging() as staging:
            _write(staging / "object", data)
            self._make_parent(target)
            try:
                os.link(staging / "object", target)
            except FileExistsError:
                if not target.is_file() or target.read_bytes() != data:
                    raise KeyExists(f"{self.uri}/{key} is there already with other content") from None
            _sync(target.parent)

    def replace(self, key: str, data: bytes, etag: str | None) -> None:
        target = self.root / check_key(key)
        with self._said_plainly(), self._staging() as staging, self._locked():
            if self._etag(key) != etag:
                raise KeyChanged(f"{self.uri}/{key} was changed by somebody else")
            if etag is None:
                self._first(key, data)
            else:
                _write(staging / "object", data)
                (staging / "object").rename(target)
                _sync(target.parent)

    def publish(self, prefix: str, files: Mapping[str, bytes], *, last: str) -> None:
        target = self.root / check_key(prefix)
        with self._said_plainly(), self._staging() as staging:
            for name, data in files.items():
                check_key(f"{prefix}/{name}")
                (staging / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
                _write(staging / "folder" / name, data)
            _sync_folders(staging / "folder")
            self._make_parent(target)
            try:
                (staging / "folder").rename(target)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    raise
                self._join(prefix, files, last)
            _sync(target.parent)

    def remove(self, prefix: str, *, last: str) -> None:  # noqa: ARG002  one rename takes all away at once
        target = self.root / check_key(prefix)
        with self._said_plainly(), self._staging() as staging:
            try:
                target.rename(staging / "folder")
            except (FileNotFoundError, NotADirectoryError):
                return
            _sync(target.parent)

    def keys(self, prefix: str) -> Iterator[str]:
        folder = prefix.rpartition("/")[0]
        found = []
        for path, folders, names in os.walk(self.root / check_key(folder) if folder else self.root):
            folders[:] = [name for name in folders if not name.startswith(".")]
            begin = Path(path).relative_to(self.root).as_posix()
            found += [name if begin == "." else f"{begin}/{name}" for name in names if not name.startswith(".")]
        return iter(sorted(key for key in found if key.startswith(prefix)))

    def listed(self, prefix: str) -> Iterator[Listed]:
        for key in self.keys(prefix):
            with self._said_plainly():
                try:
                    found = (self.root / key).stat()
                except FileNotFoundError:  # removed since
                    continue
            yield Listed(key, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    def _etag(self, key: str) -> str | None:
        try:
            return self.read(key).etag
        except KeyNotFound:
            return None

    def _first(self, key: str, data: bytes) -> None:
        """Without a look before: a ``create`` may be under way, and that takes no lock."""
        try:
            self.create(key, data)
        except KeyExists:
            raise KeyChanged(f"{self.uri}/{key} was changed by somebody else") from None

    def _join(self, prefix: str, files: Mapping[str, bytes], last: str) -> None:
        """Something is at the place of a folder: the same folder, another, or objects but no whole folder."""
        found = self._etag(f"{prefix}/{last}")
        if found is None:
            for name in [*sorted(files.keys() - {last}), last]:
                self.create(f"{prefix}/{name}", files[name])
        elif found != sha256(files[last]):
            raise KeyExists(f"{self.uri}/{prefix} is there already with other content")

    def _make_parent(self, target: Path) -> None:
        """Make the folder of ``target``, each new folder on the disk before anything is put into it."""
        if target.parent.is_dir():
            return
        self._make_parent(target.parent)
        try:
            target.parent.mkdir(exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise KeyExists(f"{self.uri}: an object is where {target.parent} would have to be a folder") from None
        _sync(target.parent.parent)

    @contextmanager
    def _staging(self) -> Iterator[Path]:
        """A folder aside for one write. Its lock, not its process number, says that the writer is alive:

        a process in another container has a number of its own world.
        """
        while True:
            folder = self._aside / f"{os.getpid()}-{secrets.token_hex(4)}"
            folder.mkdir(parents=True)
            try:
                handle = os.open(folder, os.O_RDONLY)
            except FileNotFoundError:  # swept away by a store that was opened just then
                continue
            fcntl.flock(handle, fcntl.LOCK_SH)
            if folder.exists():  # else it was swept away before it was locked
                break
            os.close(handle)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(handle)

    def _remove_leftovers(self) -> None:
        for folder in self._aside.iterdir():
            try:
                handle = os.open(folder, os.O_RDONLY)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            except BlockingIOError:
                continue
            finally:
                os.close(handle)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        handle = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            deadline = time.monotonic() + LOCK_SECONDS
            while not _take(handle):
                if time.monotonic() > deadline:
                    raise StoreUnavailable(f"{self.uri} has been locked by another process for {LOCK_SECONDS:g} s")
                time.sleep(0.005)
            yield
        finally:
            os.close(handle)

    @contextmanager
    def _said_plainly(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in FULL:
                raise StoreUnavailable(f"the disk of {self.uri} is full; make room and run again") from error
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
                raise SettingsInvalid(f"{self.uri} cannot be used: {error}") from error
            raise StoreUnavailable(f"{self.uri} failed: {error}") from error


def _take(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_folders(folder: Path) -> None:
    for path, _, _ in os.walk(folder, topdown=False):
        _sync(Path(path))
