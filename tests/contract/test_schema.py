"""pipeline/contract/schema.py"""

import json
import math
import time
from dataclasses import replace

import numpy as np
import pytest

from pipeline.contract.schema import MAX_TEXT, Column, RowsInvalid, Schema, describe_range

YEAR = Column("year", "numeric", "model year", "", 1900, 2100)
MAKE = Column("make", "categorical", "maker")
GUIDE = Column("guide", "numeric", "guide price", "USD", 1, required=True)
SCHEMA = Schema((YEAR, MAKE, GUIDE), "USD")


def errors(*rows):
    with pytest.raises(RowsInvalid) as caught:
        SCHEMA.arrays(rows)
    return [(error.row, error.column, error.code) for error in caught.value.errors]


def test_rows_become_one_column_vector_a_column():
    """Numbers are float64 with NaN for null, texts are str objects with "" for null, both of shape (n, 1)."""
    arrays = SCHEMA.arrays([{"year": 2013, "make": "Ford", "guide": 7}, {"guide": 8.5, "make": None}])
    assert list(arrays) == ["year", "make", "guide"]
    np.testing.assert_array_equal(arrays["year"], np.array([[2013.0], [np.nan]]))
    assert arrays["make"].tolist() == [["Ford"], [""]]
    assert (arrays["guide"].dtype, arrays["make"].dtype) == (np.float64, object)


def test_no_rows_are_arrays_of_no_rows():
    """The shape is kept: (0, 1)."""
    assert SCHEMA.arrays([])["year"].shape == (0, 1)


@pytest.mark.parametrize("value", [1900, 2100, 2013.5, None])
def test_a_number_within_its_bounds_is_taken(value):
    """Bounds are inclusive and null is "not known"."""
    assert SCHEMA.arrays([{"year": value, "guide": 1}])


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        ("year", 1899.999, "out_of_range"),
        ("year", 2101, "out_of_range"),
        ("guide", 0, "out_of_range"),
        ("guide", 10**400, "not_finite"),
        ("guide", -(10**400), "not_finite"),
        ("guide", math.nan, "not_finite"),
        ("guide", math.inf, "not_finite"),
        ("guide", "1", "not_a_number"),
        ("guide", True, "not_a_number"),
        ("guide", [1], "not_a_number"),
        ("guide", {}, "not_a_number"),
        ("guide", None, "required"),
        ("make", 1, "not_text"),
        ("make", ["Ford"], "not_text"),
        ("make", "a\0b", "not_text"),
        ("make", "\ud800", "not_text"),
        ("make", "x" * (MAX_TEXT + 1), "too_long"),
        ("maek", "Ford", "unknown_column"),
    ],
)
def test_a_value_that_does_not_fit_is_one_error_with_a_stable_code(column, value, code):
    """The error names row and column."""
    assert errors({"guide": 1}, {"guide": 1, column: value}) == [(1, column, code)]


def test_a_required_column_left_out_is_an_error():
    """Left out and null are the same."""
    assert errors({}) == [(0, "guide", "required")]


def test_errors_come_in_row_order_and_none_hides_another():
    """Every bad value of every row is listed."""
    assert errors({"year": 1, "guide": 0}, {"make": 1, "colour": "red"}) == [
        (0, "year", "out_of_range"),
        (0, "guide", "out_of_range"),
        (1, "colour", "unknown_column"),
        (1, "make", "not_text"),
        (1, "guide", "required"),
    ]


@pytest.mark.parametrize(
    ("name", "hint"), [("yaer", "did you mean 'year'?"), ("zzz", "known columns: guide, make, year")]
)
def test_an_unknown_column_comes_with_a_hint(name, hint):
    """The nearest name, or all of them."""
    with pytest.raises(RowsInvalid, match="there is no such column") as caught:
        SCHEMA.arrays([{"guide": 1, name: 1}])
    assert hint in caught.value.errors[0].message


def test_no_message_repeats_a_value():
    """What a client sent stays out of logs and answers."""
    with pytest.raises(RowsInvalid) as caught:
        SCHEMA.arrays([{"year": 777_777, "make": "secret\0", "guide": "secret"}])
    assert len(caught.value.errors) == 3
    assert not any("secret" in e.message or "777777" in e.message for e in caught.value.errors)


@pytest.mark.parametrize("rows", [[{f"gude{i}": 1 for i in range(100_000)}], [{"y" * 1_000_000: 1}]])
def test_unknown_names_cannot_hold_a_server(rows):
    """A hundred thousand unknown names cost well below a second per core, and long names are cut."""
    begin = time.process_time()
    found = errors(*rows)
    assert time.process_time() - begin < 3
    assert all(len(column) <= 64 for _, column, _ in found)


def test_a_schema_survives_json():
    """to_dict and from_dict are each other's inverse."""
    assert Schema.from_dict(SCHEMA.to_dict()) == SCHEMA


def test_what_a_model_has_seen_survives_json():
    """Usual bounds and known texts come back as they were, through text too."""
    seen = Schema((replace(YEAR, usual_minimum=1994.0, usual_maximum=2015.0), replace(MAKE, known=("", "Ford"))), "USD")
    assert Schema.from_dict(json.loads(json.dumps(seen.to_dict()))) == seen


def test_a_schema_of_an_older_manifest_is_read():
    """One that does not say what the model has seen: nothing is told of it."""
    old = SCHEMA.to_dict()
    for column in old["inputs"]:
        for name in ("usual_minimum", "usual_maximum", "known"):
            del column[name]
    assert Schema.from_dict(old) == SCHEMA
    assert {(column.usual_minimum, column.usual_maximum, column.known) for column in SCHEMA.inputs} == {
        (None, None, ())
    }


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (Column("x", "numeric", unit="miles", minimum=0, maximum=1_000_000), "between 0 and 1000000 miles"),
        (Column("x", "numeric", minimum=1234567.5), "at least 1234567.5"),
        (Column("x", "numeric", unit="USD", maximum=2), "at most 2 USD"),
        (Column("x", "numeric"), "any finite number"),
    ],
)
def test_a_range_is_said_in_words(column, words):
    """With its unit, and without rounding."""
    assert describe_range(column) == words
