"""What ought to be live, and its files: the channel and the releases of one model in a release store.

Not here: whether a release is good (``loader.py``), or what happens then (``reconciler.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.contract import channel as channels
from pipeline.contract.bundle import MANIFEST, MODEL, names
from pipeline.contract.channel import Channel, ChannelInvalid, Release
from serving.errors import ReleaseMissing, ReleaseRefused, StoreUnavailable
from serving.store import ObjectMissing, ObjectTooLarge, ReleaseStore

MAX_DOCUMENT_BYTES = 4 << 20  # of JSON: a hostile one takes twenty times as much when it is read


@dataclass(frozen=True, slots=True)
class Source:
    """The channel of ``model`` and the releases it names; ``max_model_bytes`` bounds ``model.onnx``."""

    store: ReleaseStore
    model: str
    max_model_bytes: int

    def wanted(self) -> Channel | None:
        """The channel as it is now; ``None`` when there is none yet.

        Raises:
            StoreUnavailable: the store or the document cannot be read.
        """
        key = channels.channel_key(self.model)
        try:
            channel = channels.read(self.store.read(key, MAX_DOCUMENT_BYTES))
        except ObjectMissing:
            return None
        except (ObjectTooLarge, ChannelInvalid) as error:
            raise StoreUnavailable(f"{key}: {error}") from error
        if channel.model != self.model:
            raise StoreUnavailable(f"{key} is the channel of another model, {channel.model!r}")
        return channel

    def files(self, release: Release, *, candidate: bool = False) -> Mapping[str, bytes]:
        """The files of a release, or of a candidate, by name, not verified.

        The manifest is written last, so it is read first.

        Raises:
            ReleaseMissing: the release is not there, or not whole.
            StoreUnavailable: the store cannot be read.
            ReleaseRefused: a file is larger than allowed.
        """
        prefix_of = channels.candidate_prefix if candidate else channels.release_prefix
        prefix = prefix_of(self.model, release.version)
        manifest = self._file(f"{prefix}/{MANIFEST}", MAX_DOCUMENT_BYTES)
        limits = dict.fromkeys(names(manifest), MAX_DOCUMENT_BYTES) | {MODEL: self.max_model_bytes}
        del limits[MANIFEST]
        return {MANIFEST: manifest} | {name: self._file(f"{prefix}/{name}", limit) for name, limit in limits.items()}

    def _file(self, key: str, limit: int) -> bytes:
        try:
            return self.store.read(key, limit)
        except ObjectMissing as error:
            raise ReleaseMissing(f"the release is not whole: {key} is not in the store") from error
        except ObjectTooLarge as error:
            raise ReleaseRefused(str(error)) from error
