"""serving/release.py"""

import dataclasses

import numpy as np
import pytest

from pipeline.contract.schema import RowsInvalid
from serving.errors import ServingError
from serving.loader import load
from tests.serving import tiny


def test_answers_are_float64_arrays_of_the_rows_in_order(loaded):
    """Each output is one array of shape (n,), in the schema's order."""
    rows = [tiny.ROW, {"guide": 10}]
    answers = loaded.predict(rows)
    assert list(answers) == ["price", "low", "high"]
    for index, row in enumerate(rows):
        assert {name: values[index] for name, values in answers.items()} == tiny.expected(1, row)
    assert answers["price"].dtype == np.float64


def test_a_model_may_answer_flat_arrays():
    """[N] and [N, 1] are the same to a client."""
    made = tiny.bundle(2, model=tiny.onnx_model(2, flat=True))
    release = load(tiny.MODEL, tiny.release_of(2, made), made.files)
    assert release.predict([tiny.ROW])["price"].tolist() == [tiny.expected(2, tiny.ROW)["price"]]


def test_a_row_without_finite_answer_is_an_error_of_that_row(loaded):
    """NaN never leaves; the error says which row."""
    with pytest.raises(RowsInvalid) as caught:
        loaded.predict([tiny.ROW, tiny.NO_PRICE])
    assert [(error.row, error.code) for error in caught.value.errors] == [(1, "no_price")]


class OneAnswer:
    """A session that answers one row whatever is asked."""

    def run(self, names, _):
        return [np.array([[1.0]])] * len(names)


def test_a_model_that_answers_the_wrong_number_of_rows_is_an_error(loaded):
    """Answers are never matched to the wrong rows."""
    odd = dataclasses.replace(loaded, session=OneAnswer())
    with pytest.raises(ServingError, match="for 2 rows"):
        odd.predict([tiny.ROW, tiny.ROW])


def test_a_release_does_not_change(loaded):
    """A request may hold it as long as it likes."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        loaded.version = 2
