"""The recorded requests of a bundle."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.contract.bundle import to_json
from pipeline.contract.schema import Column, Schema
from pipeline.errors import ModelRefused
from pipeline.golden import ROWS, record
from pipeline.hostile import UNSEEN
from pipeline.scoring import Scorer
from tests.pipeline.tiny_model import SCHEMA, answer, model_bytes, raw_rows


@pytest.fixture
def scorer():
    return Scorer(model_bytes(), SCHEMA)


def recorded(scorer, rows):
    return record(SCHEMA, scorer, rows, scorer.predict(rows))


def test_there_are_always_24_rows_with_finite_answers_of_the_model_itself(scorer):
    """The rows are what a request may hold, and the answers are the model's for them."""
    golden = recorded(scorer, raw_rows(500))
    assert len(golden.rows) == len(golden.answers) == ROWS == 24
    expected = answer(model_bytes(), golden.rows)
    assert np.isfinite(expected).all()
    np.testing.assert_allclose([[row[name] for name in SCHEMA.outputs] for row in golden.answers], expected, rtol=1e-12)


def test_they_spread_from_the_cheapest_to_the_dearest(scorer):
    """The cheapest and the dearest row are among them, and no price comes twice among the ordinary ones."""
    rows = raw_rows(500)
    prices = [row["price"] for row in recorded(scorer, rows).answers[: ROWS - ROWS // 3]]
    assert prices == sorted(prices)
    answers = scorer.predict(rows)[:, 0]
    assert (prices[0], prices[-1]) == (answers.min(), answers.max())


def test_some_have_missing_values_and_unseen_texts(scorer):
    """A third have null or a text that was never seen; a required column is never null."""
    odd = recorded(scorer, raw_rows(500)).rows[ROWS - ROWS // 3 :]
    assert any(row["make"] == UNSEEN for row in odd)
    assert any(row["year"] is None for row in odd)
    assert all(row["mmr"] is not None for row in odd)


def test_the_same_model_and_rows_record_the_same_requests(scorer):
    """Nothing is drawn at random."""
    first, second = (recorded(scorer, raw_rows(500)) for _ in range(2))
    assert to_json(first.rows) == to_json(second.rows)
    assert to_json(first.answers) == to_json(second.answers)


def test_rows_that_a_server_would_refuse_are_left_out(scorer):
    """A row outside a column's range, or without a required value, is never a golden row."""
    rows = raw_rows(60)
    rows.loc[::2, "year"] = 1500.0
    rows.loc[1::4, "mmr"] = np.nan
    golden = recorded(scorer, rows)
    assert golden.rows
    assert all(row["year"] != 1500 and row["mmr"] is not None for row in golden.rows)


def test_few_rows_are_enough(scorer):
    """A window with a single row still has golden rows."""
    assert len(recorded(scorer, raw_rows(1)).rows) > 1


def test_a_model_without_any_finite_answer_is_refused(scorer):
    """There is nothing to record, and the reason says so."""
    rows = raw_rows(5)
    with pytest.raises(ModelRefused, match="no finite answer"):
        record(SCHEMA, scorer, rows, np.full((5, 3), np.nan))


def test_a_schema_without_texts_has_golden_rows_too():
    """All columns may be numbers."""
    numeric = Schema((Column("mmr", "numeric", required=True),), "USD")

    class Doubled:
        def predict(self, frame):
            return frame[["mmr", "mmr", "mmr"]].to_numpy() * 2

    rows = raw_rows(50)[["mmr"]]
    assert len(record(numeric, Doubled(), rows, Doubled().predict(rows)).rows) > 10
