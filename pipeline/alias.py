"""Who moves the alias ``champion`` in MLflow by hand wants that version live: so it is, or the alias is put back.

Everything is read anew, so it may be called at any time, and again. Not here: noticing a move
(``plugins/gavel_triggers.py``), how a version goes live (``pipeline/releases``).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.contract.bundle import Bundle
from pipeline.contract.channel import Release
from pipeline.contract.ledger import Actor
from pipeline.errors import ChangeRefused, DeployFailed, ModelRefused
from pipeline.registry_entries import Aliased
from pipeline.registry_limits import RegistryRefused
from pipeline.releases import find_release
from pipeline.releases.champion import promote, rollback
from pipeline.releases.change import settle
from pipeline.releases.rollout import Target, age

Seen = tuple[Aliased, int | None]
LOOKS = 20
SURE_SECONDS = 1.0  # a deploy moves the alias and then the tag; between the two nobody has moved anything
LONGEST_TAG = 1000
REFUSED = "alias_refused"


@dataclass(frozen=True, slots=True)
class Followed:
    """What a look at the alias came to. ``moved`` is the version that a person moved it to, if anybody did."""

    message: str
    moved: int | None = None
    live: bool = False


def follow_alias(target: Target, url: str = "", sleep: Callable[[float], None] = time.sleep) -> Followed:
    """Do what the alias asks for, if a person has moved it. ``url`` is where this is to be seen.

    Raises:
        TryAgain: something is away, or changes just now; the alias stays as it is, call again.
    """
    seen = _settled(target, sleep)
    aliased, live = seen
    if _ours(seen):
        return _mended(target, seen)
    try:
        if aliased.version is None:
            raise ChangeRefused(f"the alias was removed, and version {live} stays live")
        return _go_live(target, aliased.version, url)
    except (ChangeRefused, ModelRefused) as error:
        return _put_back(target, aliased.version, error)


def _settled(target: Target, sleep: Callable[[float], None]) -> Seen:
    """What was seen twice in a row, or needs no second look."""
    seen = _look(target)
    for _ in range(LOOKS):
        if _ours(seen):
            return seen
        sleep(SURE_SECONDS)
        before, seen = seen, _look(target)
        if seen == before:
            return seen
    raise DeployFailed(f"the alias of {target.model} does not hold still; run it again")


def _look(target: Target) -> Seen:
    """The alias, and the champion's version as the channel has it."""
    aliased = target.registry.aliased(target.model)
    champion = settle(target.store, target.model).channel.champion
    return aliased, champion.version if champion else None


def _ours(seen: Seen) -> bool:
    """Is the alias where we put it, or where the channel is?"""
    aliased, live = seen
    return aliased.version in {aliased.ours, live}


def _mended(target: Target, seen: Seen) -> Followed:
    aliased, live = seen
    if live is None or aliased.version != live or aliased.ours == live:
        return Followed("nobody has moved the alias")
    target.registry.set_alias(target.model, live)
    return Followed(f"the alias names version {live}, which is live; noted")


def _go_live(target: Target, version: int, url: str) -> Followed:
    release, _ = _release(target, version)
    channel = settle(target.store, target.model).channel
    who, why = Actor("alias", "the alias champion in MLflow", url), f"somebody moved the alias to version {version}"
    older = channel.champion is not None and age(release) < age(channel.champion)
    change, prove = rollback if older else promote, target.replicas().prove
    return Followed(change(target, version, prove, who, why).message, version, live=True)


def _release(target: Target, version: int) -> tuple[Release, Bundle]:
    """The release of a version, or why there is none."""
    try:
        return find_release(target.store, target.model, version)
    except ModelRefused as error:
        try:
            tags = target.registry.version(target.model, version).tags
        except RegistryRefused:
            raise ModelRefused(f"there is no version {version} in MLflow") from error
        if tags.get("gate") == "refused":
            raise ModelRefused(f"the gate refused version {version}: {tags.get('gate_reason', '')}") from error
        raise


def _put_back(target: Target, version: int | None, error: Exception) -> Followed:
    """The alias names what is live again, and the version that it named says why."""
    if version is not None:
        note = f"{datetime.now(UTC).isoformat(timespec='seconds')}: {error}"
        with contextlib.suppress(RegistryRefused):  # the version has been deleted
            target.registry.tag_version(target.model, version, {REFUSED: note[:LONGEST_TAG]})
    live = _look(target)[1]
    if live is None:
        target.registry.remove_alias(target.model)
    else:
        target.registry.set_alias(target.model, live)
    back = f"names version {live} again" if live else "is removed, as nothing is live"
    return Followed(f"the alias {back}: {error}", version)
