"""Make a version live: publish its release, move the channel, wait for every replica, set the alias.

Killed at any point and run again it ends the same. When a replica will not serve the release, the channel goes
back to what it was. Not here: whether the version is good enough (``pipeline/gate.py``), how a replica loads it
(``serving``), how a change is recorded and carried out (``pipeline/releases``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.contract import bundle as bundles
from pipeline.contract.bundle import MANIFEST, Bundle
from pipeline.contract.channel import Channel, Release
from pipeline.contract.ledger import Actor
from pipeline.releases.change import Reason
from pipeline.releases.publish import publish
from pipeline.releases.rollout import Target, age, go_live, refuse_quarantined
from pipeline.store import Store
from pipeline.workspace import Ref, read_file


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


def deploy(target: Target, bundle: Ref, version: int, who: Actor, why: str) -> Deployed:
    """Make ``version`` live on every replica of the target; ``who`` and ``why`` go into the ledger.

    Raises:
        DeployFailed: a replica did not serve it in time; what was live before still is. Try again.
        ModelRefused: a replica refused the release, or answered its golden rows wrongly; trying again does not help.
        ChangeRefused: the version is quarantined.
    """
    packed = _read(target.store, bundle)
    release = publish(target.store, target.model, version, packed)

    def decide(channel: Channel) -> Channel | None:
        live = channel.champion
        if live == release:
            return None
        refuse_quarantined(target.store, channel, version)
        return None if live is not None and age(live) > age(release) else channel.with_champion(release)

    outcome = go_live(target, release, packed, Reason(who, "deploy", why), decide, f"version {version} is live")
    if outcome.channel.champion != release:
        return _not_live(release, outcome.channel)
    text = _message(release, outcome.replicas)
    return Deployed(True, version, release.digest, outcome.channel.generation, text, outcome.replicas)


def _read(store: Store, bundle: Ref) -> Bundle:
    manifest = read_file(store, bundle, MANIFEST)
    return bundles.read({name: read_file(store, bundle, name) for name in bundles.names(manifest)})


def _message(release: Release, replicas: Sequence[str]) -> str:
    if not replicas:
        return f"the channel names version {release.version}; no serving address is set, so nobody was asked"
    return f"version {release.version} is live on {len(replicas)} of {len(replicas)} replicas"


def _not_live(release: Release, channel: Channel) -> Deployed:
    live, text = channel.champion, f"version {release.version} (data day {release.data_day})"
    if live is not None and age(live) > age(release):
        text += f" does not replace version {live.version} (data day {live.data_day}), which is newer"
    else:
        text += f" was taken back by somebody else; live is version {live.version if live else 'none'}"
    return Deployed(False, release.version, release.digest, channel.generation, text)
