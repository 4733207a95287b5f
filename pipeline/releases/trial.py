"""Releases on trial beside the champion (challenger, shadow), and versions that may not be live (quarantine).

Not here: what a trial finds out, or who becomes champion (``champion.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pipeline.contract.channel import Challenger, Channel, Release
from pipeline.contract.ledger import Action, Actor
from pipeline.errors import ChangeRefused, DeployFailed, ModelRefused
from pipeline.releases import find_release
from pipeline.releases.change import Change, Reason, change
from pipeline.releases.rollout import Outcome, Target, change_kept, refuse_quarantined, undone
from pipeline.replicas import Role

ROLES: tuple[Role, Role] = ("challenger", "shadow")


def canary(target: Target, version: int, share: float, who: Actor, why: str) -> Outcome:
    """The version answers ``share`` of the requests, and every worker holds it.

    Raises:
        ChangeRefused: the share, the version, or what is live or on trial does not allow it.
        ModelRefused, DeployFailed: a replica did not take it; all is as before.
    """
    release, _ = find_release(target.store, target.model, version)
    try:
        wanted = Challenger(release, share)
    except ValueError as error:
        raise ChangeRefused(f"{error}; write 0.1 for one request in ten") from error

    def decide(seen: Channel) -> Channel | None:
        if seen.challenger == wanted:
            return None
        _refuse_trial(target, seen, "challenger", release)
        return seen.without(version).changed(challenger=wanted)

    text = f"version {version} is challenger and answers {share:.3g} of the requests"
    return _tried(target, Reason(who, "canary", why), decide, "challenger", release, text)


def shadow(target: Target, version: int, who: Actor, why: str) -> Outcome:
    """The version answers copies of the requests, unseen, and every worker holds it. Raises as ``canary``."""
    release, _ = find_release(target.store, target.model, version)

    def decide(seen: Channel) -> Channel | None:
        if seen.shadow == release:
            return None
        _refuse_trial(target, seen, "shadow", release)
        return seen.without(version).changed(shadow=release)

    text = f"version {version} is shadow"
    return _tried(target, Reason(who, "shadow", why), decide, "shadow", release, text)


def stop(target: Target, who: Actor, why: str, role: Role | None = None) -> Outcome:
    """End the trial of the challenger, the shadow, or both. Raises DeployFailed when a replica does not follow."""
    ended: dict[str, None] = dict.fromkeys([role] if role else ROLES)

    def decide(seen: Channel) -> Channel | None:
        return seen.changed(**ended) if any(getattr(seen, name) for name in ended) else None

    made = change_kept(target, Reason(who, "stop", why), decide)
    return _let_go(target, made, f"{' and '.join(ended)} ended", f"there was no {' or '.join(ended)}")


def quarantine(target: Target, version: int, who: Actor, why: str, action: Action = "quarantine") -> Outcome:
    """The version may not be live until it is released; its trial, if it is on one, ends.

    ``action`` is what the ledger calls it: a challenger that a bake takes back is rolled back.

    Raises:
        ChangeRefused: it is the champion, or unknown.
    """
    find_release(target.store, target.model, version)

    def decide(seen: Channel) -> Channel | None:
        if version in seen.quarantined:
            return None
        if seen.champion and seen.champion.version == version:
            raise ChangeRefused(f"version {version} is the champion: `rollback` takes it back and quarantines it")
        return replace(seen.without(version).changed(), quarantined=tuple(sorted({*seen.quarantined, version})))

    made = change_kept(target, Reason(who, action, why), decide)
    return _let_go(target, made, f"version {version} is quarantined", f"version {version} was quarantined before")


def release_quarantine(target: Target, version: int, who: Actor, why: str) -> Outcome:
    """The version may be live again; nothing else happens."""

    def decide(seen: Channel) -> Channel | None:
        left = tuple(each for each in seen.quarantined if each != version)
        return seen.changed(quarantined=left) if left != seen.quarantined else None

    made = change(target.store, target.model, Reason(who, "release-quarantine", why), decide)
    return _outcome(made, f"version {version} may be live again", f"version {version} is not quarantined")


def _refuse_trial(target: Target, seen: Channel, role: Role, release: Release) -> None:
    refuse_quarantined(target.store, seen, release.version)
    if seen.champion is None:
        raise ChangeRefused(f"nothing of {seen.model} is live, so there is nothing to try it beside; deploy it")
    if seen.champion.version == release.version:
        raise ChangeRefused(f"version {release.version} is the champion; try another")
    other = dict(seen.roles()).get(role)
    if other is not None and other.version != release.version:
        raise ChangeRefused(f"version {other.version} is {role} now: `promote {other.version}` or `stop {role}` first")


def _tried(
    target: Target, reason: Reason, decide: Callable[[Channel], Channel | None], role: Role, release: Release, text: str
) -> Outcome:
    """Change the channel and wait until every worker holds the release in its role, or take the change back."""
    made = change_kept(target, reason, decide)
    replicas = target.replicas(lambda channel: dict(channel.roles()).get(role) == release)
    try:
        held = replicas.hold(role, release, target.timeout)
    except (DeployFailed, ModelRefused) as error:
        raise undone(target, replicas, made, reason, error) from error
    text += "" if held else "; but somebody else ended that meanwhile"
    return _outcome(made, text, text)


def _let_go(target: Target, made: Change, text: str, otherwise: str) -> Outcome:
    """Wait until no worker holds what has just lost its role."""
    before, after = dict(made.before.roles()), dict(made.after.roles())
    for role in ROLES:
        if role in before and role not in after:
            replicas = target.replicas(lambda channel, role=role: role not in dict(channel.roles()))  # type: ignore[misc]
            replicas.hold(role, None, target.timeout)
    return _outcome(made, text, otherwise)


def _outcome(made: Change, text: str, otherwise: str) -> Outcome:
    return Outcome(made.made, made.after, text if made.made else otherwise)
