"""What ``GET /v1/model`` answers: which release a serving worker holds, and why not the one it should."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Refusal:
    """A release that a worker would not load, and why."""

    version: int
    digest: str
    reason: str


@dataclass(frozen=True, slots=True)
class Status:
    """The state of one serving worker.

    ``version`` and ``digest`` are of the release that answers now (``None`` before the first);
    ``generation`` is the channel generation last followed; ``since`` (ISO time, UTC) is when it went live;
    ``refusal`` is the last release that was wanted and not loaded; ``store_error`` says why the release
    store could not be read at the last look.
    """

    model: str
    ready: bool
    version: int | None = None
    digest: str | None = None
    data_day: str | None = None
    generation: int | None = None
    since: str | None = None
    refusal: Refusal | None = None
    store_error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Status:
        refusal = document.get("refusal")
        known = {name: document.get(name) for name in cls.__slots__ if name != "refusal"}
        return cls(**known, refusal=Refusal(**refusal) if refusal else None)  # type: ignore[arg-type]
