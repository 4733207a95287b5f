"""The real sales beside the repository, where they are: all three files go through the one dataset file."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from pipeline import version_record
from pipeline.cleaning import DAY, RuleCount, clean, for_training
from pipeline.fetch import fetch
from pipeline.partitions import read_partition
from pipeline.run import main
from pipeline.sources import open_source
from pipeline.store import open_store
from tests.pipeline.auction_rows import DATASET, SHARED_DATA, needs_shared_data
from tests.pipeline.small_window import small_models

pytestmark = needs_shared_data
TODAY = date(2030, 1, 1)


def fetched(name: str, day: date, folder: Path) -> tuple[pd.DataFrame, dict[str, RuleCount]]:
    """A day of a file through fetch and cleaning: clean rows, and what each rule did."""
    source = open_source(f"folder:{SHARED_DATA / name}", DATASET, seed=0, today=TODAY)
    store = open_store(f"file:{folder}")
    partition = fetch(DATASET, source, store, day, 3).partition
    raw = read_partition(store, partition).assign(**{DAY: partition.day})
    rows, counts = clean(DATASET, raw)
    assert partition.rows == len(raw) == len(source.read(day))
    return rows, {count.rule: count for count in counts}


def in_order(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.sort_values(list(rows.columns), ignore_index=True)


def test_the_sample_and_the_large_file_have_the_same_sales(tmp_path: Path) -> None:
    """A day out of the CSV and out of the Parquet file: the same clean rows, whatever their form."""
    typed, text = (
        fetched(name, date(2015, 5, 14), tmp_path / name)[0]
        for name in ("car_auctions.parquet", "car_auctions_sample.csv")
    )
    assert len(typed) == 495
    pd.testing.assert_frame_equal(in_order(typed), in_order(text))


def test_the_largest_day_is_cleaned_by_the_declared_rules(tmp_path: Path) -> None:
    """Few rows are lost, marks and ranges are mended, and what is left is within its ranges."""
    rows, did = fetched("car_auctions.parquet", date(2015, 6, 3), tmp_path)
    assert 13_600 < len(rows) <= 13_773
    assert sum(count.dropped for count in did.values()) == 13_773 - len(rows)
    assert did["missing_marks"].mended > 5
    assert did["condition_scale"].mended == 0
    assert rows["condition"].dropna().between(1, 5).all()
    learn, _ = for_training(DATASET, rows, with_baseline=True)
    assert 0.97 < len(learn) / len(rows) < 1


def test_the_raw_text_goes_through_the_same_dataset_file(tmp_path: Path) -> None:
    """BOM, CRLF, dates in words; grades of 11 to 49 become 1.1 to 4.9."""
    rows, did = fetched("car_auctions_raw_text.csv", date(2014, 12, 18), tmp_path)
    assert len(rows) > 500
    assert did["unreadable"].mended == 0
    assert did["condition_scale"].mended > 0.5 * len(rows)
    assert rows["condition"].dropna().between(1, 5).all()
    assert rows["condition"].isna().mean() < 0.5
    assert np.median(np.abs(rows["mmr"] / rows["sellingprice"] - 1)) < 0.1
    assert set(rows[DAY]) == {"2014-12-18"}


def test_the_long_file_of_two_models_does_too(tmp_path: Path) -> None:
    """Text in Parquet, with empty cells for what is missing."""
    rows, did = fetched("car_auctions_two_models.parquet", date(2015, 6, 3), tmp_path)
    assert len(rows) == 463
    assert did["unreadable"].mended == 0
    assert set(rows["model"].str.lower()) == {"camry", "odyssey"}


def test_a_few_days_of_the_sample_go_the_whole_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fetch to deploy with small models: versions by day, exact parity, and the first full day is scored by an older one."""
    monkeypatch.setattr(version_record, "draw", lambda *arguments: {"plot": b"PNG"})
    first = date(2015, 5, 13)
    arguments = [
        "--source",
        f"folder:{SHARED_DATA}/car_auctions_sample.csv",
        "--state",
        str(tmp_path / "state"),
        "--json",
    ]
    arguments += ["--from", first.isoformat(), "--to", (first + timedelta(days=6)).isoformat(), "--window-days", "14"]
    with threadpool_limits(1), small_models():
        assert main(arguments) == 0
    document = json.loads(capsys.readouterr().out)
    days = document["days"]
    assert [(day["day"][5:], day["rows"]) for day in days][:3] == [("05-13", 315), ("05-14", 495), ("05-15", 128)]
    assert [day["version"] for day in days] == [1, 2, 3, 4, 5]
    assert all(day["parity_max_rel"] <= 1e-6 for day in days)
    assert sum(day["live"] for day in days) >= 1
    assert document["pooled"]["mae"] < 1.2 * document["pooled"]["baseline_mae"]
