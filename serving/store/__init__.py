"""Reading objects by key from a release store. Writing is the pipeline's; what the keys mean is ``source.py``'s."""

from __future__ import annotations

from pathlib import Path

from serving.errors import SettingsInvalid
from serving.store.files import FileStore
from serving.store.interface import ObjectMissing, ObjectTooLarge, ReleaseStore

__all__ = ["FileStore", "ObjectMissing", "ObjectTooLarge", "ReleaseStore", "open_store"]


def open_store(uri: str) -> ReleaseStore:
    """The release store behind ``uri``. Raises ``SettingsInvalid`` for an address that is none."""
    scheme, colon, rest = uri.partition(":")
    if scheme == "file" and rest:
        return FileStore(Path(rest.removeprefix("//")).expanduser().absolute())
    if scheme == "s3" and colon:
        from serving.store.s3 import open_s3  # noqa: PLC0415  who has files needs no library for S3

        return open_s3(uri)
    shown = f"{scheme}:" if colon else uri
    raise SettingsInvalid(
        f"SERVING_STORE: {shown!r} is no release store that is known here; write file:PATH or s3://BUCKET/PREFIX"
    )
