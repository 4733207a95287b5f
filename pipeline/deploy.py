"""Make a version live: publish its release, move the channel, wait for every replica, set the alias.

Killed at any point and run again it ends the same. When a replica will not serve the release, the channel goes
back to what it was. Not here: whether the version is good enough (``pipeline/gate.py``), how a replica loads it
(``serving``), asking the replicas (``pipeline/replicas.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.contract import bundle as bundles
from pipeline.contract import channel as channels
from pipeline.contract.bundle import Bundle, BundleInvalid
from pipeline.contract.channel import Channel, Release
from pipeline.errors import DeployFailed, GavelError, ModelRefused
from pipeline.registry import Registry
from pipeline.releases import read_channel, read_release
from pipeline.replicas import Replicas
from pipeline.store import KeyChanged, KeyExists, KeyNotFound, Store
from pipeline.workspace import Ref, read_file

TRIES = 20


@dataclass(frozen=True, slots=True)
class Deployed:
    """What a deploy came to. ``live`` is False when something newer is live, which is no error.

    ``generation`` is of the channel; ``replicas`` are the addresses that answered with this release.
    """

    live: bool
    version: int
    digest: str
    generation: int
    message: str
    replicas: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Move:
    """The channel after the move, and what to go back to if the replicas will not have it."""

    channel: Channel
    before: Release | None
    can_go_back: bool


def deploy(
    store: Store,
    registry: Registry,
    bundle: Ref,
    version: int,
    serving_urls: Sequence[str],
    push_token: str,
    timeout: float,
    *,
    allow_older: bool = False,
) -> Deployed:
    """Make ``version`` live on every replica of ``serving_urls`` within ``timeout`` seconds.

    ``allow_older`` lets a release of an older data day replace a newer one (a rollback).

    Raises:
        DeployFailed: a replica did not serve it in time; what was live before still is. Try again.
        ModelRefused: a replica refused the release, or answered its golden rows wrongly; trying again does not help.
    """
    packed = bundles.read({name: read_file(store, bundle, name) for name in bundles.FILES})
    release = Release(version, packed.digest, packed.manifest.data_day)
    model = packed.manifest.model_name
    _publish(store, model, release, packed)
    move = _move(store, registry, model, release, allow_older=allow_older)
    if move.channel.champion != release:
        return _not_live(release, move.channel)
    replicas = Replicas(serving_urls, push_token, lambda: read_channel(store, model).channel.champion == release)
    try:
        found = replicas.serve(packed, release, move.channel.generation, timeout)
    except GavelError as error:
        raise _undo(store, replicas, move, error) from error
    if found is None:
        return _not_live(release, read_channel(store, model).channel)
    registry.set_alias(model, version)
    return Deployed(True, version, release.digest, move.channel.generation, _message(release, found), found)


def _message(release: Release, replicas: Sequence[str]) -> str:
    if not replicas:
        return f"the channel names version {release.version}; no serving address is set, so nobody was asked"
    return f"version {release.version} is live on {len(replicas)} of {len(replicas)} replicas"


def _not_live(release: Release, channel: Channel) -> Deployed:
    live = channel.champion
    assert live is not None
    text = (
        f"version {release.version} (data day {release.data_day}) does not replace version {live.version} "
        f"(data day {live.data_day}), which is newer"
    )
    return Deployed(False, release.version, release.digest, channel.generation, text)


def _publish(store: Store, model: str, release: Release, packed: Bundle) -> None:
    prefix = channels.release_prefix(model, release.version)
    try:
        store.publish(prefix, packed.files, last=bundles.MANIFEST)
    except KeyExists as error:
        raise ModelRefused(
            f"{store.uri}/{prefix} holds another model of the same version number; "
            "the release store belongs to another MLflow database: use a store of its own for each"
        ) from error


def _move(store: Store, registry: Registry, model: str, release: Release, *, allow_older: bool) -> _Move:
    """Name the release in the channel, unless what is there is newer; decided anew when somebody else was faster."""
    for _ in range(TRIES):
        seen = read_channel(store, model)
        live = seen.channel.champion
        if live == release:
            return _moved_before(store, registry, model, seen.channel)
        if live is not None and not allow_older and _age(live) > _age(release):
            return _Move(seen.channel, live, can_go_back=False)
        after = seen.channel.with_champion(release)
        try:
            store.replace(channels.channel_key(model), after.to_bytes(), seen.etag)
        except KeyChanged:
            continue
        return _Move(after, live, can_go_back=True)
    raise DeployFailed(f"the channel of {model} was changed by others {TRIES} times in a row")


def _age(release: Release) -> tuple[str, int]:
    return (release.data_day, release.version)


def _moved_before(store: Store, registry: Registry, model: str, channel: Channel) -> _Move:
    """The channel names the release already: a run that was killed moved it, or it is really live.

    The alias moves last, so it still names what was live before; that is what to go back to.
    """
    aliased = registry.alias(model)
    assert channel.champion is not None
    if aliased is None or aliased == channel.champion.version:
        return _Move(channel, None, can_go_back=False)
    try:
        before = read_release(store, model, aliased)
    except (KeyNotFound, BundleInvalid):
        return _Move(channel, None, can_go_back=False)
    return _Move(channel, Release(aliased, before.digest, before.manifest.data_day), can_go_back=True)


def _undo(store: Store, replicas: Replicas, move: _Move, error: GavelError) -> GavelError:
    """Put the channel back if it is still as we left it; the error with what came of it."""
    if not move.can_go_back:
        return type(error)(f"{error}; there is nothing to go back to, the channel stays as it is")
    model = move.channel.model
    seen = read_channel(store, model)
    if seen.channel != move.channel:
        return type(error)(f"{error}; the channel has been changed by somebody else since and stays so")
    try:
        store.replace(channels.channel_key(model), seen.channel.with_champion(move.before).to_bytes(), seen.etag)
    except KeyChanged:
        return type(error)(f"{error}; the channel has been changed by somebody else since and stays so")
    replicas.push()
    back = f"version {move.before.version}" if move.before else "no release, as before"
    return type(error)(f"{error}; the channel is back at {back}")
