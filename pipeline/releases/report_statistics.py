"""How far apart two releases are, and how sure that is: estimates with their 95 % intervals. Pure functions.

Swapping the two turns every sign around. Not here: where the figures come from (``report_traffic.py`` and its like).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from pipeline.bake import quantile as place_of
from pipeline.variant_counts import Counts

Floats = npt.NDArray[np.float64]

Z, POWER_Z = 1.959964, 0.841621  # of 95 % confidence, and of finding in four of five cases what is there
RESAMPLES, MEDIAN_RESAMPLES = 2_000, 600
GROUPS = 1_000  # a mean of many rows is resampled by groups of them: the same interval, soon
SEED = 20_150_601  # the same rows give the same report
PLACE = 1.1  # a place of the replicas' histogram of seconds ends so many times later than it begins
TIE = 1e-12


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def sure(self) -> bool:
        """Chance does not explain that it is not zero."""
        return self.low > 0 or self.high < 0


def share(hits: float, count: float) -> Estimate:
    """A share with Wilson's score interval (1927)."""
    rate, square = hits / count, Z * Z
    middle = (rate + square / (2 * count)) / (1 + square / count)
    margin = Z * math.sqrt(rate * (1 - rate) / count + square / (4 * count * count)) / (1 + square / count)
    return Estimate(rate, min(rate, max(0.0, middle - margin)), max(rate, min(1.0, middle + margin)))


def difference(a: Estimate, b: Estimate) -> Estimate:
    """B - A of independent estimates. Of shares it is Newcombe's interval (1998, method 10); Zou and Donner 2008."""
    apart = b.value - a.value
    low = apart - math.hypot(b.value - b.low, a.high - a.value)
    return Estimate(apart, low, apart + math.hypot(b.high - b.value, a.value - a.low))


def ratio(a: Estimate, b: Estimate) -> Estimate:
    """B / A of independent estimates above zero: the difference of their logarithms."""
    logs = [Estimate(*(math.log(each) for each in (one.value, one.low, one.high))) for one in (a, b)]
    apart = difference(*logs)
    return Estimate(*(math.exp(each) for each in (apart.value, apart.low, apart.high)))


def latency(places: Mapping[float, int], part: float) -> Estimate:
    """A quantile of a histogram, in the middle of its place; the interval is that of its rank, with whole places."""
    error = Z * math.sqrt(part * (1 - part) / sum(places.values()))
    low, value, high = (place_of(places, each) for each in (part - error, part, part + error))
    return Estimate(value / math.sqrt(PLACE), low / PLACE, high)


def mean_difference(a: Counts, b: Counts) -> Estimate | None:
    """B - A of the mean answers, by Welch's t interval (1947); None when either has answered fewer than two.

    Rows of one request are alike, so requests count, not rows.
    """
    (mean_a, error_a, free_a), (mean_b, error_b, free_b) = _mean(a), _mean(b)
    if min(free_a, free_b) < 1:
        return None
    apart, squares = mean_b - mean_a, error_a**2 + error_b**2
    if not squares:
        return Estimate(apart, apart, apart)
    freedom = squares**2 / (error_a**4 / free_a + error_b**4 / free_b)
    margin = float(stats.t.ppf(0.975, freedom)) * math.sqrt(squares)
    return Estimate(apart, apart - margin, apart + margin)


def _mean(counts: Counts) -> tuple[float, float, int]:
    """Mean of the answers, its standard error, and the degrees of freedom."""
    count, many = counts.answers, min(counts.answers, counts.requests - counts.errors)
    if many < 2:  # noqa: PLR2004  a variance needs two
        return 0.0, 0.0, 0
    mean = counts.total / count
    variance = max(0.0, counts.squares - counts.total * mean) / (count - 1)
    return mean, math.sqrt(variance / many), many - 1


def relative(a: Floats, b: Floats) -> Floats:
    """B - A as a fraction of the mean of both sizes: between -2 and 2, so that no single row rules a mean."""
    size = (np.abs(a) + np.abs(b)) / 2
    return np.divide(b - a, size, out=np.zeros_like(size), where=size > 0)


def mean(values: Floats, weights: Floats | None = None) -> Estimate:
    """Of shape (n,), n >= 1, with the percentile bootstrap (Efron and Tibshirani 1993); of pairs' differences: paired.

    A row of weight w stands for w rows that were seen.
    """
    weights = np.ones(len(values)) if weights is None else weights
    value = float(np.average(values, weights=weights))
    if np.ptp(values) == 0:
        return Estimate(value, value, value)
    random = np.random.default_rng(SEED)
    sums, sizes = _groups(values * weights, weights, random)
    drawn = random.integers(0, len(sums), (RESAMPLES, len(sums)), dtype=np.int32)
    low, high = np.quantile(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1), [0.025, 0.975])
    return Estimate(value, min(value, float(low)), max(value, float(high)))


def _groups(sums: Floats, sizes: Floats, random: np.random.Generator) -> tuple[Floats, Floats]:
    """At most ``GROUPS`` sums of rows that chance has put together."""
    if len(sums) <= GROUPS:
        return sums, sizes
    group = random.permutation(len(sums)) % GROUPS
    return np.bincount(group, sums, GROUPS).astype(float), np.bincount(group, sizes, GROUPS).astype(float)


def median(values: Floats, weights: Floats) -> Estimate:
    """Of shape (n,), n >= 1, with the percentile bootstrap."""
    order = np.argsort(values, kind="stable")
    ordered, random, count = values[order], np.random.default_rng(SEED), len(values)
    draws = (np.bincount(random.integers(0, count, count), minlength=count) for _ in range(MEDIAN_RESAMPLES))
    found = [_quantile(ordered, (draw * weights)[order], 0.5) for draw in draws]
    value, (low, high) = _quantile(ordered, weights[order], 0.5), np.quantile(found, [0.025, 0.975])
    return Estimate(value, min(value, float(low)), max(value, float(high)))


def quantile(values: Floats, weights: Floats, part: float) -> float:
    """Where the share ``part`` of the weight lies below; in the middle between two rows where it falls between them."""
    order = np.argsort(values, kind="stable")
    return _quantile(values[order], weights[order], part)


def _quantile(values: Floats, weights: Floats, part: float) -> float:
    below = np.cumsum(weights)
    wanted, last = part * below[-1], len(values) - 1
    first = int(np.searchsorted(below, wanted * (1 - TIE), side="left"))
    second = int(np.searchsorted(below, wanted * (1 + TIE), side="right"))
    return float(values[min(first, last)] + values[min(second, last)]) / 2


def share_of(hits: npt.NDArray[np.bool_], weights: Floats) -> Estimate:
    """The weighted share of rows, with Wilson's interval for as many rows as the weights are worth (Kish 1965)."""
    worth = float(weights.sum() ** 2 / np.square(weights).sum())
    return share(float(np.average(hits, weights=weights)) * worth, worth)


def rows_needed(apart: float, deviation: float) -> int | None:
    """Pairs it takes to find a mean difference ``apart`` in four of five cases; None when there is none to be found."""
    if not apart:
        return None
    needed = ((Z + POWER_Z) * deviation / apart) ** 2
    return math.ceil(needed) if math.isfinite(needed) else None
