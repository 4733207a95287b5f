"""The price model: a point estimate and an 80 % interval around it, from one dense matrix of doubles.

Not here: what the matrix holds and which rows it learns from (``pipeline/preprocess.py``).
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, RegressorMixin

Floats = npt.NDArray[np.float64]

COVERAGE = 0.8


class IntervalRegressor(RegressorMixin, BaseEstimator):
    """Price, low and high from three regressors of the price or of its ratio to a baseline.

    The interval is conformalised quantile regression (Romano, Patterson and Candes, NeurIPS 2019): quantile
    models whose bounds are moved by an offset learned on rows that no model has seen.

    Parameters:
        point, lower, upper: regressors, fitted in place by ``fit``.
        baseline_index: column of X that the target is modelled relative to, or None.
        log_baseline: the column holds the logarithm of the baseline.
        minimum: the least price that is ever answered, in the target's unit.

    Attributes:
        point_, lower_, upper_: the fitted regressors.
        offsets_: how far low is moved down and high is moved up, in the unit of the regressors.
    """

    def __init__(
        self,
        point: Any,
        lower: Any,
        upper: Any,
        baseline_index: int | None = None,
        *,
        log_baseline: bool = False,
        minimum: float = 1.0,
    ) -> None:
        self.point = point
        self.lower = lower
        self.upper = upper
        self.baseline_index = baseline_index
        self.log_baseline = log_baseline
        self.minimum = minimum

    def fit(self, X: Floats, y: Floats) -> Self:
        """Learn from the matrix (n, features) and prices (n,) in the target's unit."""
        return self.fit_point(X, y).fit_bounds(X, y)

    def fit_point(self, X: Floats, y: Floats) -> Self:
        """The first part of ``fit``, which is enough for ``predict_point``."""
        self.point_ = self.point.fit(X, self.relative(X, y))
        self.n_features_in_ = X.shape[1]
        return self

    def fit_bounds(self, X: Floats, y: Floats) -> Self:
        """The second part of ``fit``."""
        target = self.relative(X, y)
        self.lower_ = self.lower.fit(X, target)
        self.upper_ = self.upper.fit(X, target)
        self.offsets_ = (0.0, 0.0)
        return self

    def calibrate(self, X: Floats, y: Floats) -> Self:
        """Set the offsets so that ``COVERAGE`` of rows like these, which the fit has not seen, lie in the interval."""
        self.offsets_ = self.offsets_for(X, y)
        return self

    def offsets_for(self, X: Floats, y: Floats) -> tuple[float, float]:
        """The finite-sample quantile of the conformity score max(low - y, y - high), for both sides."""
        target = self.relative(X, y)
        score = np.maximum(self.lower_.predict(X) - target, target - self.upper_.predict(X))
        level = min(1.0, COVERAGE * (len(score) + 1) / len(score))
        offset = float(np.quantile(score, level, method="higher"))
        return offset, offset

    def predict_point(self, X: Floats) -> Floats:
        """The price alone: (n,)."""
        return np.maximum(self.point_.predict(X) * self._baseline(X)[:, 0], self.minimum)

    def predict(self, X: Floats) -> Floats:
        """Columns price, low, high: (n, 3), in the target's unit. A NaN baseline gives NaN."""
        below, above = self.offsets_
        answers = np.column_stack([model.predict(X) for model in (self.point_, self.lower_, self.upper_)])
        answers = (answers + np.array([0.0, -below, above])) * self._baseline(X)
        answers = np.maximum(answers, self.minimum)
        price, low, high = answers.T
        return np.column_stack([price, np.minimum(low, price), np.maximum(high, price)])

    def relative(self, X: Floats, y: Floats) -> Floats:
        """Prices (n,) in the unit of the regressors: relative to the baseline, if there is one."""
        return np.asarray(y, np.float64) / self._baseline(X)[:, 0]

    def _baseline(self, X: Floats) -> Floats:
        if self.baseline_index is None:
            return np.ones((len(X), 1))
        column = X[:, [self.baseline_index]]
        return np.exp(column) if self.log_baseline else column
