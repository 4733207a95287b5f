"""The price model: a price within its interval, and an interval that holds what it promises."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LinearRegression

from pipeline.model import COVERAGE, IntervalRegressor


class Column(RegressorMixin, BaseEstimator):
    """A regressor that answers a column of X, and keeps what it was fitted on."""

    def __init__(self, index: int) -> None:
        self.index = index

    def fit(self, X: Any, y: Any) -> Column:
        self.target_ = y
        return self

    def predict(self, X: Any) -> Any:
        return X[:, self.index]


def columns(**settings_: Any) -> IntervalRegressor:
    """Point, lower and upper are the first three columns of X."""
    return IntervalRegressor(Column(0), Column(1), Column(2), **settings_)


def fitted(**settings_: Any) -> IntervalRegressor:
    return columns(**settings_).fit(np.ones((2, 5)), np.ones(2))


NUMBER = st.floats(-1e6, 1e6)
ROW = st.tuples(NUMBER, NUMBER, NUMBER, st.floats(1, 1e6))


@settings(deadline=None)
@given(
    st.lists(ROW, min_size=1, max_size=20), st.tuples(NUMBER, NUMBER), st.floats(0.01, 1e4), st.sampled_from([None, 3])
)
def test_the_price_is_always_within_its_interval(
    rows: list[tuple[float, ...]], offsets: tuple[float, float], minimum: float, baseline: int | None
) -> None:
    """And never below the least price, whatever the three regressors and the offsets say."""
    model = fitted(baseline_index=baseline, minimum=minimum)
    model.offsets_ = offsets
    price, low, high = model.predict(np.array(rows)).T
    assert (low <= price).all()
    assert (price <= high).all()
    assert (low >= minimum).all()
    np.testing.assert_array_equal(price, model.predict_point(np.array(rows)))


def test_a_plain_answer_is_the_three_regressors_and_the_offsets() -> None:
    """Low is moved down by the first offset and high up by the second, in the unit of the regressors."""
    model = fitted(baseline_index=3)
    model.offsets_ = (0.05, -0.1)
    answer = model.predict(np.array([[1.0, 0.8, 1.3, 1_000.0]]))
    np.testing.assert_allclose(answer, [[1_000, 750, 1_200]])


def test_the_regressors_learn_the_price_relative_to_the_baseline() -> None:
    """All three the same target; without a baseline the price itself."""
    X, y = np.array([[0, 0, 0, 500.0], [0, 0, 0, 2_000.0]]), np.array([600.0, 1_000.0])
    model = columns(baseline_index=3).fit(X, y)
    for part in (model.point_, model.lower_, model.upper_):
        assert part.target_.tolist() == [1.2, 0.5]
    assert columns().fit(X, y).point_.target_.tolist() == [600, 1_000]


def test_a_logarithm_of_the_baseline_is_the_same_model() -> None:
    """Column 4 is the logarithm of column 3."""
    random = np.random.default_rng(0)
    X = random.uniform(0.5, 1.5, (50, 5))
    X[:, 3] *= 10_000
    X[:, 4] = np.log(X[:, 3])
    y = X[:, 3] * random.normal(1, 0.1, 50)
    plain = columns(baseline_index=3).fit(X, y).calibrate(X, y)
    log = columns(baseline_index=4, log_baseline=True).fit(X, y).calibrate(X, y)
    np.testing.assert_allclose(log.predict(X), plain.predict(X), rtol=1e-12)
    np.testing.assert_allclose(log.relative(X, y), plain.relative(X, y), rtol=1e-12)


@pytest.mark.parametrize("log", [False, True])
def test_an_unknown_baseline_gives_no_price(log: bool) -> None:
    """NaN three times, and the rows beside it are answered."""
    answer = fitted(baseline_index=3, log_baseline=log).predict(np.array([[1, 1, 1, np.nan], [1, 1, 1, 2.0]]))
    assert np.isnan(answer[0]).all()
    assert (answer[1] > 0).all()


def test_the_point_alone_needs_no_bounds() -> None:
    """Candidates are compared before any quantile model is fitted."""
    model = columns().fit_point(np.ones((2, 3)), np.ones(2))
    assert model.predict_point(np.array([[5.0, 0, 0]])).tolist() == [5]
    assert not hasattr(model, "lower_")


@pytest.mark.parametrize("rows", [4, 5, 6, 9, 11, 14, 19, 99, 100, 101])
def test_the_offset_is_the_score_of_the_right_rank(rows: int) -> None:
    """At least ceil(0.8 (n + 1)), at most one more: what the finite-sample guarantee asks for."""
    X = np.zeros((rows, 3))
    offsets = columns().fit(X, np.zeros(rows)).offsets_for(X, np.random.default_rng(0).permutation(rows) + 1.0)
    assert offsets[0] == offsets[1]
    rank = -(-4 * (rows + 1) // 5)
    assert rank <= offsets[0] <= rank + 1


def test_a_calibration_of_one_row_is_no_error() -> None:
    """The interval is as wide as that row asks for."""
    X = np.array([[10.0, 10.0, 10.0]])
    model = columns().fit(X, X[:, 0]).calibrate(X, np.array([13.0]))
    assert model.predict(X).tolist() == [[10, 7, 13]]


@pytest.mark.parametrize("rows", [4, 6, 50, 200])
@pytest.mark.parametrize(("half", "sides"), [(0.2, "too narrow"), (3.0, "too wide")])
def test_calibration_gives_the_promised_coverage(rows: int, half: float, sides: str) -> None:
    """On rows like those of the calibration, in the mean over many calibrations: 80 % and at most 2 / (n + 1) more.

    Whether the quantile models are too narrow or too wide does not matter.
    """
    random = np.random.default_rng(rows)
    covered = []
    for _ in range(600):
        scale = random.lognormal(0, 0.5, (rows + 100, 1))
        X = 100 + np.hstack([0 * scale, -half * scale, half * scale])
        y = 100 + scale[:, 0] * random.standard_t(3, rows + 100)
        model = columns(minimum=-1e9).fit(X, y).calibrate(X[:rows], y[:rows])
        _, low, high = model.predict(X[rows:]).T
        covered.append(np.mean((low <= y[rows:]) & (y[rows:] <= high)))
    noise = 3 * np.std(covered) / np.sqrt(len(covered))
    assert COVERAGE - noise <= np.mean(covered) <= COVERAGE + 2 / (rows + 1) + noise


def test_offsets_depend_on_nothing_but_the_rows_given() -> None:
    """``offsets_for`` asks the model; ``calibrate`` also sets what it found."""
    random = np.random.default_rng(3)
    X, y = random.normal(10, 1, (60, 3)), random.normal(10, 1, 60)
    model = IntervalRegressor(LinearRegression(), LinearRegression(), LinearRegression()).fit(X, y)
    found = model.offsets_for(X, y)
    assert model.offsets_ == (0.0, 0.0)
    assert model.calibrate(X, y).offsets_ == found == model.offsets_for(X[::-1], y[::-1])
