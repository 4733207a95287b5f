"""The price model: a point estimate and an 80 % interval around it, from one dense matrix of doubles.

Not here: what the matrix holds (``pipeline/features.py``) or how rows are chosen (``pipeline/preprocess.py``).
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, RegressorMixin

Floats = npt.NDArray[np.float64]


class IntervalRegressor(RegressorMixin, BaseEstimator):
    """Price, low and high from three regressors of the price or of its ratio to a baseline column.

    The interval is conformalised quantile regression (Romano, Patterson and Candes, NeurIPS 2019): quantile
    models whose bounds are moved by offsets learned on rows that no model has seen.

    Parameters:
        point, lower, upper: regressors (cloned by nobody: they are fitted in place).
        baseline_index: column of X that the target is modelled relative to, or None.
        minimum: the least price that is ever answered, in the target's unit.
    """

    def __init__(
        self, point: Any, lower: Any, upper: Any, baseline_index: int | None = None, minimum: float = 1.0
    ) -> None:
        self.point = point
        self.lower = lower
        self.upper = upper
        self.baseline_index = baseline_index
        self.minimum = minimum
