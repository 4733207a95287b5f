"""The model card: says the figures, stays within MLflow's limit, and its curl line is a request that is accepted."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from pipeline.model_card import LONGEST, band_text, model_card
from tests.pipeline.tiny_model import DATASET, SCHEMA, make_bundle, metrics_of, predictions

IMPORTANCE = {"mmr": 4200.0, "make": 310.0, "odometer": 90.0, "year": 2.0}


def card(metrics: dict[str, Any] | None = None, **lineage: Any) -> str:
    return model_card(
        DATASET,
        make_bundle(**lineage).manifest,
        metrics or metrics_of(predictions()),
        IMPORTANCE,
        "http://serving:8000/",
    )


def test_it_says_what_from_what_and_how_well() -> None:
    """Target, unit, days, rows; the error beside baseline and naive guess; the interval; the cleaning."""
    text, metrics = card(), metrics_of(predictions())
    assert "Predicts `sellingprice`, the price the car went for, in USD, from 4 columns, with `mmr`" in text
    assert "1,000 sales of 10 days, 2015-06-01 to 2015-06-10, of `folder:/data/cars.parquet`" in text
    assert f"| **this model** (boosting) | {metrics['model']['mae']:,.0f} |" in text
    assert f"| `mmr` | {metrics['baseline']['mae']:,.0f} |" in text
    assert "| median by make, model, year |" in text
    assert "it held 81.0% of these prices" in text
    assert "divided by 10: 120 mended" in text
    assert "`mmr` (4,200 USD), `make` (310 USD), `odometer` (90 USD)" in text


def test_slices_show_the_best_and_the_worst() -> None:
    """By percentage error, those with enough rows, bands without their sorting number."""
    text = card()
    assert re.search(r"\| make \| best \| \S+ [\d.]+% \([\d,]+ USD\); ", text)
    assert re.search(r"\| price \| best \| \d+ to \d+ ", text)


def test_the_curl_line_is_a_valid_request() -> None:
    """Its JSON passes the schema that serving checks with."""
    command = re.search(r"curl -s http://serving:8000/v1/predict .* -d '(.*)'\n", card())
    assert command
    rows = json.loads(command.group(1))["rows"]
    assert SCHEMA.arrays(rows)["mmr"].tolist() == [[22_400.0]]


def test_without_a_baseline_there_is_no_such_row() -> None:
    """Neither in the table nor in the first sentence."""
    text = card(metrics_of(predictions().assign(baseline=float("nan"))), with_baseline=False)
    assert "| `mmr` |" not in text
    assert "without `mmr`" in text


def test_a_card_is_never_longer_than_mlflow_takes() -> None:
    """Also with a hundred cleaning rules and endless labels."""
    metrics = metrics_of(predictions())
    metrics["cleaning"] = {f"rule {number} " + "x" * 60: {"dropped": 1, "mended": 0} for number in range(100)}
    metrics["slices"] = {"make": {"m" * 300 + str(n): metrics["model"] for n in range(30)}}
    assert len(card(metrics)) == LONGEST


def test_nothing_to_tell_leaves_no_empty_headings() -> None:
    """No slices, no cleaning, no interval."""
    metrics = metrics_of(predictions()) | {"slices": {}, "cleaning": {}}
    metrics["model"] |= {"coverage": None, "mean_width": None, "r2": None}
    text = card(metrics)
    assert "### Cleaning" not in text
    assert "### Where" not in text
    assert "interval" not in text


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("3 10000 to 15000", "10000 to 15000"),
        ("0 below 2", "below 2"),
        ("7 50000 and more", "50000 and more"),
        ("4 runner", "4 runner"),
        ("ford", "ford"),
        ("8 (not known)", "(not known)"),
    ],
)
def test_a_band_loses_its_sorting_number(label: str, text: str) -> None:
    """And nothing else does."""
    assert band_text(label) == text
