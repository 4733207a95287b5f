"""What the replicas have counted of champion and challenger since the trial began: read, held, and summed.

Not here: asking them (``plugins/gavel_triggers.py``), judging it (``bake.py``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Counts:
    """Of one release in one role. ``errors`` are among the ``requests``; ``seconds`` has how many took up to so long.

    ``answers``, ``total`` and ``squares`` are count, sum and sum of squares of the first output.
    """

    requests: int = 0
    errors: int = 0
    seconds: Mapping[float, int] = field(default_factory=dict)
    answers: int = 0
    total: float = 0.0
    squares: float = 0.0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.requests + other.requests,
            self.errors + other.errors,
            Counter(self.seconds) + Counter(other.seconds),
            self.answers + other.answers,
            self.total + other.total,
            self.squares + other.squares,
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """Champion and challenger side by side. ``since`` is when the challenger's counting began, or empty."""

    champion: Counts = Counts()
    challenger: Counts = Counts()
    since: str = ""

    def __add__(self, other: Reading) -> Reading:
        return Reading(self.champion + other.champion, self.challenger + other.challenger)


def parse(document: Mapping[str, Any], digest: str) -> Reading | None:
    """What ``GET /v1/variants`` of a replica says; None when the release of ``digest`` is not its challenger.

    Raises:
        ValueError: it says something else.
    """
    try:
        challenger, champion = document["challenger"], document["champion"]
        if challenger is None or champion is None or challenger["digest"] != digest:
            return None
        return Reading(_counts(champion), _counts(challenger), str(challenger["since"]))
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise ValueError(f"this is not what a replica counts: {error!r}") from error


def parse_workers(document: Mapping[str, Any], digest: str) -> dict[str, Reading]:
    """The same of each worker that has the release of ``digest`` as its challenger, by the worker's name.

    Raises:
        ValueError: it says something else.
    """
    try:
        found = {str(each["worker"]): parse(each, digest) for each in document["by_worker"]}
    except (KeyError, TypeError) as error:
        raise ValueError(f"this is not what a replica counts: {error!r}") from error
    return {worker: reading for worker, reading in found.items() if reading is not None}


def _counts(told: Mapping[str, Any]) -> Counts:
    answers = told["answers"]
    return Counts(
        int(told["requests"]),
        int(told["errors"]),
        {float(seconds): int(many) for seconds, many in told["seconds"]["buckets"]},
        int(answers["count"]),
        float(answers["sum"]),
        float(answers["squares"]),
    )


class Held:
    """The newest reading of each worker. One that is replaced takes nothing along: what it had counted is kept."""

    def __init__(self) -> None:
        self._readings: dict[tuple[str, str], Reading] = {}

    def put(self, readings: Mapping[str, Reading]) -> None:
        for worker, reading in readings.items():
            self._readings[worker, reading.since] = reading

    def sum(self) -> Reading:
        return sum(self._readings.values(), Reading())
