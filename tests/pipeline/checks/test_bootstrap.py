"""How sure a mean is."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.checks.bootstrap import lower_bound


def test_the_bound_is_that_of_theory_where_there_is_one() -> None:
    """For a normal sample the mean minus 1.96 standard errors."""
    values = np.random.default_rng(1).normal(3, 2, 2_000)
    expected = values.mean() - 1.96 * values.std() / np.sqrt(len(values))
    assert abs(lower_bound(values, 0.025) - expected) < 0.005


def test_it_is_wrong_as_rarely_as_it_says() -> None:
    """Of 100 samples with mean 0, few are found to be surely above 0 at the level of 2.5 %."""
    random = np.random.default_rng(2)
    wrong = sum(lower_bound(random.normal(0, 1, 60), 0.025) > 0 for _ in range(100))
    assert wrong <= 9  # 2 or 3 are expected; more than 9 would be one in 1,000


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_it_lies_between_the_least_value_and_the_mean(values: list[float]) -> None:
    """And is the same each time."""
    sample = np.array(values)
    bound = lower_bound(sample, 0.025)
    slack = 1e-9 * (1 + np.abs(sample).max())
    assert sample.min() - slack <= bound <= sample.mean() + slack
    assert lower_bound(sample, 0.025) == bound
