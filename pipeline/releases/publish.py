"""Laying a bundle's files into the release store under its version number.

Not here: what lies there (``__init__.py``), making it live (``rollout.py``).
"""

from __future__ import annotations

from pipeline.contract.bundle import MANIFEST, Bundle
from pipeline.contract.channel import Release, candidate_prefix, release_prefix
from pipeline.errors import ModelRefused
from pipeline.store import KeyExists, Store


def publish(store: Store, model: str, version: int, bundle: Bundle, *, candidate: bool = False) -> Release:
    """Put a bundle among the releases, or among the candidates that servers only try. The same again is a success.

    Raises:
        ModelRefused: there is another one of this number.
    """
    prefix = candidate_prefix(model, version) if candidate else release_prefix(model, version)
    try:
        store.publish(prefix, bundle.files, last=MANIFEST)
    except KeyExists as error:
        raise ModelRefused(
            f"{store.uri}/{prefix} holds another model of the same version number; "
            "the release store belongs to another MLflow database: use a store of its own for each"
        ) from error
    return Release(version, bundle.digest, bundle.manifest.data_day)
