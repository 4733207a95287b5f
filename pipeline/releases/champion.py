"""Another champion because somebody says so: back to an earlier release, or on to one that was on trial.

Not here: a new release (``pipeline/deploy.py``), challenger and shadow (``trial.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pipeline.contract import certificate as certificates
from pipeline.contract.bundle import Bundle, Golden
from pipeline.contract.certificate import CertificateInvalid
from pipeline.contract.channel import Channel, Release
from pipeline.contract.ledger import Actor
from pipeline.errors import ChangeRefused, ModelRefused
from pipeline.releases import find_release
from pipeline.releases.change import Reason, settle
from pipeline.releases.ledger import champions_before, read_entry
from pipeline.releases.rollout import Outcome, Target, age, go_live, refuse_quarantined

Prove = Callable[[Release, Golden], None]


def rollback(target: Target, version: int | None, prove: Prove, who: Actor, why: str) -> Outcome:
    """Back to ``version``, or to the last champion that is older and not quarantined; the one left is quarantined.

    ``prove`` shows, before the channel moves, that the release still loads and answers (``Replicas.prove``).

    Raises:
        ChangeRefused: there is nothing to go back to, or the version is quarantined, unknown, or newer.
        ModelRefused, DeployFailed: the release did not prove itself, or a replica did not take it; all is as before.
    """
    reason = Reason(who, "rollback", why)
    channel = settle(target.store, target.model).channel
    left = _champion(channel)
    release, bundle = find_release(target.store, target.model, version or _earlier(target, channel, left, reason))
    _refuse_return(target, channel, release, left)
    prove(release, bundle.golden)

    def decide(seen: Channel) -> Channel | None:
        if seen.champion == release:
            return None
        if seen.champion != left:
            raise ChangeRefused(
                f"version {_champion(seen).version} went live meanwhile in place of version {left.version}; "
                "roll back again if that is the one to leave"
            )
        refuse_quarantined(target.store, seen, release.version)
        return replace(seen.with_champion(release), quarantined=tuple(sorted({*seen.quarantined, left.version})))

    text = (
        f", version {left.version} is quarantined"
        if release != left
        else " already; to go back further, name a version"
    )
    text = f"version {release.version} is live again{text}"
    return go_live(target, release, bundle, reason, decide, text)


def promote(target: Target, version: int, prove: Prove, who: Actor, why: str) -> Outcome:
    """Make a release the champion that is published and newer; a challenger or shadow loses that role.

    Raises:
        ChangeRefused: the version is quarantined, unknown, refused by the gate, or older than the champion.
        ModelRefused, DeployFailed: as ``rollback``.
    """
    reason = Reason(who, "promote", why)
    channel = settle(target.store, target.model).channel
    release, bundle = find_release(target.store, target.model, version)
    _check_certificate(bundle, version)

    def decide(seen: Channel) -> Channel | None:
        if seen.champion == release:
            return None
        refuse_quarantined(target.store, seen, version)
        if seen.champion and age(seen.champion) > age(release):
            raise ChangeRefused(
                f"version {version} (data day {release.data_day}) is older than the champion, version "
                f"{seen.champion.version} (data day {seen.champion.data_day}): `rollback {version}` goes back to it"
            )
        return seen.with_champion(release)

    decide(channel)
    prove(release, bundle.golden)
    return go_live(target, release, bundle, reason, decide, f"version {version} is live")


def _champion(channel: Channel) -> Release:
    if channel.champion is None:
        raise ChangeRefused(f"nothing of {channel.model} is live yet; deploy a version first")
    return channel.champion


def _earlier(target: Target, channel: Channel, left: Release, reason: Reason) -> int:
    """The version that a rollback without a version goes to."""
    if _made_before(target, channel, reason):
        return left.version
    for release in champions_before(target.store, target.model, channel.generation):
        if age(release) < age(left) and release.version not in channel.quarantined:
            return release.version
    raise ChangeRefused(
        f"the ledger knows no champion before version {left.version} that is not quarantined; name one of "
        "`python -m pipeline.releases list`"
    )


def _made_before(target: Target, channel: Channel, reason: Reason) -> bool:
    """Is this the rollback that made the channel what it is, run again? Then it is finished, not one more step back.

    It is when the same asks for the same reason, or when it was broken off before the alias could follow.
    """
    recorded = read_entry(target.store, target.model, channel.generation)
    if recorded is None or recorded.entry.action != "rollback" or channel.champion is None:
        return False
    if recorded.entry.before.champion == channel.champion:  # it was a challenger that was taken back
        return False
    same = (recorded.entry.who, recorded.entry.why) == (reason.who, reason.why.strip())
    return same or target.registry.alias(target.model) != channel.champion.version


def _refuse_return(target: Target, channel: Channel, release: Release, left: Release) -> None:
    refuse_quarantined(target.store, channel, release.version)
    if age(release) > age(left):
        raise ChangeRefused(
            f"version {release.version} (data day {release.data_day}) is newer than the champion, version "
            f"{left.version} (data day {left.data_day}): `promote {release.version}` makes it live"
        )


def _check_certificate(bundle: Bundle, version: int) -> None:
    if bundle.certificate is None:
        return
    try:
        certificate = certificates.read(bundle.certificate)
    except CertificateInvalid as error:
        raise ModelRefused(f"version {version}: {error}") from error
    if not certificate.allowed:
        raise ChangeRefused(f"version {version} was refused by the gate; run it again with a reason to force it")
