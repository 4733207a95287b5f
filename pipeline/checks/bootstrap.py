"""How sure a mean is: the bootstrap. Not here: what it is a mean of."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

RESAMPLES = 4_000
AT_ONCE = 1 << 18  # numbers drawn in one go: quick, and small
SEED = 20_150_601  # the same rows give the same verdict


def lower_bound(values: npt.NDArray[np.float64], level: float) -> float:
    """Below which the mean of ``values`` (n,) lies with the probability ``level`` only: the percentile bootstrap.

    With differences of pairs it is the paired bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap,
    1993, chapters 8 and 13).
    """
    random = np.random.default_rng(SEED)
    count = len(values)
    at_once = max(1, AT_ONCE // count)
    means = [
        values[random.integers(0, count, (min(at_once, RESAMPLES - done), count))].mean(axis=1)
        for done in range(0, RESAMPLES, at_once)
    ]
    return float(np.quantile(np.concatenate(means), level))
