"""A bundle's ONNX model applied to a DataFrame."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline import scoring
from pipeline.contract.schema import Schema
from pipeline.scoring import Scorer, arrays
from tests.pipeline.tiny_model import SCHEMA, answer, json_rows, model_bytes, raw_rows


def test_a_frame_is_answered_as_json_rows_are():
    """The same rows as a frame and as JSON have the same answers, missing values included."""
    rows = raw_rows(50)
    assert rows["make"].isna().any()
    assert rows["odometer"].isna().any()
    np.testing.assert_array_equal(Scorer(model_bytes(), SCHEMA).predict(rows), answer(model_bytes(), json_rows(rows)))


def test_rows_are_answered_in_chunks_and_in_order(monkeypatch: pytest.MonkeyPatch):
    """More rows than a chunk holds give the same answers as all at once."""
    rows = raw_rows(25)
    whole = Scorer(model_bytes(), SCHEMA).predict(rows)
    monkeypatch.setattr(scoring, "CHUNK", 7)
    np.testing.assert_array_equal(Scorer(model_bytes(), SCHEMA).predict(rows), whole)


def test_no_rows_give_no_answers():
    """An empty frame gives an array of three columns and no rows."""
    assert Scorer(model_bytes(), SCHEMA).predict(raw_rows(3).head(0)).shape == (0, 3)


@pytest.mark.parametrize("null", [None, np.nan, pd.NA, ""])
def test_a_missing_text_is_the_empty_text(null):
    """Whatever stands for null in a text column reaches the graph as ""."""
    frame = pd.DataFrame({"make": pd.Series(["Ford", null], dtype=object)})
    made = arrays(frame, Schema((SCHEMA.inputs[1],), "USD"))["make"]
    assert made.tolist() == [["Ford"], [""]]
    assert made.dtype == object


def test_pandas_own_text_and_nullable_numbers_are_taken():
    """The dtypes that pandas 3 makes of files by itself give the same arrays as plain ones."""
    frame = pd.DataFrame(
        {
            "year": pd.Series([2010, None], dtype="Int64"),
            "make": pd.Series(["Ford", None], dtype="str"),
            "odometer": [1, 2],
            "mmr": [1.5, None],
        }
    )
    made = arrays(frame, SCHEMA)
    assert made["make"].tolist() == [["Ford"], [""]]
    np.testing.assert_array_equal(made["year"], [[2010.0], [np.nan]])
    assert {name: values.dtype for name, values in made.items() if name != "make"} == dict.fromkeys(
        ("year", "odometer", "mmr"), np.dtype(np.float64)
    )
