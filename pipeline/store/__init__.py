"""Objects by key on ``file:`` or ``s3:``, with atomic and conditional writes. Not here: what the objects mean."""

from __future__ import annotations

from urllib.parse import urlsplit

from pipeline.errors import SettingsInvalid
from pipeline.store.files import FileStore
from pipeline.store.interface import KeyChanged, KeyExists, KeyNotFound, Listed, Store, Stored
from pipeline.store.s3 import S3Store

__all__ = ["KeyChanged", "KeyExists", "KeyNotFound", "Listed", "Store", "Stored", "open_store"]


def open_store(uri: str, *, read_only: bool = False) -> Store:
    """The store at ``file:PATH`` or ``s3://bucket/prefix``, proven fit for conditional writes unless ``read_only``.

    Raises:
        SettingsInvalid: the address is neither, or the place ignores conditional writes or refuses us.
        StoreUnavailable: it does not answer.
    """
    parts = urlsplit(uri)
    if parts.scheme == "file" and not parts.netloc and parts.path:
        return FileStore(parts.path, read_only=read_only)
    if parts.scheme == "s3" and parts.netloc:
        return S3Store(parts.netloc, parts.path.strip("/"), read_only=read_only)
    raise SettingsInvalid(f"{uri!r} is not a store; write file:PATH or s3://bucket/prefix")
