"""The rows that are made to show a wrong conversion."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline import hostile
from pipeline.hostile import MOST_ROWS, UNSEEN, hostile_rows, thresholds
from tests.pipeline.fitted_model import DATASET, NUMBERS, TEXTS, cars, fitted, one_thread  # noqa: F401  a fixture

SCHEMA = DATASET.schema(True)


@pytest.fixture(scope="module")
def rows():
    return cars(300)


@pytest.fixture(scope="module")
def pipeline(rows):
    return fitted(rows)


def test_every_value_is_missing_at_once_and_alone(rows):
    """There is a row without any value, and for each column rows where only that one is missing."""
    made = hostile_rows(SCHEMA, {}, rows)
    missing = made[NUMBERS].isna().join(made[TEXTS] == "")
    assert missing.all(axis=1).any()
    full = hostile_rows(SCHEMA, {}, rows.assign(year=2010.0, miles=1.0, make="Ford", colour="red"))
    alone = (full[NUMBERS].isna().join(full[TEXTS] == "")).loc[lambda frame: frame.sum(axis=1) == 1]
    assert set(alone.idxmax(axis=1)) == {*NUMBERS, *TEXTS}


def test_every_text_column_has_unseen_and_odd_texts(rows):
    """Each text column meets an unseen text (alone and with the others), a long one, odd Unicode and other cases."""
    made = hostile_rows(SCHEMA, {}, rows)
    assert (made[TEXTS] == UNSEEN).all(axis=1).any()
    for name in TEXTS:
        found = set(made[name])
        assert {UNSEEN, "", "nan", "None", "\N{PILE OF POO}\N{ZERO WIDTH JOINER}\N{RIGHT-TO-LEFT OVERRIDE}"} <= found
        assert max(map(len, found)) == 10_000
    assert {"FORD", "ford", "fORD", "  Ford "} <= set(made["make"])


def test_every_numeric_column_has_its_ends_and_what_is_just_beyond(rows):
    """The ends of the allowed range, their neighbours on both sides, and values that are not whole."""
    made = hostile_rows(SCHEMA, {}, rows)
    for column in SCHEMA.inputs:
        if column.kind == "numeric":
            ends = {column.minimum, column.maximum}
            beyond = {np.nextafter(column.minimum, -np.inf), np.nextafter(column.maximum, np.inf)}
            assert ends | beyond | {-0.5, 1e18} <= set(made[column.name])


def test_each_threshold_meets_its_double_and_float32_neighbours(rows):
    """All five values are there, and each row changes one value of a real row."""
    threshold = 40_000.123456789
    made = set(hostile_rows(SCHEMA, {"miles": np.array([threshold])}, rows)["miles"])
    single = np.float32(threshold)
    below, above = float(np.nextafter(single, np.float32(0))), float(single)
    assert below < threshold < above
    assert {threshold, np.nextafter(threshold, 0), np.nextafter(threshold, np.inf), below, above} <= made


def test_a_threshold_that_float32_holds_exactly_has_both_of_its_neighbours(rows):
    """Where the threshold is a float32 itself, the next one on each side is taken."""
    made = set(hostile_rows(SCHEMA, {"miles": np.array([0.5])}, rows)["miles"])
    assert {0.5, *(float(np.nextafter(np.float32(0.5), np.float32(to))) for to in (0, 1))} <= made


def test_the_thresholds_are_those_of_the_plain_columns(pipeline, rows):
    """They are found by the raw column they split, wherever the features put it, and only there."""
    found = thresholds(pipeline)
    assert set(found) <= set(NUMBERS)
    miles = pipeline[-1].point_._predictors
    features = pipeline[:-1].get_feature_names_out()
    index = [i for i, name in enumerate(features) if name == "miles"]
    expected = {n["num_threshold"] for (t,) in miles for n in t.nodes if not n["is_leaf"] and n["feature_idx"] in index}
    assert expected
    assert expected <= set(found["miles"])
    assert (found["miles"] >= rows["miles"].min()).all()


def test_there_are_no_more_rows_than_the_cap_and_always_the_same(rows):
    """A model with very many thresholds is sampled, evenly and in the same way each time."""
    many = {"miles": np.linspace(0, 1e6, 30_000), "guide": np.linspace(0, 1e6, 30_000)}
    made = hostile_rows(SCHEMA, many, rows)
    assert 0.99 * MOST_ROWS < len(made) <= MOST_ROWS
    assert made.equals(hostile_rows(SCHEMA, many, rows))
    assert made["miles"].nunique() > 5_000
    assert made["guide"].nunique() > 5_000


def test_rows_have_the_schemas_columns_and_no_others(rows):
    """Prices and dates of the sample do not get in, and the dtypes stay those of clean rows."""
    made = hostile_rows(SCHEMA, {}, rows.head(1))
    assert list(made.columns) == [column.name for column in SCHEMA.inputs]
    assert all(made[name].dtype == np.float64 for name in NUMBERS)
    assert made[TEXTS].map(lambda value: isinstance(value, str)).all(axis=None)


def test_a_price_model_of_another_kind_has_no_thresholds(pipeline):
    """Without our price model there is nothing known about splits."""
    assert hostile.thresholds(pipeline[:-1]) == {}
