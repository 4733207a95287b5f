"""Carrying a change to the replicas: change the channel, wait for everyone, or take the change back.

Not here: who may become what (``pipeline/deploy.py``, ``champion.py``, ``trial.py``), asking a replica
(``pipeline/replicas.py``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from pipeline import datasets
from pipeline.contract.bundle import Bundle
from pipeline.contract.channel import Channel, Release
from pipeline.errors import ChangeRefused, DeployFailed, GavelError, ModelRefused, TryAgain
from pipeline.registry import Registry, open_registry
from pipeline.releases import live_release, read_channel
from pipeline.releases.change import TRIES, Change, Decide, Reason, change
from pipeline.releases.ledger import quarantined_by, read_entry
from pipeline.releases.report_collect import collect
from pipeline.replica_readings import ask
from pipeline.replicas import Replicas
from pipeline.settings import Settings
from pipeline.store import Store, open_store

PAIRS_SECONDS = 5.0  # what a shadow has found out is not worth a rollback that waits


@dataclass(frozen=True, slots=True)
class Target:
    """Where releases of ``model`` go live: on the replicas at ``urls``, within ``timeout`` seconds."""

    store: Store
    registry: Registry
    model: str
    urls: tuple[str, ...]
    token: str
    timeout: float

    def replicas(self, wanted: Callable[[Channel], bool] = lambda _: True) -> Replicas:
        """``wanted`` says of a channel whether it still asks for what we wait for."""
        return Replicas(self.urls, self.token, lambda: wanted(read_channel(self.store, self.model).channel))


def open_target(settings: Settings) -> Target:
    """What the settings name."""
    return Target(
        open_store(settings.store),
        open_registry(settings),
        datasets.load(settings.dataset).model_name,
        settings.serving_urls,
        settings.push_token.get_secret_value(),
        settings.deploy_timeout,
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a change came to; ``changed`` is False where all was so already. ``replicas`` were waited for."""

    changed: bool
    channel: Channel
    message: str
    replicas: tuple[str, ...] = ()


def age(release: Release) -> tuple[str, int]:
    """What makes a release newer than another: its data day, then its version."""
    return release.data_day, release.version


def refuse_quarantined(store: Store, channel: Channel, version: int) -> None:
    """Raises ``ChangeRefused`` when the version is quarantined: since when, by whom, why, and how to let it go."""
    if version not in channel.quarantined:
        return
    entry = quarantined_by(store, channel.model, channel.generation, version)
    since = f" since {entry.at}, by {entry.who}: {entry.why}" if entry else ""
    raise ChangeRefused(
        f"version {version} is quarantined{since}; to let it go live again: "
        f"python -m pipeline.releases release-quarantine {version} --reason ..."
    )


def change_kept(target: Target, reason: Reason, decide: Decide) -> Change:
    """Change the channel after the replicas' pairs of champion and shadow are in the store: they may forget them now.

    A replica that does not tell its pairs is no obstacle.
    """
    with contextlib.suppress(GavelError):
        if read_channel(target.store, target.model).channel.shadow:
            collect(target.store, target.model, ask(target.urls, target.token, PAIRS_SECONDS))
    return change(target.store, target.model, reason, decide)


def go_live(target: Target, release: Release, bundle: Bundle, reason: Reason, decide: Decide, text: str) -> Outcome:
    """Change the champion and wait until every replica serves it; then the alias follows.

    The channel in the answer names another champion when ``decide`` left that one there, or when it took our
    release's place meanwhile; ``text`` is the message otherwise. When a replica will not serve the release the
    change is undone.

    Raises:
        DeployFailed: a replica did not serve it in time; what was live before still is. Try again.
        ModelRefused: a replica refused the release, or answered its golden rows wrongly.
    """
    changed = change_kept(target, reason, decide)
    made = _resumed(target, changed)
    replicas = target.replicas(lambda channel: channel.champion == release)
    channel = made.after
    while channel.champion == release:
        try:
            served = replicas.serve(bundle, release, channel.generation, target.timeout)
        except (DeployFailed, ModelRefused) as error:  # a store that is away says nothing about the replicas
            raise undone(target, replicas, made, reason, error) from error
        if served is not None:
            _set_alias(target, release.version)
            return Outcome(changed.made, channel, text, served)
        channel = read_channel(target.store, target.model).channel
    live = f"version {channel.champion.version}" if channel.champion else "none"
    return Outcome(changed.made, channel, f"{text}, or was: somebody else made {live} live meanwhile")


def _resumed(target: Target, made: Change) -> Change:
    """Where nothing had to be changed, a run that was killed may have done it; then that is the change to be undone.

    The alias moves last: while it names another version, nobody has seen the champion serve.
    """
    champion = made.after.champion
    if made.made or champion is None:
        return made
    recorded = read_entry(target.store, target.model, made.after.generation)
    if recorded is None or recorded.entry.before.champion == champion:
        return made
    aliased = target.registry.alias(target.model)
    return made if aliased == champion.version else Change(recorded.entry.before, made.after)


def undone(target: Target, replicas: Replicas, made: Change, reason: Reason, error: GavelError) -> GavelError:
    """Put the channel back if it is still as we left it; the error with what came of it."""
    before, after = made.before, made.after
    if not made.made:
        return type(error)(f"{error}; there is nothing to go back to, the channel stays as it is")
    back = replace(before, generation=after.generation + 1, entry=None)
    why = Reason(reason.who, "undo", str(error))
    undo = change(target.store, target.model, why, lambda seen: back if seen == after else None)
    if not undo.made:
        return type(error)(f"{error}; the channel has been changed by somebody else since and stays so")
    replicas.push()
    _take_alias_back(target, before, after)
    if before.champion == after.champion:
        return type(error)(f"{error}; the channel is back at what it was")
    where = f"version {before.champion.version}" if before.champion else "no release, as before"
    return type(error)(f"{error}; the channel is back at {where}")


def _take_alias_back(target: Target, before: Channel, after: Channel) -> None:
    """Another run that found our champion in the channel may have given it the alias."""
    if before.champion is None or after.champion in {None, before.champion}:
        return
    with contextlib.suppress(TryAgain):
        if after.champion and target.registry.alias(target.model) == after.champion.version:
            target.registry.set_alias(target.model, before.champion.version)


def _set_alias(target: Target, version: int) -> None:
    """Runs that overlap may set it in any order, so each looks again: in the end it names what the channel names."""
    for _ in range(TRIES):
        target.registry.set_alias(target.model, version)
        live = live_release(target.store, target.model)
        if live is None or live.version == version:
            return
        version = live.version
