"""A change of what is live as a person asks for it in a form, and how the bake that follows a canary is concluded.

Not here: the changes themselves (``pipeline/releases``), the watching (``plugins/gavel_triggers.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from pipeline.bake import Limits, Verdict
from pipeline.contract.channel import Channel
from pipeline.contract.ledger import Actor
from pipeline.errors import ChangeRefused, ModelRefused
from pipeline.releases.champion import promote, rollback
from pipeline.releases.change import settle
from pipeline.releases.rollout import Outcome, Target
from pipeline.releases.trial import canary, quarantine, release_quarantine, shadow, stop

Action = Literal["promote", "rollback", "canary", "shadow", "stop", "quarantine", "release from quarantine"]


@dataclass(frozen=True, slots=True)
class Bake:
    """A canary to be watched until ``deadline`` (ISO time, UTC): the release, and the fields of ``bake.Limits``."""

    version: int
    digest: str
    deadline: str
    limits: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for. ``version`` None is the obvious one; ``promote_after`` is for a canary whose bake is good."""

    action: Action
    reason: str
    version: int | None = None
    share: float = 0.1
    bake: timedelta = timedelta(minutes=30)
    limits: Mapping[str, Any] | None = None
    promote_after: bool = False

    def __post_init__(self) -> None:
        if self.action not in get_args(Action):
            raise ChangeRefused(f"{self.action!r} is no action; take one of {', '.join(get_args(Action))}")
        if not self.reason.strip():
            raise ChangeRefused("say why: a change of what is live must have a reason")
        if self.action == "canary":
            Limits(**(self.limits or {}))  # refuses before anything is changed


@dataclass(frozen=True, slots=True)
class Changed:
    """What came of it; ``bake`` is what is to be watched now, if anything."""

    generation: int
    message: str
    bake: Bake | None = None


def carry_out(target: Target, asked: Asked, who: Actor, now: datetime) -> Changed:
    """Make the change that is asked for.

    Raises:
        ChangeRefused, ModelRefused: it must not be made; the message says why and what to do instead.
        DeployFailed: a replica did not follow, all is as before; try again.
    """
    channel = settle(target.store, target.model).channel
    outcome = _change(target, asked, channel, who)
    challenger = outcome.channel.challenger
    bake = None
    if asked.action == "canary" and challenger:
        deadline = (now + asked.bake).isoformat(timespec="seconds")
        bake = Bake(challenger.release.version, challenger.release.digest, deadline, dict(asked.limits or {}))
    return Changed(outcome.channel.generation, outcome.message, bake)


def _change(target: Target, asked: Asked, channel: Channel, who: Actor) -> Outcome:
    prove, why = target.replicas().prove, asked.reason
    if asked.action == "rollback":
        return rollback(target, asked.version, prove, who, why)
    if asked.action == "stop":
        return stop(target, who, why)
    version = asked.version or _obvious(channel, asked.action)
    changes: dict[Action, Callable[[], Outcome]] = {
        "promote": lambda: promote(target, version, prove, who, why),
        "canary": lambda: canary(target, version, asked.share, who, why),
        "shadow": lambda: shadow(target, version, who, why),
        "quarantine": lambda: quarantine(target, version, who, why),
        "release from quarantine": lambda: release_quarantine(target, version, who, why),
    }
    return changes[asked.action]()


def _obvious(channel: Channel, action: Action) -> int:
    """The version that is meant when none is named: the one on trial, or the only one in quarantine."""
    on_trial = [release.version for role, release in channel.roles() if role != "champion"]
    meant = {
        "promote": on_trial[:1],
        "canary": [channel.shadow.version] if channel.shadow else [],
        "quarantine": on_trial if len(on_trial) == 1 else [],
        "release from quarantine": list(channel.quarantined) if len(channel.quarantined) == 1 else [],
    }.get(action, [])
    if not meant:
        raise ChangeRefused(f"name the version to {action}: there is no obvious one")
    return meant[0]


def conclude(target: Target, asked: Asked, bake: Bake, verdict: Verdict | None, who: Actor) -> Changed:
    """Carry out what a bake came to; again is the same. ``verdict`` None: nobody watched it to its end.

    ``who`` asked for the canary.

    Raises:
        ModelRefused: a limit was broken, or nobody watched; the challenger does not answer any more.
        ChangeRefused: the version was to be promoted, and too few requests came to tell.
    """
    watcher = Actor("automatic", f"bake of version {bake.version}", who.url)
    channel = settle(target.store, target.model).channel
    if verdict is None:
        if channel.challenger and channel.challenger.release.version == bake.version:
            stop(target, watcher, "nobody watched the bake to its end", "challenger")
        raise ModelRefused(f"nobody watched version {bake.version} to the end of its bake; its trial has been ended")
    if verdict.end == "breach":
        quarantine(target, bake.version, watcher, verdict.text, action="rollback")
        raise ModelRefused(f"version {bake.version} was taken back and is quarantined: {verdict.text}")
    if verdict.end == "good" and asked.promote_after:
        why = f"{asked.reason}; bake: {verdict.text}"
        outcome = promote(target, bake.version, target.replicas().prove, who, why)
        return Changed(outcome.channel.generation, f"{outcome.message}; {verdict.text}")
    if verdict.end == "few" and asked.promote_after:
        raise ChangeRefused(
            f"version {bake.version} is not promoted and stays challenger: {verdict.text}; run the canary again, or "
            "promote it by hand"
        )
    kept = "" if verdict.end == "gone" else f"version {bake.version} stays challenger: "
    return Changed(channel.generation, kept + verdict.text)
