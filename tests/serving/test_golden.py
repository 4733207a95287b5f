"""serving/golden.py"""

import dataclasses
import math

import pytest

from pipeline.contract.bundle import Golden
from serving.golden import mismatch
from tests.serving import tiny


def with_golden(loaded, price, tolerance=1e-6):
    answer = {**tiny.expected(1, tiny.ROW), "price": price}
    return dataclasses.replace(loaded, golden=Golden((tiny.ROW,), (answer,), tolerance))


def test_the_recorded_answers_are_found_again(loaded):
    """A release that answers as recorded has no mismatch."""
    assert mismatch(loaded) is None


@pytest.mark.parametrize(("factor", "fits"), [(1 + 1e-7, True), (1 - 1e-7, True), (1 + 1e-5, False), (1 - 1e-5, False)])
def test_the_tolerance_is_a_relative_difference(loaded, factor, fits):
    """One in a million passes, one in a hundred thousand does not."""
    right = tiny.expected(1, tiny.ROW)["price"]
    assert (mismatch(with_golden(loaded, right * factor)) is None) == fits


def test_a_mismatch_names_row_output_and_both_values(loaded):
    """The reason is enough to find the row again."""
    assert mismatch(with_golden(loaded, 7.0)) == "golden row 0: price is 25413, recorded was 7"


@pytest.mark.parametrize("tolerance", [1.0, -1.0, math.inf, math.nan])
def test_a_tolerance_that_tests_nothing_is_a_mismatch(loaded, tolerance):
    """A release cannot excuse itself from its golden rows."""
    assert "relative difference" in mismatch(with_golden(loaded, 7.0, tolerance))


def test_only_the_first_rows_are_asked_if_wanted(loaded):
    """Readiness asks one row only."""
    golden = Golden((tiny.ROW, tiny.ROW), (tiny.expected(1, tiny.ROW), tiny.expected(2, tiny.ROW)))
    release = dataclasses.replace(loaded, golden=golden)
    assert mismatch(release, 1) is None
    assert "golden row 1" in mismatch(release)
