"""The channel: the small document that says which releases ought to be live, and the keys of a release store.

Not here: how it is changed (``pipeline/releases/change.py``, through the ledger) or followed (``serving``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from pipeline.contract.bundle import to_json

FORMAT = 2
FORMATS = (1, 2)  # 1 knew the champion only
MAX_SHARE = 0.5  # a challenger that answers more than the champion is no canary
DIGEST = re.compile("[0-9a-f]{64}")


class ChannelInvalid(ValueError):
    """The channel document cannot be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Release:
    """A release by name: version number, digest of its manifest, newest data day (ISO date) it learned from."""

    version: int
    digest: str
    data_day: str


@dataclass(frozen=True, slots=True)
class Challenger:
    """A release on trial that answers ``share`` of the requests, above 0 and at most ``MAX_SHARE``."""

    release: Release
    share: float

    def __post_init__(self) -> None:
        if type(self.share) is not float or not 0 < self.share <= MAX_SHARE:
            raise ValueError(f"the challenger's share must be above 0 and at most {MAX_SHARE:g}, not {self.share!r}")


@dataclass(frozen=True, slots=True)
class Channel:
    """What ought to be live for ``model``. ``generation`` grows by one with each change.

    ``shadow`` answers copies of requests that nobody sees; ``quarantined`` are the versions that may not be live,
    ascending; ``entry`` is the SHA-256 of the ledger entry that made this generation. Raises ``ValueError`` when a
    version has two roles or is quarantined and has one.
    """

    model: str
    generation: int = 0
    champion: Release | None = None
    challenger: Challenger | None = None
    shadow: Release | None = None
    quarantined: tuple[int, ...] = ()
    entry: str | None = None

    def __post_init__(self) -> None:
        live = [release.version for _, release in self.roles()]
        if len(live) != len(set(live)):
            raise ValueError("a version may be only one of champion, challenger and shadow")
        if refused := set(live) & set(self.quarantined):
            raise ValueError(f"version {min(refused)} is quarantined and may not be live")

    def roles(self) -> tuple[tuple[str, Release], ...]:
        """The releases that ought to be loaded, each with its role: champion, challenger, shadow."""
        challenger = self.challenger.release if self.challenger else None
        roles = (("champion", self.champion), ("challenger", challenger), ("shadow", self.shadow))
        return tuple((role, release) for role, release in roles if release is not None)

    def changed(self, **members: Any) -> Channel:
        """The next generation, with other members; its ledger entry is not known yet."""
        return replace(self, **{"generation": self.generation + 1, "entry": None, **members})

    def without(self, version: int) -> Channel:
        """The same generation with no challenger and no shadow of this version."""
        challenger, shadow = self.challenger, self.shadow
        return replace(
            self,
            challenger=None if challenger and challenger.release.version == version else challenger,
            shadow=None if shadow and shadow.version == version else shadow,
        )

    def with_champion(self, release: Release | None) -> Channel:
        """The next generation with this champion; a challenger or shadow of the same version loses that role."""
        return (self.without(release.version) if release else self).changed(champion=release)

    def to_dict(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self), "quarantined": list(self.quarantined)}

    def to_bytes(self) -> bytes:
        return to_json(self.to_dict())


def read(data: bytes) -> Channel:
    """Raises ``ChannelInvalid`` when the document is not a channel of a format known here."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ChannelInvalid(f"the channel document cannot be read: {error!r}") from error
    return from_dict(document)


def from_dict(document: Mapping[str, Any]) -> Channel:
    """The channel that ``to_dict`` wrote. Raises ``ChannelInvalid``."""
    try:
        if document["format"] not in FORMATS:
            raise ValueError(f"format {document['format']} is not known here (expected {FORMAT})")
        known = document if document["format"] == FORMAT else {"champion": document["champion"]}
        return Channel(
            model=str(document["model"]),
            generation=_number(document["generation"], 0),
            champion=_release(known["champion"]),
            challenger=_challenger(known.get("challenger")),
            shadow=_release(known.get("shadow")),
            quarantined=tuple(sorted({_number(version, 1) for version in known.get("quarantined", ())})),
            entry=None if known.get("entry") is None else _digest(known["entry"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ChannelInvalid(f"the channel document cannot be read: {error!r}") from error


def _challenger(document: Mapping[str, Any] | None) -> Challenger | None:
    if document is None:
        return None
    release, share = _release(document["release"]), document["share"]
    if release is None or type(share) not in {int, float}:
        raise ValueError("challenger must have a release and a share")
    return Challenger(release, float(share))


def _release(document: Mapping[str, Any] | None) -> Release | None:
    if document is None:
        return None
    return Release(_number(document["version"], 1), _digest(document["digest"]), str(document["data_day"]))


def _number(value: object, least: int) -> int:
    if type(value) is not int or value < least:
        raise ValueError(f"{value!r} is not a whole number of {least} or more")
    return value


def _digest(value: object) -> str:
    if not isinstance(value, str) or not DIGEST.fullmatch(value):
        raise ValueError(f"{str(value)[:80]!r} is not a SHA-256 digest")
    return value


def channel_key(model: str) -> str:
    return f"channels/{model}.json"


def release_prefix(model: str, version: int) -> str:
    """The prefix under which the files of a release lie, without a final slash."""
    return f"releases/{model}/{version}"


def candidate_prefix(model: str, version: int) -> str:
    """The prefix under which a bundle lies that the gate asks servers to try, without a final slash."""
    return f"candidates/{model}/{version}"
