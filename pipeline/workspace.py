"""Where steps leave their results for the next one: immutable folders in the store, found again by key.

A step's key is the hash of all that its result depends on, so the same step on the same input is found
instead of done again, and a step that was killed left nothing. Not here: what a step writes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.contract.bundle import sha256, to_json
from pipeline.errors import DataInvalid
from pipeline.store import KeyExists, KeyNotFound, Store

INDEX = "index.json"


@dataclass(frozen=True, slots=True)
class Ref:
    """A reference to a folder in the store: its key prefix and the SHA-256 of its index. This is what tasks pass on."""

    prefix: str
    digest: str

    def to_dict(self) -> dict[str, str]:
        return asdict(self)


def key_of(*parts: Any) -> str:
    """The hash of JSON-able parts: 24 hexadecimal digits."""
    return sha256(to_json(parts))[:24]


def code_digest() -> str:
    """The hash of the pipeline's own source files, so that changed code makes a new result."""
    digest = hashlib.sha256()
    root = Path(__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\0{sha256(path.read_bytes())}\n".encode())
    return digest.hexdigest()[:16]


def lock_digest() -> str:
    """The hash of the lock file that the environment was made from; empty when it is not there."""
    lock = Path(__file__).parent.parent / "requirements" / "main.lock"
    return sha256(lock.read_bytes())[:16] if lock.exists() else ""


class Workspace:
    """Folders of files under ``prefix`` in a store, each complete or not there."""

    def __init__(self, store: Store, prefix: str) -> None:
        self.store = store
        self.prefix = prefix

    def find(self, key: str) -> Ref | None:
        """The folder of ``key`` if it is there, whole."""
        prefix = f"{self.prefix}/{key}"
        try:
            return Ref(prefix, sha256(self.store.read(f"{prefix}/{INDEX}").data))
        except KeyNotFound:
            return None

    def publish(self, key: str, files: Mapping[str, bytes]) -> Ref:
        """Write a folder at once; if another process was first, its folder stands."""
        index = to_json({name: sha256(data) for name, data in files.items()})
        prefix = f"{self.prefix}/{key}"
        with contextlib.suppress(KeyExists):
            self.store.publish(prefix, {**files, INDEX: index}, last=INDEX)
        found = self.find(key)
        assert found is not None
        return found


def read_file(store: Store, ref: Ref, name: str) -> bytes:
    """One file of a folder, verified against the folder's index and that against the reference.

    Raises:
        DataInvalid: the file was changed after it was written, or is gone.
    """
    try:
        index = store.read(f"{ref.prefix}/{INDEX}").data
        data = store.read(f"{ref.prefix}/{name}").data
    except KeyNotFound as error:
        raise DataInvalid(
            f"{ref.prefix} was removed; run that day again, from fetch on (clear the whole run)"
        ) from error
    if sha256(index) != ref.digest:
        raise DataInvalid(f"{ref.prefix}/{INDEX} was changed after it was written; remove the folder and run again")
    if sha256(data) != json.loads(index)[name]:
        raise DataInvalid(f"{ref.prefix}/{name} was changed after it was written; remove the folder and run again")
    return data
