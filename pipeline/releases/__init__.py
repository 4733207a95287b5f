"""What is live and what it is made of, read from the release store.

Not here: changing it (``change.py`` and what calls it), what was live before (``history.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.contract import bundle as bundles
from pipeline.contract import channel as channels
from pipeline.contract.bundle import MANIFEST, Bundle, BundleInvalid
from pipeline.contract.channel import Channel, Release
from pipeline.errors import ModelRefused
from pipeline.store import KeyNotFound, Store


@dataclass(frozen=True, slots=True)
class SeenChannel:
    """A channel as it was read; ``etag`` is None when there was none yet."""

    channel: Channel
    etag: str | None


def read_channel(store: Store, model: str) -> SeenChannel:
    """The channel of a model; an empty one of generation 0 when there is none yet.

    Raises:
        ModelRefused: the document cannot be read; somebody must repair it.
    """
    key = channels.channel_key(model)
    try:
        stored = store.read(key)
        return SeenChannel(channels.read(stored.data), stored.etag)
    except KeyNotFound:
        return SeenChannel(Channel(model), None)
    except channels.ChannelInvalid as error:
        raise ModelRefused(f"{store.uri}/{key}: {error}; remove it, the ledger makes it anew") from error


def live_release(store: Store, model: str) -> Release | None:
    """The champion that the channel names, if there is one."""
    return read_channel(store, model).channel.champion


def read_release(store: Store, model: str, version: int, digest: str | None = None) -> Bundle:
    """The verified bundle of a release.

    Raises:
        KeyNotFound: there is no such release.
        BundleInvalid: it is not whole, or not the one of ``digest``.
    """
    prefix = channels.release_prefix(model, version)
    manifest = store.read(f"{prefix}/{MANIFEST}").data
    others = {name: store.read(f"{prefix}/{name}").data for name in bundles.names(manifest) if name != MANIFEST}
    return bundles.read({**others, MANIFEST: manifest}, digest)


def find_release(store: Store, model: str, version: int) -> tuple[Release, Bundle]:
    """A release that somebody asks for by its number.

    Raises:
        ModelRefused: there is none of this number, or it is damaged; the message says what to do.
    """
    try:
        bundle = read_release(store, model, version)
    except KeyNotFound as error:
        raise ModelRefused(
            f"there is no whole release {version} of {model} in {store.uri}; `python -m pipeline.releases list` shows "
            "those there are"
        ) from error
    except BundleInvalid as error:
        raise ModelRefused(f"release {version} of {model} in {store.uri} was damaged: {error}; take another") from error
    return Release(version, bundle.digest, bundle.manifest.data_day), bundle
