"""The comparison of the pipeline's answers with the graph's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ModelRefused
from pipeline.parity import LIMIT, check, compare
from tests.pipeline.tiny_model import SCHEMA

ROWS = pd.DataFrame({"year": [2010.0, np.nan], "make": ["Ford", "x" * 500], "odometer": [1.0, 2.0], "mmr": [3.0, 4.0]})
GOOD = np.array([[10.0, 9.0, 11.0], [20.0, 19.0, 21.0]])


def changed(row, column, value):
    answers = GOOD.copy()
    answers[row, column] = value
    return answers


def test_equal_answers_have_no_difference_and_no_worst_row():
    """Equal answers, NaN and infinity on both sides included, differ by nothing."""
    both = np.array([[1.0, np.nan, np.inf], [0.0, -0.0, -np.inf]])
    assert compare(both, both.copy()).max_relative_difference == 0
    assert compare(both, both.copy()).worst == ()


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_nan_or_infinity_on_one_side_is_an_infinite_difference(odd):
    """It does not matter which side has it."""
    assert compare(changed(1, 0, odd), GOOD).max_relative_difference == np.inf
    assert compare(GOOD, changed(1, 0, odd)).max_relative_difference == np.inf
    with pytest.raises(ModelRefused):
        check(SCHEMA, ROWS, GOOD, changed(1, 2, odd))


def test_the_difference_is_relative_to_the_onnx_answer():
    """|pipeline - onnx| / |onnx|, and the worst row is named first."""
    found = compare(changed(1, 0, 25.0), changed(0, 0, 10.5))
    assert found.max_relative_difference == 0.25
    assert [worst.row for worst in found.worst] == [1, 0]
    assert found.rows == 2


def test_a_difference_at_the_limit_passes_and_above_it_not():
    """The limit itself is allowed."""
    exact = np.full((1, 3), 1.0)
    assert check(SCHEMA, ROWS.head(1), exact + 2.0**-20, exact).max_relative_difference == 2.0**-20 < LIMIT
    with pytest.raises(ModelRefused):
        check(SCHEMA, ROWS.head(1), exact + 2.0**-19, exact)


def test_the_refusal_shows_the_row_and_both_answers():
    """A person can read which row it was, what each side answers and by how much they differ."""
    with pytest.raises(ModelRefused) as refusal:
        check(SCHEMA, ROWS, GOOD, changed(1, 1, 18.5))
    message = str(refusal.value)
    assert "row 1 (year=nan, make='xxxx" in message
    assert "(500 characters)" in message
    assert "pipeline price 20, low 19, high 21; ONNX price 20, low 18.5, high 21; difference 0.027" in message
    assert "relative difference 0.027 on 2 rows, allowed is 1e-06" in message
    assert len(message) < 600


def test_answers_of_another_shape_are_refused():
    """A missing output is not compared with what is there."""
    with pytest.raises(ModelRefused, match="shape"):
        compare(GOOD, GOOD[:, :2])


@given(st.floats(allow_nan=True, allow_infinity=True), st.floats(allow_nan=True, allow_infinity=True))
def test_any_two_answers_have_a_difference_that_is_a_number(a, b):
    """No pair of answers gives NaN or a negative number, and only equal ones give nought."""
    difference = compare(np.array([[a]]), np.array([[b]])).max_relative_difference
    assert difference >= 0
    same = a == b or (np.isnan(a) and np.isnan(b))
    assert (difference == 0) == same or abs(a - b) < 1e-300
