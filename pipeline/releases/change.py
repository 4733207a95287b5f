"""The one writer of channels: a change is an entry in the ledger, and then the channel that follows from it.

The creation of the entry is the commit. Whoever comes next, after a writer that was killed between the two, carries
it out first; so no change is lost and none is made twice. Not here: which changes there are, or who must follow them.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pipeline.contract import channel as channels
from pipeline.contract import ledger
from pipeline.contract.bundle import CERTIFICATE, MANIFEST, sha256
from pipeline.contract.channel import Channel, Release
from pipeline.contract.ledger import Action, Actor, Entry, Recorded
from pipeline.errors import ChangeRefused, DeployFailed, ModelRefused, StoreUnavailable
from pipeline.releases import SeenChannel, read_channel
from pipeline.releases.ledger import last_generation, read_entry
from pipeline.store import KeyChanged, KeyExists, KeyNotFound, Store

TRIES = 20


@dataclass(frozen=True, slots=True)
class Reason:
    """Who wants a change, which one, and why."""

    who: Actor
    action: Action
    why: str

    def __post_init__(self) -> None:
        if not self.why.strip():
            raise ChangeRefused("a change of what is live must have a reason; say why")


@dataclass(frozen=True, slots=True)
class Change:
    """The channel before and after; the same where nothing had to be changed."""

    before: Channel
    after: Channel

    @property
    def made(self) -> bool:
        return self.before is not self.after


Decide = Callable[[Channel], Channel | None]


def now() -> datetime:
    return datetime.now(UTC)


def change(store: Store, model: str, reason: Reason, decide: Decide, clock: Callable[[], datetime] = now) -> Change:
    """Change the channel of ``model`` to what ``decide`` makes of it, which is asked anew when somebody was faster.

    ``decide`` answers None when all is as it should be, and raises to refuse.

    Raises:
        DeployFailed: others changed it all the time; try again.
        ModelRefused: channel or ledger cannot be read; somebody must repair them.
    """
    for _ in range(TRIES):
        seen = settle(store, model)
        after = decide(seen.channel)
        if after is None:
            return Change(seen.channel, seen.channel)
        recorded = _record(store, reason, seen.channel, after, clock())
        if recorded is not None:
            _carry_out(store, seen, recorded)
            return Change(seen.channel, recorded.channel)
    raise DeployFailed(f"the channel of {model} was changed by others {TRIES} times in a row; run it again")


def settle(store: Store, model: str) -> SeenChannel:
    """The channel, after whatever the ledger says and the channel does not say yet has been carried out.

    A channel that is gone is made anew from the ledger.
    """
    for _ in range(TRIES):
        seen = read_channel(store, model)
        generation = seen.channel.generation
        if seen.etag is not None and read_entry(store, model, generation + 1) is None:
            return seen
        last = last_generation(store, model)
        recorded = read_entry(store, model, last) if last > generation else None
        if recorded is None:
            return seen
        _carry_out(store, seen, recorded)
    raise DeployFailed(f"the channel of {model} does not hold still; run it again")


def _record(store: Store, reason: Reason, before: Channel, after: Channel, at: datetime) -> Recorded | None:
    """Create the entry, which is the commit; None when another change has its place."""
    before, link = replace(before, entry=None), before.entry
    entry = Entry(
        at=max(at, _time_of(store, before)).astimezone(UTC).isoformat(timespec="microseconds"),
        who=reason.who,
        action=reason.action,
        why=reason.why.strip(),
        before=before,
        after=after,
        certificate=_certificate(store, before, after),
        previous=link,
    )
    data = entry.to_bytes()
    if not _create(store, ledger.entry_key(after.model, after.generation), data):
        return None
    return Recorded(entry, sha256(data))


def _time_of(store: Store, channel: Channel) -> datetime:
    """When the generation was made; the next is not older, whatever the clocks of two machines say."""
    try:
        recorded = read_entry(store, channel.model, channel.generation)
    except ModelRefused:  # a damaged ledger is found by `verify` and must not stop a rollback
        recorded = None
    return recorded.entry.time if recorded else datetime.min.replace(tzinfo=UTC)


def _create(store: Store, key: str, data: bytes) -> bool:
    """False when another entry is there. When the answer was lost, the same bytes again are a success."""
    try:
        store.create(key, data)
    except KeyExists:
        return False
    except StoreUnavailable:
        return _create_again(store, key, data)
    return True


def _create_again(store: Store, key: str, data: bytes) -> bool:
    try:
        store.create(key, data)
    except KeyExists:
        return False
    return True


def _carry_out(store: Store, seen: SeenChannel, recorded: Recorded) -> None:
    """Make the channel what the entry says. If it was changed since it was seen, then by somebody who did just that."""
    with contextlib.suppress(KeyChanged):
        store.replace(channels.channel_key(recorded.channel.model), recorded.channel.to_bytes(), seen.etag)


def _certificate(store: Store, before: Channel, after: Channel) -> str | None:
    """The SHA-256 of the certificate of the release that becomes champion, as its manifest says."""
    if after.champion is None or after.champion == before.champion:
        return None
    return _stated(store, after.model, after.champion)


def _stated(store: Store, model: str, release: Release) -> str | None:
    try:
        manifest = store.read(f"{channels.release_prefix(model, release.version)}/{MANIFEST}").data
        stated = json.loads(manifest)["sha256"].get(CERTIFICATE)
    except (KeyNotFound, ValueError, KeyError, AttributeError):
        return None
    return str(stated) if stated else None
