"""serving/tally.py"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contract.schema import RowError, RowsInvalid
from serving.errors import RequestRefused
from serving.tally import Tally, document, summed


@pytest.fixture
def tally(loaded):
    return Tally("challenger", loaded)


def table(*prices):
    return np.array([[price, price - 1, price + 1] for price in prices], np.float64)


def test_what_was_answered_is_described(tally):
    """Count, mean and variance of the first output; how long it took; of which release since when."""
    tally.answered(table(10, 20), 0.001)
    tally.answered(table(60), 0.002)
    found = document(tally.figures())
    assert (found["version"], found["requests"], found["errors"], found["refused"]) == (1, 2, 0, 0)
    assert found["answers"] == {"count": 3, "mean": 30, "variance": 700, "sum": 90, "squares": 4_100}
    assert found["seconds"]["count"] == sum(many for _, many in found["seconds"]["buckets"]) == 2
    assert found["seconds"]["sum"] == pytest.approx(0.003)


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e200])
@pytest.mark.parametrize("rows", [1, 40])
def test_an_answer_that_cannot_be_a_price_is_an_error(tally, value, rows):
    """It does not spoil the mean of the others."""
    tally.answered(table(10), 0.001)
    tally.answered(table(*[10] * rows, value), 0.001)
    found = document(tally.figures())
    assert (found["requests"], found["errors"], found["answers"]["mean"]) == (2, 1, 10)


def test_what_is_the_clients_fault_is_no_error(tally):
    """A failure and a row without a price are."""
    no_price = RowsInvalid([RowError(0, "", "no_price", "why")])
    for error in (RuntimeError(), no_price, RequestRefused("not_json", ""), RowsInvalid([RowError(0, "x", "y", "z")])):
        tally.failed(error, 0.001)
    found = document(tally.figures())
    assert (found["requests"], found["errors"], found["refused"]) == (2, 2, 2)


@given(st.lists(st.floats(1e-5, 100), min_size=1, max_size=200))
def test_a_quantile_is_right_within_a_twentieth(loaded_once, seconds):
    """However the times are spread."""
    tally = Tally("challenger", loaded_once)
    for each in seconds:
        tally.answered(table(1), each)
    found = document(tally.figures())["seconds"]
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
        right = sorted(seconds)[max(0, math.ceil(share * len(seconds)) - 1)]
        assert found[name] == pytest.approx(right, rel=0.06)


def test_an_empty_tally_has_no_mean(tally):
    """Null, not zero and not an error."""
    found = document(tally.figures())
    assert (found["answers"]["mean"], found["answers"]["variance"], found["seconds"]["p99"]) == (None, None, None)


@given(st.lists(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), min_size=1, max_size=10), st.integers(1, 4))
def test_the_sum_over_workers_is_that_of_one(loaded_once, batches, workers):
    """However the requests are spread over them."""
    one, several = Tally("shadow", loaded_once), [Tally("shadow", loaded_once) for _ in range(workers)]
    for number, prices in enumerate(batches):
        one.answered(table(*prices), 0.001 * number)
        several[number % workers].answered(table(*prices), 0.001 * number)
    alone, together = document(one.figures()), document(summed([each.figures() for each in several]))
    prices = [price for batch in batches for price in batch]
    assert together["requests"] == alone["requests"]
    assert together["seconds"]["buckets"] == alone["seconds"]["buckets"]
    assert together["answers"]["mean"] == pytest.approx(np.mean(prices), abs=1e-6)
    if len(prices) > 1:
        assert together["answers"]["variance"] == pytest.approx(np.var(prices, ddof=1), rel=1e-6, abs=1e-2)


@pytest.fixture(scope="module")
def loaded_once():
    from serving.loader import load
    from tests.serving import tiny

    made = tiny.bundle(1)
    return load(tiny.MODEL, tiny.release_of(1, made), made.files)
