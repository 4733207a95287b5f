"""How a challenger does beside the champion: is a limit broken, and what came of it in the end? Pure functions.

A limit is broken when the figure is beyond it and noise does not explain that. Not here: the counting (``serving``),
the watching (``plugins/gavel_triggers.py``), what follows (``asked_change.py``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pipeline.errors import ChangeRefused
from pipeline.variant_counts import Counts, Reading

# Standard errors of an estimate that count as noise: one good challenger in 700 is further off at a single look.
NOISE = 3.0
# Before there are enough requests only what is this many times over its limit is a breach, after so many of them.
GROSS, FEWEST = 10.0, 20
GROSS_ERROR_RATE = 0.5
SLOW = 0.95

End = Literal["good", "breach", "few", "gone"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a challenger may not exceed; a figure without a limit is not looked at.

    ``max_error_rate`` is a share of its requests, ``max_latency_ratio`` its 95th percentile over the champion's,
    ``max_answer_drift`` how far its mean answer may be from the champion's, as a fraction. Nothing is judged before
    either has answered ``least_requests``, save what is beyond all measure. Raises ``ChangeRefused``.
    """

    max_error_rate: float | None = None
    max_latency_ratio: float | None = None
    max_answer_drift: float | None = None
    least_requests: int = 200

    def __post_init__(self) -> None:
        if self.max_error_rate is None and self.max_latency_ratio is None and self.max_answer_drift is None:
            raise ChangeRefused("a bake with no limits is refused; set the error rate, latency ratio or answer drift")
        _within("max_error_rate", self.max_error_rate, 0, 1)
        _within("max_latency_ratio", self.max_latency_ratio, 1, math.inf)
        _within("max_answer_drift", self.max_answer_drift, 0, math.inf)
        _within("least_requests", self.least_requests, 1, math.inf)


def _within(name: str, value: float | None, least: float, most: float) -> None:
    if value is not None and not (least <= value <= most and math.isfinite(value)):
        bounds = f"{least:g} or more" if most == math.inf else f"between {least:g} and {most:g}"
        raise ChangeRefused(f"{name} must be {bounds}, not {value}")


@dataclass(frozen=True, slots=True)
class Breach:
    """A limit that was broken; ``text`` says it for people."""

    figure: str
    value: float
    limit: float
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a bake came to: good, a breach, too few requests to tell, or the challenger is gone."""

    end: End
    text: str


def look(reading: Reading, limits: Limits) -> Breach | None:
    """The first limit that is broken beyond what noise explains."""
    factor = 1.0
    if not enough(reading, limits):
        if reading.challenger.requests < FEWEST:
            return None
        factor = GROSS
    found = (judge(reading, limits, factor) for judge in (_errors, _latency, _drift))
    return next((breach for breach in found if breach), None)


def enough(reading: Reading, limits: Limits) -> bool:
    return min(reading.challenger.requests, reading.champion.requests) >= limits.least_requests


def verdict(reading: Reading, limits: Limits) -> Verdict:
    """At the end of the window."""
    breach = look(reading, limits)
    if breach:
        return Verdict("breach", breach.text)
    mine, champion = reading.challenger, reading.champion
    seen = f"{mine.requests} requests to the challenger and {champion.requests} to the champion"
    if not enough(reading, limits):
        return Verdict("few", f"too few requests came to tell: {seen}, {limits.least_requests} of each are needed")
    return Verdict("good", f"within all limits after {seen}")


def _errors(reading: Reading, limits: Limits, factor: float) -> Breach | None:
    limit, counts = limits.max_error_rate, reading.challenger
    if limit is None or not counts.requests:
        return None
    bound = limit if factor == 1 else min(limit * factor, max(limit, GROSS_ERROR_RATE))
    if wilson_lower(counts.errors, counts.requests) <= bound:
        return None
    rate = counts.errors / counts.requests
    text = f"it fails {rate:.1%} of its requests ({counts.errors} of {counts.requests}), allowed is {limit:.3g}"
    return Breach("error rate", rate, limit, text)


def _latency(reading: Reading, limits: Limits, factor: float) -> Breach | None:
    limit, mine, champion = limits.max_latency_ratio, reading.challenger.seconds, reading.champion.seconds
    if limit is None or not mine or not champion:
        return None
    surely = quantile(mine, SLOW - _rank_error(mine)) / quantile(champion, SLOW + _rank_error(champion))
    if surely <= limit * factor:
        return None
    slow, usual = quantile(mine, SLOW), quantile(champion, SLOW)
    text = (
        f"its 95th percentile takes {1000 * slow:.3g} ms, {slow / usual:.1f} times the champion's "
        f"{1000 * usual:.3g} ms, allowed is {limit:g} times"
    )
    return Breach("latency ratio", slow / usual, limit, text)


def _drift(reading: Reading, limits: Limits, factor: float) -> Breach | None:
    limit = limits.max_answer_drift
    mine, champion = _mean(reading.challenger), _mean(reading.champion)
    if limit is None or mine is None or champion is None or not champion[0]:
        return None
    ratio = mine[0] / champion[0]
    error = math.hypot(mine[1], ratio * champion[1]) / abs(champion[0])
    if not abs(ratio - 1) - NOISE * error > limit * factor:
        return None
    text = (
        f"its mean answer is {mine[0]:.6g}, the champion's {champion[0]:.6g}: {ratio - 1:+.1%}, "
        f"allowed is {limit:.1%} either way"
    )
    return Breach("answer drift", abs(ratio - 1), limit, text)


def wilson_lower(hits: int, count: int) -> float:
    """The lower end of Wilson's score interval for a share (Wilson 1927), ``NOISE`` standard errors wide."""
    share, square = hits / count, NOISE * NOISE
    middle = share + square / (2 * count)
    margin = NOISE * math.sqrt(share * (1 - share) / count + square / (4 * count * count))
    return max(0.0, (middle - margin) / (1 + square / count))


def quantile(places: Mapping[float, int], share: float) -> float:
    """The upper end of the place where the quantile falls; ``share`` beyond 0 and 1 is the smallest or largest."""
    count, seen, ordered = sum(places.values()), 0, sorted(places.items())
    for seconds, many in ordered:
        seen += many
        if seen >= share * count and seen > 0:
            return seconds
    return ordered[-1][0]


def _rank_error(places: Mapping[float, int]) -> float:
    """How far the rank of the 95th percentile may be off by chance: binomial, ``NOISE`` standard errors."""
    return NOISE * math.sqrt(SLOW * (1 - SLOW) / sum(places.values()))


def _mean(counts: Counts) -> tuple[float, float] | None:
    """Mean of the answers and its standard error. Rows of one request are alike, so requests count, not rows."""
    count, requests = counts.answers, counts.requests - counts.errors
    if count < 2 or requests < 2:  # noqa: PLR2004  a variance needs two
        return None
    mean = counts.total / count
    variance = max(0.0, counts.squares - counts.total * mean) / (count - 1)
    return mean, math.sqrt(variance / min(count, requests))
