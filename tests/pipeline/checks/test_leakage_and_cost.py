"""Too good to be true, and too dear to serve."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.checks import cost
from pipeline.checks.case import Duel
from pipeline.checks.leakage import leakage
from tests.pipeline.checks.cases import case, champion, window
from tests.pipeline.tiny_model import make_bundle, predictions


def test_a_good_column_is_no_leak() -> None:
    """The guide price of the tiny model is within 5 % of the price."""
    column, error = leakage(case(), "there is no champion yet")
    assert (column.passed, error.passed) == (True, True)
    assert "`mmr`" in column.text


def test_a_number_that_is_the_price_is_a_leak() -> None:
    """On any scale, upwards or downwards."""
    for factor in (0.001, -2.0):
        table = predictions()
        table = table.assign(odometer=table["actual"] * factor)
        column, _ = leakage(case(test=table), "none")
        assert not column.passed
        assert "`odometer`" in column.text


def test_a_text_that_is_the_price_is_a_leak() -> None:
    """Its rows of the days before tell what it stands for."""
    table = predictions()
    rows = window(table)
    lot = [f"lot {price // 10:.0f}" for price in rows["sellingprice"]]
    rows = rows.assign(make=lot)
    test = rows.tail(len(table)).assign(actual=table["actual"].to_numpy())
    rows = rows.assign(day=[*rows["day"][:-400], *table["day"]])
    twice = rows.assign(day="2015-06-01")  # the same lots were on an older day
    found, _ = leakage(case(test=test, rows=twice), "none")
    assert not found.passed
    assert "`make`" in found.text


def test_an_error_of_nearly_nothing_is_a_leak() -> None:
    """Beside the guess and, if there is one, beside the champion: the better of the two counts."""
    table = predictions()
    table = table.assign(price=table["actual"] * 1.001)
    _, error = leakage(case(test=table), "there is no champion yet")
    assert not error.passed
    errors = np.abs(table["price"] - table["actual"]).to_numpy()
    equal = Duel(champion(), table, errors, errors, 1.0)
    assert leakage(case(test=table), equal)[1].passed  # a champion as good as that makes it believable


def test_a_constant_column_tells_nothing() -> None:
    """And divides by nothing."""
    table = predictions().assign(year=2010.0, odometer=np.nan)
    assert leakage(case(test=table), "none")[0].passed


@pytest.mark.parametrize(("times", "passed"), [(1, True), (3, True), (5, False)])
def test_a_model_that_outgrows_the_champion_is_refused(times: int, passed: bool) -> None:
    """Four times its size is the limit, above four megabytes."""
    live = champion()
    bundle = live.bundle
    big = replace(bundle, files={**bundle.files, "model.onnx": b"x" * (2 << 20)})
    candidate = replace(make_bundle(), files={**bundle.files, "model.onnx": b"x" * times * (2 << 20)})
    assert cost.size(case(candidate=candidate, champion=replace(live, bundle=big))).passed is passed


def test_a_small_model_may_grow() -> None:
    """From a tiny one to less than four megabytes."""
    candidate = replace(make_bundle(), files={**make_bundle().files, "model.onnx": b"x" * (4 << 20)})
    assert cost.size(case(candidate=candidate, champion=champion())).passed


def test_without_a_champion_cost_is_told() -> None:
    """There is no limit yet."""
    found = cost.size(case()), cost.latency(case())
    assert all(check.passed and check.limit is None and check.figure for check in found)


def test_the_same_model_costs_the_same() -> None:
    """Both run here, in turns."""
    found = cost.latency(case(champion=champion()))
    assert found.passed
    assert found.limit is not None


def test_a_champion_that_does_not_answer_is_no_measure() -> None:
    """It says so, and passes."""
    live = champion()
    broken = replace(live, bundle=replace(live.bundle, files={**live.bundle.files, "model.onnx": b"x"}))
    found = cost.latency(case(champion=broken))
    assert found.passed
    assert "does not answer" in found.text
