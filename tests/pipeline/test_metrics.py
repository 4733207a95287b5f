"""Metrics against numbers worked out by hand."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.cleaning import DAY
from pipeline.datasets.declaration import Slice
from pipeline.metrics import LEAST_SLICE_ROWS, by_slice, measure, of_guess, of_model, slice_labels
from tests.pipeline.auction_rows import DATASET


def array(*values: float) -> np.ndarray[Any, Any]:
    return np.array(values, np.float64)


def test_the_figures_are_those_worked_out_by_hand() -> None:
    """Actual 100, 200, 400; predicted 110, 180, 400: errors +10, -20, 0."""
    found = measure(array(100, 200, 400), array(110, 180, 400), array(90, 185, 400), array(120, 220, 400))
    assert (found.rows, found.mae, found.bias) == (3, 10.0, pytest.approx(-10 / 3))
    assert (found.mape, found.median_ape) == (pytest.approx(0.2 / 3), pytest.approx(0.1))
    assert found.rmsle == pytest.approx(math.sqrt((math.log(111 / 101) ** 2 + math.log(181 / 201) ** 2) / 3))
    mean = 700 / 3
    assert found.r2 == pytest.approx(1 - 500 / ((100 - mean) ** 2 + (200 - mean) ** 2 + (400 - mean) ** 2))
    assert (found.coverage, found.mean_width) == (1.0, pytest.approx((30 + 35 + 0) / 3))


def test_coverage_counts_both_ends_of_the_interval() -> None:
    """A price at an end is within; one beyond is not."""
    found = measure(array(10, 10, 10, 10), array(10, 10, 10, 10), array(10, 5, 11, 1), array(12, 10, 12, 9))
    assert found.coverage == 0.5


def test_what_is_undefined_is_none() -> None:
    """No spread, no R2; no interval, no coverage: JSON knows no NaN."""
    found = measure(array(100, 100), array(90, 100))
    assert (found.r2, found.coverage, found.mean_width) == (None, None, None)
    assert found.to_dict() == dataclasses.asdict(found)


def test_a_negative_guess_has_a_logarithmic_error() -> None:
    """It counts as nothing."""
    assert measure(array(99), array(-5)).rmsle == pytest.approx(math.log(100))


def table(rows: int = 40, **columns: Any) -> pd.DataFrame:
    filled = {"actual": 100.0, "price": 110.0, "low": 90.0, "high": 120.0, "baseline": 130.0, "reference": 80.0}
    cars = {"make": "Ford", "year": 2012.0, "sellingprice": 9_000.0, DAY: "2015-06-01"}
    return pd.DataFrame(cars | filled | columns, index=range(rows))


def test_a_guess_beside_the_model_is_measured_where_it_is_known() -> None:
    """A column of nothing has no figures."""
    half = table(baseline=[130.0, np.nan] * 20)
    assert of_guess(half, "baseline").rows == 20
    assert of_guess(half, "baseline").mae == 30
    assert of_guess(table(baseline=np.nan), "baseline") is None
    assert (of_model(half).rows, of_model(half).mae, of_model(half).coverage) == (40, 10, 1)


def test_every_slice_has_the_figures_of_its_rows() -> None:
    """With the baseline's error beside them; spellings that differ in case are one slice."""
    makes = [" Ford"] * 15 + ["ford"] * 15 + ["Kia"] * 30
    found = by_slice(DATASET, table(60, make=makes, price=[110.0] * 30 + [150.0] * 30))
    assert list(found) == ["make", "age", "price"]
    assert list(found["make"]) == ["ford", "kia"]
    ford, kia = found["make"]["ford"], found["make"]["kia"]
    assert (ford["rows"], ford["mae"], ford["coverage"], ford["baseline_mae"]) == (30, 10, 1, 30)
    assert (kia["rows"], kia["mae"], kia["bias"]) == (30, 50, 50)


def test_a_slice_of_few_rows_is_left_out() -> None:
    """Its figures would say nothing."""
    makes = ["Ford"] * LEAST_SLICE_ROWS + ["Kia"] * (LEAST_SLICE_ROWS - 1)
    assert list(by_slice(DATASET, table(len(makes), make=makes))["make"]) == ["ford"]


def test_a_missing_baseline_leaves_its_error_open() -> None:
    """The model's figures are there all the same."""
    found = by_slice(DATASET, table(baseline=np.nan))["make"]["ford"]
    assert found["baseline_mae"] is None
    assert found["mae"] == 10


BANDS = Slice("price", "sellingprice", edges=(10, 20, 50))


def test_bands_begin_at_their_lower_edge() -> None:
    """An edge belongs to the band above it; the labels sort in order of the bands."""
    values = [5, 10, 19.9, 20, 50, 1e9, np.nan]
    labels = slice_labels(pd.DataFrame({"sellingprice": values}), BANDS).tolist()
    assert labels == [
        "0 below 10", "1 10 to 20", "1 10 to 20", "2 20 to 50", "3 50 and more", "3 50 and more", "(not known)",
    ]  # fmt: skip


def test_an_age_is_the_years_between_the_column_and_the_day_of_sale() -> None:
    """A car of next year's model is younger than none."""
    rows = pd.DataFrame({"year": [2016, 2015, 2013, 2004, np.nan], DAY: ["2015-06-01"] * 4 + ["2016-01-01"]})
    labels = slice_labels(rows, Slice("age", "year", edges=(2, 4), years_before_sale=True)).tolist()
    assert labels == ["0 below 2", "0 below 2", "1 2 to 4", "2 4 and more", "(not known)"]


def test_a_text_that_is_not_given_has_a_slice_of_its_own() -> None:
    """Blanks are nothing too."""
    assert slice_labels(pd.DataFrame({"make": ["", " ", "BMW"]}), Slice("make", "make")).tolist() == [
        "(not known)",
        "(not known)",
        "bmw",
    ]
