"""What a fitted pipeline has seen, in the schema of its bundle."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.pipeline import Pipeline

from pipeline import seen_values
from pipeline.contract.bundle import to_json
from pipeline.contract.schema import Column, Schema
from pipeline.conversion import to_onnx
from pipeline.seen_values import with_seen
from tests.pipeline.fitted_model import DATASET, TEXTS, cars, fitted, one_thread  # noqa: F401  a fixture


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return cars(250)


@pytest.fixture(scope="module")
def pipeline(rows: pd.DataFrame) -> Pipeline:
    return fitted(rows)


def seen(pipeline: Pipeline, rows: pd.DataFrame) -> dict[str, Column]:
    return {column.name: column for column in with_seen(DATASET.schema(True), pipeline, rows).inputs}


def usual(values: Any) -> tuple[float | None, float | None]:
    schema = Schema((Column("x", "numeric"),), "USD")
    (column,) = with_seen(schema, Pipeline([("none", "passthrough")]), pd.DataFrame({"x": values})).inputs
    return column.usual_minimum, column.usual_maximum


def test_the_known_texts_are_the_keys_of_the_graphs_encoders(pipeline: Pipeline, rows: pd.DataFrame) -> None:
    """To the letter and in the same order, with the spellings of "not known"; a number has none."""
    found = seen(pipeline, rows)
    graph = onnx.load_from_string(to_onnx(pipeline, DATASET.schema(True))).graph
    keys = {
        node.input[0]: tuple(text.decode() for text in attribute.t.string_data)
        for node in graph.node
        for attribute in node.attribute
        if node.op_type == "LabelEncoder" and attribute.name == "keys_tensor" and node.input[0] in TEXTS
    }
    assert {name: found[name].known for name in TEXTS} == keys
    assert {"", "Ford", "FORD", "ford"} <= set(keys["make"])
    assert {"", "-"} <= set(keys["colour"])
    assert found["miles"].known == ()


def test_everything_else_is_as_declared(pipeline: Pipeline, rows: pd.DataFrame) -> None:
    """Order, kinds, ranges, units and examples stay."""
    declared, found = DATASET.schema(True).to_dict(), with_seen(DATASET.schema(True), pipeline, rows).to_dict()
    added = {"known", "usual_minimum", "usual_maximum"}
    for document in (declared, found):
        document["inputs"] = [{k: v for k, v in column.items() if k not in added} for column in document["inputs"]]
    assert declared == found


def test_too_many_texts_are_not_told(pipeline: Pipeline, rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    """A column with more spellings than the most has none; the others keep theirs."""
    sizes = {name: len(column.known) for name, column in seen(pipeline, rows).items() if column.known}
    assert len(set(sizes.values())) == len(TEXTS)
    monkeypatch.setattr(seen_values, "MOST_KNOWN", min(sizes.values()))
    assert [name for name, column in seen(pipeline, rows).items() if column.known] == [
        min(sizes, key=sizes.__getitem__)
    ]


def test_usual_is_all_but_one_row_in_a_thousand_at_each_end() -> None:
    """Of the known values: missing and infinite ones do not count."""
    values = np.concatenate([np.arange(1_000.0, 2_000.0), [np.nan] * 500, [np.inf, -1e9, 5.0, 1e9, 1e9]])
    assert usual(values) == (5.0, 1e9)
    many = np.concatenate([np.repeat(np.arange(1_990.0, 2_016.0), 1_000), [1901.0, 2099.0]])
    assert usual(many) == (1990.0, 2015.0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.123456, 980113.0], (0.1234, 980200.0)),
        ([-12.3456, -0.00123456], (-12.35, -0.001234)),
        ([1994.0, 2015.0], (1994.0, 2015.0)),
        ([0.0, 0.0], (0.0, 0.0)),
        ([4.5], (4.5, 4.5)),
        ([np.nan], (None, None)),
        ([], (None, None)),
    ],
)
def test_usual_numbers_are_rounded_outwards_to_four_digits(
    values: list[float], expected: tuple[float | None, float | None]
) -> None:
    """So that they can be read out; a column of which nothing is known has none."""
    assert usual(np.array(values, np.float64)) == expected


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=50))
def test_few_values_are_all_usual(values: list[float]) -> None:
    """However large or small they are."""
    low, high = usual(np.array(values))
    assert low is not None
    assert high is not None
    assert low <= min(values) <= max(values) <= high


def test_the_order_of_rows_does_not_matter(pipeline: Pipeline, rows: pd.DataFrame) -> None:
    """The same data is the same manifest, to the byte, and comes back from it."""
    schema = with_seen(DATASET.schema(True), pipeline, rows)
    other = with_seen(DATASET.schema(True), fitted(rows), rows[::-1].reset_index(drop=True))
    assert to_json(schema.to_dict()) == to_json(other.to_dict())
    assert Schema.from_dict(json.loads(to_json(schema.to_dict()))) == schema
