"""The channel: the small document that says which release ought to be live, and the keys of a release store.

Not here: how it is changed (``pipeline/deploy.py``, by compare-and-swap) or followed (``serving``).
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, replace

from pipeline.contract.bundle import to_json

FORMAT = 1


class ChannelInvalid(ValueError):
    """The channel document cannot be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Release:
    """A release by name: version number, digest of its manifest, newest data day (ISO date) it learned from."""

    version: int
    digest: str
    data_day: str


@dataclass(frozen=True, slots=True)
class Channel:
    """What ought to be live for ``model``. ``generation`` grows by one with each change."""

    model: str
    generation: int = 0
    champion: Release | None = None

    def to_bytes(self) -> bytes:
        return to_json({"format": FORMAT, **asdict(self)})

    def with_champion(self, release: Release | None) -> Channel:
        return replace(self, generation=self.generation + 1, champion=release)


def read(data: bytes) -> Channel:
    """Raises ``ChannelInvalid`` when the document is not a channel of this format."""
    try:
        document = json.loads(data)
        if document["format"] != FORMAT:
            raise ValueError(f"format {document['format']} is not known here (expected {FORMAT})")
        champion = document["champion"]
        return Channel(
            model=str(document["model"]),
            generation=int(document["generation"]),
            champion=None if champion is None else _release(champion),
        )
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ChannelInvalid(f"the channel document cannot be read: {error!r}") from error


def _release(document: dict[str, object]) -> Release:
    version, digest = document["version"], str(document["digest"])
    if type(version) is not int or version < 1 or not re.fullmatch("[0-9a-f]{64}", digest):
        raise ValueError("champion must have a version of 1 or more and a SHA-256 digest")
    return Release(version, digest, str(document["data_day"]))


def channel_key(model: str) -> str:
    return f"channels/{model}.json"


def release_prefix(model: str, version: int) -> str:
    """The prefix under which the files of a release lie, without a final slash."""
    return f"releases/{model}/{version}"
