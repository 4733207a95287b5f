"""The ledger: one entry for each change of a channel, each naming the SHA-256 of the entry before.

The entry is the change; the channel document is what the last entry says. Not here: writing them
(``pipeline/releases/change.py``) or where they lie (``pipeline/releases/ledger.py``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Literal, get_args

from pipeline.contract import channel as channels
from pipeline.contract.bundle import sha256, to_json
from pipeline.contract.channel import Channel

FORMAT = 1
Kind = Literal["dag", "person", "alias", "automatic"]
Action = Literal[
    "deploy", "rollback", "promote", "canary", "shadow", "stop", "quarantine", "release-quarantine", "undo"
]


class EntryInvalid(ValueError):
    """The document is no entry of a ledger; the message says why."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes a change: a run of a DAG, a person, a move of the alias in MLflow, or a watcher by itself.

    ``url`` is where more is to be seen, or empty.
    """

    kind: Kind
    name: str
    url: str = ""

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind) or not self.name.strip():
            raise ValueError(f"who must be one of {', '.join(get_args(Kind))} with a name, not {self}")

    def __str__(self) -> str:
        return f"{self.name} ({self.kind})"


@dataclass(frozen=True, slots=True)
class Entry:
    """One change: at ``at`` (ISO time, UTC) ``who`` took the channel from ``before`` to ``after``, and ``why``.

    ``certificate`` is the SHA-256 of the certificate of the release that became champion, if one did;
    ``previous`` that of the bytes of the entry before, None in the first.
    """

    at: str
    who: Actor
    action: Action
    why: str
    before: Channel
    after: Channel
    certificate: str | None = None
    previous: str | None = None

    @property
    def generation(self) -> int:
        return self.after.generation

    @property
    def time(self) -> datetime:
        return datetime.fromisoformat(self.at)

    def to_bytes(self) -> bytes:
        channels_too = {"before": _plain(self.before), "after": _plain(self.after)}
        return to_json({"format": FORMAT, "generation": self.generation, **asdict(self), **channels_too})


@dataclass(frozen=True, slots=True)
class Recorded:
    """An entry with the SHA-256 of the bytes it was read from, or was written as."""

    entry: Entry
    digest: str

    @property
    def channel(self) -> Channel:
        """The channel as this entry makes it."""
        return replace(self.entry.after, entry=self.digest)


def read(data: bytes) -> Recorded:
    """Raises ``EntryInvalid`` when the document is not an entry of this format."""
    try:
        document = json.loads(data)
        if document["format"] != FORMAT:
            raise ValueError(f"format {document['format']} is not known here (expected {FORMAT})")
        return Recorded(_entry(document), sha256(data))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise EntryInvalid(f"the ledger entry cannot be read: {error!r}") from error


def _entry(document: Mapping[str, Any]) -> Entry:
    if document["action"] not in get_args(Action):
        raise ValueError(f"{document['action']!r} is no action")
    if datetime.fromisoformat(document["at"]).tzinfo is None:
        raise ValueError(f"{document['at']!r} has no time zone")
    before, after = channels.from_dict(document["before"]), channels.from_dict(document["after"])
    if document["generation"] != after.generation or after.generation != before.generation + 1:
        raise ValueError("its generation is not the one after what was there before")
    if before.model != after.model:
        raise ValueError("it goes from one model to another")
    who, certificate, previous = Actor(**document["who"]), document["certificate"], document["previous"]
    return Entry(document["at"], who, document["action"], str(document["why"]), before, after, certificate, previous)


def _plain(channel: Channel) -> dict[str, Any]:
    """A channel without ``entry``: an entry cannot hold its own hash, and ``previous`` holds the one before."""
    return {name: value for name, value in channel.to_dict().items() if name != "entry"}


def ledger_prefix(model: str) -> str:
    return f"ledger/{model}/"


def entry_key(model: str, generation: int) -> str:
    return f"{ledger_prefix(model)}{generation:010d}.json"
