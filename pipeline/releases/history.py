"""What was live when, and is the record whole: questions to the ledger and the releases.

Not here: how they are asked and shown (``__main__.py``), how two releases differ (``difference.py``).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pipeline.contract import chain, ledger
from pipeline.contract.bundle import MANIFEST
from pipeline.contract.channel import Channel, Release
from pipeline.contract.ledger import Entry
from pipeline.errors import ModelRefused
from pipeline.releases import find_release, read_channel
from pipeline.releases.change import settle
from pipeline.releases.ledger import read_entries
from pipeline.store import KeyNotFound, Store

LOOKS, PAUSE_SECONDS = 3, 1.0
NEVER, EARLIER, QUARANTINED = "never live", "earlier", "quarantined"


@dataclass(frozen=True, slots=True)
class Version:
    """A release and its state (champion, challenger, shadow, quarantined, earlier, never live): since when, by whom."""

    version: int
    digest: str
    data_day: str
    state: str
    since: str = ""
    who: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Moment:
    """What the channel named at ``time``. ``entry`` is the change that had made it so, None before the first."""

    time: datetime
    channel: Channel
    entry: Entry | None
    message: str


def versions(store: Store, model: str) -> list[Version]:
    """Every release that is published, the newest version first."""
    channel, entries = read_channel(store, model).channel, [each.entry for each in read_entries(store, model)]
    known = _named(channel, entries)
    prefix = f"releases/{model}/"
    keys = (key.removeprefix(prefix).split("/") for key in store.keys(prefix))
    numbers = {int(parts[0]) for parts in keys if parts[1:] == [MANIFEST] and parts[0].isdecimal()}
    return [
        _version(known.get(number) or _read(store, model, number), channel, entries)
        for number in sorted(numbers, reverse=True)
    ]


def _named(channel: Channel, entries: list[Entry]) -> dict[int, Release]:
    seen = [*(each for entry in entries for each in (entry.before, entry.after)), channel]
    return {release.version: release for each in seen for _, release in each.roles()}


def _read(store: Store, model: str, number: int) -> Release:
    """A release that never was live: only its own manifest knows its day."""
    try:
        return find_release(store, model, number)[0]
    except ModelRefused:
        return Release(number, "", "damaged")


def _version(release: Release, channel: Channel, entries: list[Entry]) -> Version:
    """Its state in the channel, and the entry that brought it into it."""
    state, since = NEVER, None
    for entry in entries:
        before, state = state, _state(release.version, entry.after, state)
        since = entry if state != before else since
    state = _state(release.version, channel, state)
    told = (since.at, str(since.who), since.why) if since else ()
    return Version(release.version, release.digest, release.data_day, state, *told)


def _state(version: int, channel: Channel, before: str) -> str:
    for role, release in channel.roles():
        if release.version == version:
            return role
    if version in channel.quarantined:
        return QUARANTINED
    return NEVER if before == NEVER else EARLIER


def changes_of(store: Store, model: str, version: int) -> list[Entry]:
    """The changes that gave a version another state, the oldest first."""
    found, state = [], NEVER
    for recorded in read_entries(store, model):
        before, state = state, _state(version, recorded.entry.after, state)
        found += [recorded.entry] if state != before else []
    return found


def live_at(store: Store, model: str, moment: datetime) -> Moment:
    """What the channel named at a moment, which must have a time zone."""
    entries = [each.entry for each in read_entries(store, model)]
    past = [entry for entry in entries if entry.time <= moment]
    if past:
        return Moment(moment, past[-1].after, past[-1], f"generation {past[-1].generation}, since {past[-1].at}")
    if not entries:
        return Moment(moment, Channel(model), None, "there is no change on record")
    first = entries[0]
    unknown = f"; version {first.before.champion.version} was live before it" if first.before.champion else ""
    return Moment(moment, Channel(model), None, f"the first change on record is of {first.at}{unknown}")


def verify(store: Store, model: str, pause: float = PAUSE_SECONDS) -> list[str]:
    """What is wrong with ledger and channel. A writer that is just between the two is waited for."""
    for _ in range(LOOKS):
        found = _look(store, model)
        if not any(chain.PENDING in problem for problem in found):
            break
        time.sleep(pause)
    return found


def repair(store: Store, model: str) -> Channel:
    """Carry out what the ledger says and the channel does not say yet; make a channel that is gone anew."""
    return settle(store, model).channel


def _look(store: Store, model: str) -> list[str]:
    try:
        channel: Channel | None = read_channel(store, model).channel
    except ModelRefused:
        channel = None
    return chain.problems(model, _objects(store, model), channel)


def _objects(store: Store, model: str) -> Mapping[str, bytes]:
    found = {}
    for key in store.keys(ledger.ledger_prefix(model)):
        try:
            found[key] = store.read(key).data
        except KeyNotFound:
            continue
    return found
