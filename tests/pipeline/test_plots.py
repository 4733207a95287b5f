"""The plots: a picture for each question, also for little or odd data, and the same picture for the same data."""

from __future__ import annotations

import struct
from typing import Any

import pandas as pd
import pytest

from pipeline.plots import draw
from tests.pipeline.tiny_model import metrics_of, predictions

IMPORTANCE = {"mmr": 4200.0, "make": 310.0, "odometer": 90.0, "year": -2.0}


def pictures(table: pd.DataFrame, slices: Any = None) -> dict[str, bytes]:
    metrics = metrics_of(table)
    return draw(table, metrics if slices is None else {**metrics, "slices": slices}, IMPORTANCE, "USD")


def test_there_is_a_picture_for_each_question() -> None:
    """PNG files, of a size that can be read on a page."""
    made = pictures(predictions())
    assert set(made) == {
        "predicted_against_actual", "residuals", "interval_calibration", "permutation_importance",
        "error_by_make", "error_by_age", "error_by_price",
    }  # fmt: skip
    for data in made.values():
        assert data.startswith(b"\x89PNG")
        width, height = struct.unpack(">II", data[16:24])
        assert 700 < width < 1200
        assert 400 < height < 800


def test_the_same_data_gives_the_same_bytes() -> None:
    """A repeated run uploads the same files."""
    assert pictures(predictions()) == pictures(predictions())


def test_pyplot_is_not_used() -> None:
    """It would keep each figure in memory and look for a display."""
    import sys

    before = "matplotlib.pyplot" in sys.modules
    pictures(predictions())
    assert ("matplotlib.pyplot" in sys.modules) is before


@pytest.mark.parametrize("count", [1, 2, 30])
def test_few_rows_are_drawn(count: int) -> None:
    """A small first day is no reason to fail."""
    assert len(pictures(predictions(count=count), slices={})) == 4


def test_no_baseline_and_no_error_are_drawn() -> None:
    """A dataset without a baseline; a model that is always right."""
    table = predictions()
    exact = table.assign(price=table["actual"], baseline=float("nan"))
    assert len(pictures(exact)) == 7
