"""The one file that holds all state of the stack: how it is written and checked.

It is a tar file: one compressed tar file a volume, then ``manifest.json`` with their digests.
Not here: laying it out again (``backup.py``), stopping and starting the stack (``deploy/state``).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

FORMAT = "gavel-backup-1"
MANIFEST = "manifest.json"
NEEDED = {"secrets", "postgres", "s3"}
POSTGRES_VERSION = "pgdata/PG_VERSION"
OWNER_ONLY = 0o600
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Part:
    """One volume in the archive."""

    volume: str
    bytes: int
    sha256: str

    @property
    def name(self) -> str:
        return f"{self.volume}.tar.gz"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an archive holds and what it was made from."""

    made: str
    release: str
    images: tuple[str, ...]
    postgres: str
    parts: tuple[Part, ...]


class Counted(io.RawIOBase):
    """Hands on what is written, and knows how much it was and its digest."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.size, self.sha = file, 0, hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.sha.update(data)
        self.size += len(data)
        return self.file.write(data)


def write(archive: Path, state: Path, release: str, images: Sequence[str]) -> None:
    """All of ``state`` into a new file that only the owner of its folder may read; on the disk when this returns."""
    owner = archive.parent.stat()
    with os.fdopen(os.open(archive, os.O_RDWR | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "wb") as file:
        os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
        parts = tuple(_add(file, volume) for volume in sorted(state.iterdir()))
        made = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        postgres = (state / "postgres" / POSTGRES_VERSION).read_text().strip()
        manifest = Manifest(made, release, tuple(images), postgres, parts)
        text = json.dumps({"format": FORMAT, **asdict(manifest)}, indent=1).encode()
        file.write(_header(MANIFEST, len(text)) + text + bytes(-len(text) % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE))
        file.flush()
        os.fsync(file.fileno())


def _add(file: IO[bytes], volume: Path) -> Part:
    """One volume in one pass; its size is written into the header when it is known."""
    start = file.tell()
    file.write(bytes(tarfile.BLOCKSIZE))
    part = Counted(file)
    with (
        gzip.GzipFile("", "wb", compresslevel=1, fileobj=part, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|") as tar,
    ):
        tar.add(volume, arcname=".")
    file.write(bytes(-part.size % tarfile.BLOCKSIZE))
    described = Part(volume.name, part.size, part.sha.hexdigest())
    file.seek(start)
    file.write(_header(described.name, part.size))
    file.seek(0, os.SEEK_END)
    return described


def _header(name: str, size: int) -> bytes:
    header = tarfile.TarInfo(name)
    header.size, header.mode = size, OWNER_ONLY
    return header.tobuf(tarfile.GNU_FORMAT)


def check(archive: Path, postgres: str) -> Manifest:
    """The manifest of a whole archive that fits this major version of PostgreSQL; anything else ends the program."""
    try:
        with tarfile.open(archive, "r:") as tar:
            manifest = read_manifest(tar)
            damaged = [part.name for part in manifest.parts if not _is_whole(tar, part)]
    except (tarfile.TarError, OSError, ValueError, KeyError, TypeError) as error:
        raise SystemExit(f"{archive.name} is not a backup of this stack, or a damaged one: {error}") from error
    if damaged:
        raise SystemExit(f"{archive.name} is damaged: {', '.join(damaged)} is not what was written. Take another.")
    if manifest.postgres != postgres:
        raise SystemExit(
            f"{archive.name} holds files of PostgreSQL {manifest.postgres} and the image here is of {postgres}: "
            f"set POSTGRES_IMAGE to an image of PostgreSQL {manifest.postgres}."
        )
    return manifest


def read_manifest(tar: tarfile.TarFile) -> Manifest:
    """What an open archive says it holds; ValueError, KeyError or TypeError when it is no archive of ours."""
    with closing(open_member(tar, MANIFEST)) as file:
        told = json.load(file)
    if told.pop("format", None) != FORMAT:
        raise ValueError(f"its format is not {FORMAT}")
    parts = tuple(Part(**part) for part in told.pop("parts"))
    if NEEDED - {part.volume for part in parts}:
        raise ValueError(f"it lacks one of {', '.join(sorted(NEEDED))}")
    if not all(re.fullmatch("[a-z0-9][a-z0-9_.-]*", part.volume) for part in parts):
        raise ValueError("it names a volume that cannot be one")
    return Manifest(**{**told, "images": tuple(told["images"])}, parts=parts)


def open_member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    """One file of an open archive; KeyError or ValueError when there is none."""
    file = tar.extractfile(name)
    if file is None:
        raise ValueError(f"{name} is no file")
    return file


def _is_whole(tar: tarfile.TarFile, part: Part) -> bool:
    sha = hashlib.sha256()
    with closing(open_member(tar, part.name)) as file:
        while chunk := file.read(CHUNK):
            sha.update(chunk)
    return tar.getmember(part.name).size == part.bytes and sha.hexdigest() == part.sha256
