"""Is the ledger whole? What is wrong with its entries and with the channel that ought to follow from them.

Not here: what an entry is (``ledger.py``), or reading them from a store (``pipeline/releases/ledger.py``).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from pipeline.contract import ledger
from pipeline.contract.bundle import sha256
from pipeline.contract.channel import Channel
from pipeline.contract.ledger import EntryInvalid, Recorded

PENDING = "is in the ledger and not in the channel yet"


@dataclass(frozen=True, slots=True)
class _Link:
    """An object of the ledger: its bytes' hash, and the entry if it is one."""

    key: str
    digest: str
    recorded: Recorded | None
    problem: str = ""


def problems(model: str, objects: Mapping[str, bytes], channel: Channel | None) -> list[str]:
    """What is wrong, a sentence each; nothing if all is well. ``objects`` are all below the ledger's prefix, by key.

    Found are entries that were changed, removed, put elsewhere or cut off at either end, and a channel that is not
    what the last entry says (``None``: it cannot be read). Not found is a whole chain written anew with its channel.
    """
    links = [_link(key, data) for key, data in sorted(objects.items())]
    pairs = itertools.pairwise([None, *links])
    found = [f"{link.key}: {problem}" for before, link in pairs if link for problem in _misfits(model, before, link)]
    return found + list(_of_channel(links[-1] if links else None, channel))


def _link(key: str, data: bytes) -> _Link:
    try:
        return _Link(key, sha256(data), ledger.read(data))
    except EntryInvalid as error:
        return _Link(key, sha256(data), None, str(error))


def _misfits(model: str, before: _Link | None, link: _Link) -> Iterator[str]:
    if link.recorded is None:
        yield link.problem
        return
    entry = link.recorded.entry
    if link.key != ledger.entry_key(entry.after.model, entry.generation) or entry.after.model != model:
        yield f"it holds generation {entry.generation} of {entry.after.model}: it was put elsewhere"
    if before is None and entry.previous is not None:
        yield "the entries before it are missing"
    if before is not None and entry.previous != before.digest:
        yield f"it does not follow {before.key}: that was changed, or entries between them are missing"
    if before is not None and before.recorded is not None:
        yield from _follows(before.recorded, link.recorded)


def _follows(before: Recorded, after: Recorded) -> Iterator[str]:
    if replace(after.entry.before, entry=None) != before.entry.after:
        yield f"it begins with another channel than generation {before.entry.generation} ended with"
    if after.entry.time < before.entry.time:
        yield "it is older than the entry before it"


def _of_channel(last: _Link | None, channel: Channel | None) -> Iterator[str]:
    if channel is None:
        yield "the channel cannot be read"
    elif last is None:
        if channel.entry is not None:
            yield f"the channel follows from the ledger entry {channel.entry[:12]}, and there is no ledger"
    elif last.recorded is not None and channel != last.recorded.channel:
        yield _difference(last.recorded, channel)


def _difference(last: Recorded, channel: Channel) -> str:
    recorded = last.entry.generation
    if channel.generation > recorded:
        return (
            f"the channel is at generation {channel.generation}, the ledger ends with {recorded}: entries are missing"
        )
    if pending(last, channel):
        return f"generation {recorded} {PENDING}: the next change carries it out, or `verify --repair`"
    return f"the channel is not what the entry of generation {recorded} says"


def pending(last: Recorded, channel: Channel) -> bool:
    """Is the channel one behind: was the writer interrupted between entry and channel, or is it just between them?"""
    return replace(channel, entry=None) == last.entry.before and channel.entry == last.entry.previous
