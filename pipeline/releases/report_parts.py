"""What a report is made of, as values. Not here: how they are found (``report_traffic.py`` and its like) or shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.releases.report_statistics import Estimate

LEAST_ROWS = 30  # of which a mean is told; of fewer the bootstrap's interval is too narrow
TRAFFIC, PAIRS, SALES = "traffic", "pairs", "sold prices"


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of both releases and how far apart they are, from so many ``rows`` of each.

    ``kind`` says what ``apart`` is: ``difference`` (B - A), ``ratio`` (B / A), ``relative`` (B - A as a fraction of
    the mean of both) or ``share`` of the rows.
    """

    name: str
    kind: str
    a: float | None
    b: float | None
    apart: Estimate
    rows: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Worst:
    """A row to which both answer far apart."""

    row: Mapping[str, Any]
    a: float
    b: float
    relative: float


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a report; ``absent`` says why there is nothing to tell. ``slices`` are figures too.

    ``deviation`` is that of the paired differences the part is about, None where nothing is paired.
    """

    name: str
    absent: str = ""
    figures: tuple[Figure, ...] = ()
    slices: tuple[Figure, ...] = ()
    quantiles: Mapping[str, float] = field(default_factory=dict)
    worst: tuple[Worst, ...] = ()
    deviation: float | None = None
    notes: tuple[str, ...] = ()
