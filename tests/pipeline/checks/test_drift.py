"""Distances between the newest days and those before."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.checks.drift import divergence, drift
from tests.pipeline.checks.cases import case, window
from tests.pipeline.tiny_model import predictions

COUNTS = st.lists(st.integers(0, 1_000), min_size=4, max_size=4).filter(any).map(lambda counts: np.array(counts, float))


@given(COUNTS, COUNTS)
def test_the_divergence_is_a_number_between_nothing_and_everything(one: np.ndarray, two: np.ndarray) -> None:
    """The same both ways; nothing between a histogram and itself; one where no bin is shared."""
    found = divergence(one, two)
    assert -1e-12 <= found <= 1 + 1e-12
    assert math.isclose(found, divergence(two, one), abs_tol=1e-12)
    assert abs(divergence(one, 3 * one)) < 1e-12
    if not (one * two).any():
        assert math.isclose(found, 1)


def judged(change: Any = lambda table: table) -> dict[str, Any]:
    table = predictions()
    return {check.name: check for check in drift(case(test=change(table), rows=window(table)))}


def test_days_like_those_before_pass() -> None:
    """Without a word."""
    assert not any(check.warned or not check.passed for check in judged().values())


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("odometer", lambda values: values * 1_000),
        ("odometer", lambda values: values * np.nan),
        ("year", lambda values: values * 0),
        ("make", lambda values: values.str[:0]),
        ("make", lambda values: values + " II"),
    ],
)
def test_a_column_that_came_in_another_form_is_refused(column: str, change: Any) -> None:
    """On another scale, missing, all the same, in other words: the column is named."""
    found = judged(lambda table: table.assign(**{column: change(table[column])}))["drift of inputs"]
    assert not found.passed
    assert f"`{column}`" in found.text


def test_a_market_that_moves_is_told() -> None:
    """Prices a third higher warn and do not refuse."""
    found = judged(lambda table: table.assign(sellingprice=table["sellingprice"] * 1.5))["drift of the target"]
    assert (found.passed, found.warned) == (True, True)


def test_spelling_is_no_drift() -> None:
    """Texts are told apart as the model tells them apart."""
    shouted = judged(lambda table: table.assign(make=table["make"].str.upper() + " "))
    assert shouted["drift of inputs"].figure == judged()["drift of inputs"].figure


def test_without_days_before_there_is_nothing_to_compare() -> None:
    """It says so."""
    table = predictions()
    (found,) = drift(case(test=table, rows=pd.DataFrame(table)))
    assert found.passed
    assert "no days before" in found.text
