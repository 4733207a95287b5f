"""The statistics of a report: intervals hold what is true, swapping turns the sign, and alike is zero."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.releases import report_statistics as statistics
from pipeline.releases.report_statistics import Estimate
from pipeline.variant_counts import Counts

ROUNDS = 150
FEW = settings(max_examples=12, derandomize=True, deadline=None)
seeds = st.integers(0, 10**6)


def counted(answers: np.ndarray, errors: int = 0) -> Counts:
    places = Counter(1.1 ** math.ceil(math.log(each, 1.1)) for each in np.abs(answers) / 1e6 + 1e-5)
    return Counts(len(answers) + errors, errors, places, len(answers), float(answers.sum()), float((answers**2).sum()))


def covered(estimates: list[Estimate], truth: float) -> float:
    return sum(each.low <= truth <= each.high for each in estimates) / len(estimates)


def turned(one: Estimate) -> tuple[float, float, float]:
    return -one.value, -one.high, -one.low


def figures(one: Estimate | None) -> tuple[float, float, float]:
    assert one is not None
    return one.value, one.low, one.high


@pytest.mark.parametrize(("p", "q", "n", "m"), [(0.01, 0.03, 400, 80), (0.5, 0.5, 60, 60), (0.0, 0.02, 1000, 200)])
def test_newcombes_interval_covers(p: float, q: float, n: int, m: int) -> None:
    """Of the difference of two error rates, also small ones of few requests."""
    random = np.random.default_rng(1)
    found = [
        statistics.difference(statistics.share(a, n), statistics.share(b, m))
        for a, b in zip(random.binomial(n, p, 2000).tolist(), random.binomial(m, q, 2000).tolist(), strict=True)
    ]
    assert covered(found, q - p) >= 0.93


def test_a_known_newcombe_interval() -> None:
    """Newcombe 1998, table II (a): 56/70 and 48/80."""
    found = statistics.difference(statistics.share(48, 80), statistics.share(56, 70))
    assert figures(found) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)


def test_welchs_interval_covers() -> None:
    """Of the difference of two means with other spreads and numbers."""
    random = np.random.default_rng(2)
    found = []
    for _ in range(ROUNDS):
        a, b = random.lognormal(9, 0.5, 400), 1.1 * random.lognormal(9, 0.6, 90)
        found.append(statistics.mean_difference(counted(a), counted(b)))
    truth = 1.1 * math.exp(9 + 0.18) - math.exp(9 + 0.125)
    assert 0.91 <= covered([each for each in found if each], truth) <= 0.99


def test_the_bootstraps_intervals_cover() -> None:
    """Of mean and median of a skewed distribution, by groups where rows are many, and with weights."""
    random = np.random.default_rng(3)
    few, many, medians = [], [], []
    for _ in range(ROUNDS):
        values = random.exponential(1, 150)
        weights = np.where(np.arange(150) < 50, 7.0, 1.0)
        few.append(statistics.mean(values, weights))
        many.append(statistics.mean(random.exponential(1, 5_000)))
        medians.append(statistics.median(values[:60], np.ones(60)) if len(medians) < 60 else medians[-1])
    assert 0.88 <= covered(few, 1.0) <= 0.99
    assert 0.91 <= covered(many, 1.0) <= 0.99
    assert covered(medians[:60], math.log(2)) >= 0.88


def test_the_interval_of_a_ratio_of_quantiles_covers() -> None:
    """Of latencies that are known by place of a histogram only."""
    random = np.random.default_rng(4)
    found = []
    for _ in range(ROUNDS):
        a, b = random.lognormal(9, 0.5, 500), 1.3 * random.lognormal(9, 0.5, 100)
        found.append(statistics.ratio(*(statistics.latency(counted(each).seconds, 0.95) for each in (a, b))))
    assert covered(found, 1.3) >= 0.93
    assert np.mean([each.high - each.low for each in found]) < 1.5


@FEW
@given(seed=seeds, n=st.integers(2, 1500), scale=st.floats(0.5, 2))
def test_swapping_turns_the_sign(seed: int, n: int, scale: float) -> None:
    """Of every difference, with its interval; a ratio is turned upside down."""
    random = np.random.default_rng(seed)
    a, b = random.lognormal(9, 0.5, n), scale * random.lognormal(9, 0.5, n)
    weights = random.choice([1.0, 3.7], n)
    one, other = counted(a, errors=1), counted(b, errors=3)
    apart = statistics.relative(a, b)
    assert np.array_equal(statistics.relative(b, a), -apart)
    for there, back in [
        (statistics.mean(apart, weights), statistics.mean(-apart, weights)),
        (statistics.median(apart[:200], weights[:200]), statistics.median(-apart[:200], weights[:200])),
        (statistics.mean_difference(one, other), statistics.mean_difference(other, one)),
        tuple(
            statistics.difference(*(statistics.share(each.errors, each.requests) for each in pair))
            for pair in ((one, other), (other, one))
        ),
    ]:
        assert back is not None
        assert figures(there) == pytest.approx(turned(back), rel=1e-6, abs=1e-9)
    slow, slower = (statistics.latency(each.seconds, 0.5) for each in (one, other))
    back = statistics.ratio(slower, slow)
    assert figures(statistics.ratio(slow, slower)) == pytest.approx((1 / back.value, 1 / back.high, 1 / back.low))


@FEW
@given(seed=seeds, n=st.integers(2, 3000))
def test_alike_is_zero(seed: int, n: int) -> None:
    """A release beside itself differs by nothing, on the same rows without any doubt."""
    values = np.random.default_rng(seed).lognormal(9, 0.5, n) * 1.0
    apart = statistics.relative(values, values)
    assert figures(statistics.mean(apart)) == (0, 0, 0)
    assert figures(statistics.median(apart[:100], np.ones(len(apart[:100])))) == (0, 0, 0)
    counts = counted(values, errors=2)
    unpaired = statistics.mean_difference(counts, counts)
    assert unpaired is not None
    assert unpaired.value == 0
    assert not unpaired.sure
    rate = statistics.share(2, n + 2)
    assert statistics.difference(rate, rate).value == 0
    assert statistics.ratio(*[statistics.latency(counts.seconds, 0.5)] * 2).value == 1


@FEW
@given(values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), part=st.sampled_from([0.01, 0.25, 0.5, 0.9]))
def test_a_weight_is_so_many_rows(values: list[float], part: float) -> None:
    """A quantile of weighted rows is that of as many equal rows, and turns with the sign."""
    rows = np.array(values)
    thrice = statistics.quantile(np.repeat(rows, 3), np.ones(3 * len(rows)), part)
    assert statistics.quantile(rows, np.full(len(rows), 3.0), part) == thrice
    assert statistics.quantile(-rows, np.full(len(rows), 3.0), 1 - part) == pytest.approx(-thrice)


@given(a=st.floats(-1e9, 1e9), b=st.floats(-1e9, 1e9))
def test_relative_differences_are_bounded(a: float, b: float) -> None:
    """Also where a price is zero or has another sign."""
    found = statistics.relative(np.array([a]), np.array([b]))[0]
    assert -2 <= found <= 2
    assert (found == 0) == (a == b) or abs(a - b) < 1e-6


def test_shares_of_weighted_rows() -> None:
    """Weights that differ are worth fewer rows, so that the interval is wider."""
    hits = np.arange(100) < 10
    even = statistics.share_of(hits, np.ones(100))
    assert figures(even) == pytest.approx(figures(statistics.share(10, 100)))
    odd = statistics.share_of(hits, np.where(np.arange(100) % 10 == 0, 10.0, 1.0))
    assert odd.value == pytest.approx(0.1)
    assert odd.high - odd.low > even.high - even.low


def test_as_many_rows_as_it_needs() -> None:
    """With them, four of five samples tell the difference; where there is none, no number does."""
    needed = statistics.rows_needed(0.2, 1.0)
    assert needed == 197
    random = np.random.default_rng(5)
    told = [statistics.mean(random.normal(0.2, 1, needed)).sure for _ in range(ROUNDS)]
    assert 0.73 <= np.mean(told) <= 0.88
    assert statistics.rows_needed(0.0, 1.0) is None
    assert statistics.rows_needed(1e-300, 1e200) is None


def test_too_few_answers_have_no_mean() -> None:
    """A single one tells nothing of its spread."""
    assert statistics.mean_difference(counted(np.array([5.0])), counted(np.array([5.0, 6.0]))) is None
    assert statistics.mean_difference(Counts(), Counts()) is None
    alike = statistics.mean_difference(counted(np.full(9, 5.0)), counted(np.full(9, 6.0)))
    assert figures(alike) == (1, 1, 1)
