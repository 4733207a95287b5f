"""What is counted of one release in one role by one worker, as plain numbers, and the sum of several workers'.

A tally begins when its release takes the role and only grows, so two readings give what was between them.
Not here: who counts (``doors/door.py``, ``shadow.py``), or the figures for Prometheus (``metrics.py``).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np

from pipeline.contract.schema import RowsInvalid
from serving import metrics
from serving.errors import RequestRefused
from serving.release import AnswerTable, LoadedRelease

# A place in the histogram is a tenth wider than the one before it: a quantile is off by 5 % at most.
WIDTH = math.log(1.1)
SHORTEST_SECONDS = 1e-5
FEW = 16  # up to so many rows plain Python is faster than numpy
QUANTILES = (0.5, 0.9, 0.99)


class Figures(msgspec.Struct, frozen=True):
    """A reading of a tally. ``places`` is the histogram: how many requests took up to ``seconds_of(place)``.

    ``refused`` were the client's fault; ``errors`` are failures and answers that are not finite. ``answers``,
    ``total`` and ``squares`` are count, sum and sum of squares of the first output.
    """

    version: int
    digest: str
    since: str
    requests: int = 0
    refused: int = 0
    errors: int = 0
    dropped: int = 0
    seconds: float = 0.0
    places: dict[int, int] = {}
    answers: int = 0
    total: float = 0.0
    squares: float = 0.0


class Tally:
    """Counts for one release in one role. One thread counts, any may read."""

    def __init__(self, role: str, release: LoadedRelease) -> None:
        self.role, self.digest, self._version = role, release.digest, release.version
        self._since = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._metrics = metrics.of_variant(role, release.version)
        self._requests = self._refused = self._errors = self._answers = self._dropped = 0
        self._seconds = self._total = self._squares = 0.0
        self._places: Counter[int] = Counter()

    def answered(self, table: AnswerTable, seconds: float) -> None:
        """A request was answered with ``table``. One value that is not finite is an error of the release."""
        total, squares = _few_sums(table.tolist()) if len(table) <= FEW else _sums(table)
        if not math.isfinite(squares):
            self._error(seconds)
            return
        self._took(seconds)
        self._answers += len(table)
        self._total += total
        self._squares += squares
        self._metrics.answered(len(table), total, squares)

    def failed(self, error: Exception, seconds: float) -> None:
        """A request got no answer."""
        if isinstance(error, RequestRefused) or (isinstance(error, RowsInvalid) and not _is_no_price(error)):
            self._refused += 1
        else:
            self._error(seconds)

    def dropped(self) -> None:
        """A request was passed over."""
        self._dropped += 1

    def _error(self, seconds: float) -> None:
        self._errors += 1
        self._metrics.errors.inc()
        self._took(seconds)

    def _took(self, seconds: float) -> None:
        self._requests += 1
        self._seconds += seconds
        self._places[max(0, math.ceil(math.log(seconds / SHORTEST_SECONDS) / WIDTH)) if seconds > 0 else 0] += 1
        self._metrics.took(seconds)

    @property
    def errors(self) -> int:
        return self._errors

    def figures(self) -> Figures:
        return Figures(
            self._version,
            self.digest,
            self._since,
            self._requests,
            self._refused,
            self._errors,
            self._dropped,
            self._seconds,
            dict(self._places.copy()),
            self._answers,
            self._total,
            self._squares,
        )


def _few_sums(rows: list[list[float]]) -> tuple[float, float]:
    """As ``_sums``, for a few rows ten times as fast."""
    if not all(math.isfinite(value) for row in rows for value in row):
        return math.nan, math.nan
    return sum(row[0] for row in rows), sum(row[0] * row[0] for row in rows)


def _sums(table: AnswerTable) -> tuple[float, float]:
    """Sum and sum of squares of the first output; not finite when any answer is not."""
    if not np.isfinite(table).all():
        return math.nan, math.nan
    with np.errstate(over="ignore"):
        return float(table[:, 0].sum()), float(np.square(table[:, 0]).sum())


def _is_no_price(error: RowsInvalid) -> bool:
    return all(each.code == "no_price" for each in error.errors)


def seconds_of(place: int) -> float:
    """The upper end of a place in the histogram."""
    return SHORTEST_SECONDS * math.exp(place * WIDTH)


def summed(parts: Sequence[Figures]) -> Figures:
    """The sum of what several workers counted of the same release in the same role, since the first of them began."""
    first = parts[0]
    places: Counter[int] = Counter()
    for each in parts:
        places.update(each.places)
    sums = {name: sum(getattr(each, name) for each in parts) for name in SUMS}
    return Figures(first.version, first.digest, min(each.since for each in parts), places=dict(places), **sums)


SUMS = ("requests", "refused", "errors", "dropped", "seconds", "answers", "total", "squares")


def document(figures: Figures) -> dict[str, Any]:
    """The figures as ``GET /v1/variants`` tells them."""
    count, places = sum(figures.places.values()), sorted(figures.places.items())
    latency = {f"p{round(100 * each)}": _quantile(places, count, each) for each in QUANTILES}
    mean = figures.total / figures.answers if figures.answers else None
    return {
        "version": figures.version,
        "digest": figures.digest,
        "since": figures.since,
        "requests": figures.requests,
        "refused": figures.refused,
        "errors": figures.errors,
        "seconds": {
            "count": count,
            "sum": figures.seconds,
            **latency,
            "buckets": [[seconds_of(place), many] for place, many in places],
        },
        "answers": {
            "count": figures.answers,
            "mean": mean,
            "variance": _variance(figures),
            "sum": figures.total,
            "squares": figures.squares,
        },
    }


def _quantile(places: Sequence[tuple[int, int]], count: int, share: float) -> float | None:
    """In the middle of the place where it falls."""
    seen = 0
    for place, many in places:
        seen += many
        if seen >= share * count:
            return seconds_of(place) * math.exp(-WIDTH / 2)
    return None


def _variance(figures: Figures) -> float | None:
    """Of a sample: over n - 1."""
    n = figures.answers
    return max(0.0, figures.squares - figures.total**2 / n) / (n - 1) if n > 1 else None
