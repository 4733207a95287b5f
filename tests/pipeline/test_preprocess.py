"""Preprocess: a window is split by time, and nothing of the newer days reaches what the evaluation learns from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import preprocess as preprocess_module
from pipeline.contract.bundle import sha256
from pipeline.datasets import house_prices
from pipeline.errors import DataInvalid
from pipeline.group_effects import EFFECTS, GroupEffects
from pipeline.partitions import keep, write_window
from pipeline.preprocess import (
    CALIBRATION_ROWS,
    LARGEST_SHARE,
    TEST_ROWS,
    Options,
    build_transformer,
    preprocess,
    relative_target,
    split_days,
)
from pipeline.store import Store, open_store
from pipeline.workspace import Ref, read_file
from tests.pipeline.auction_rows import DATASET, sales
from tests.pipeline.small_window import DAYS, NEWEST, fit, loaded, matrices, prepare, put_window, table

ROOT = Path(__file__).parents[2]
DAY_ROWS = st.dictionaries(st.dates(date(2015, 1, 1), date(2015, 12, 31)), st.integers(0, 20_000), min_size=3)


# --- the split


@given(DAY_ROWS)
def test_every_day_is_in_exactly_one_part_and_time_goes_on_from_part_to_part(per_day: dict[date, int]) -> None:
    """Train, then calibration, then test; none is empty; the newest day is a test day."""
    days = {day.isoformat(): rows for day, rows in per_day.items()}
    split = split_days(days)
    assert [*split.train, *split.calibration, *split.test] == sorted(days)
    assert split.train
    assert split.calibration
    assert split.test[-1] == max(days)


@given(DAY_ROWS)
def test_test_and_calibration_take_no_day_more_than_they_need(per_day: dict[date, int]) -> None:
    """Without its oldest day a part would have too few rows."""
    days = {day.isoformat(): rows for day, rows in per_day.items()}
    split, share = split_days(days), LARGEST_SHARE * sum(days.values())
    for part, wanted in ((split.test, TEST_ROWS), (split.calibration, CALIBRATION_ROWS)):
        assert len(part) == 1 or sum(days[day] for day in part[1:]) < min(wanted, share)


def test_a_full_window_keeps_whole_days_of_enough_rows() -> None:
    """Ten days of 1,500 sales: two to test on, two to calibrate by, for a fifth of all is 3,000."""
    split = split_days({f"2015-06-{day:02d}": 1_500 for day in range(1, 11)})
    assert (len(split.train), len(split.calibration), len(split.test)) == (6, 2, 2)


# --- what the step leaves


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Ref, Ref]:
    """The store, the window and what the step made of it, for the tests that only look."""
    store = open_store(f"file:{tmp_path_factory.mktemp('preprocess')}/store")
    window = put_window(store)
    return store, window, prepare(store, window)


def test_the_matrices_have_the_rows_of_their_days(made: tuple[Store, Ref, Ref]) -> None:
    """The evaluation's three parts by their days; the release learns from all; prices stand beside them."""
    store, _, prepared = made
    facts, rows = json.loads(read_file(store, prepared, "facts.json")), table(store, prepared, "rows.parquet")
    evaluation, release = matrices(store, prepared), matrices(store, prepared, "release")
    days = {name: rows["day"].isin(facts["split"][name]) for name in ("train", "calibration", "test")}
    for name in ("calibration", "test"):
        assert evaluation[f"{name}_y"].tolist() == rows.loc[days[name], "sellingprice"].tolist()
        assert len(evaluation[f"{name}_X"]) == facts["rows"][name]
    learnable = rows["sellingprice"].ge(300) & (rows["sellingprice"] / rows["mmr"]).between(0.3, 2, inclusive="neither")
    assert evaluation["train_y"].tolist() == rows.loc[days["train"] & learnable, "sellingprice"].tolist()
    assert release["train_y"].tolist() == rows.loc[learnable, "sellingprice"].tolist()
    assert facts["rows"] == {"all": len(rows)} | {
        n: len(evaluation[f"{n}_y"]) for n in ("train", "calibration", "test")
    }


def test_the_facts_say_where_the_rows_come_from_and_what_was_done(made: tuple[Store, Ref, Ref]) -> None:
    """Lineage by day, version, rows and digest; a count for every rule."""
    store, window, prepared = made
    facts = json.loads(read_file(store, prepared, "facts.json"))
    assert facts["data_day"] == NEWEST.isoformat()
    assert facts["lineage"]["window_digest"] == window.digest
    assert [day[:3] for day in facts["lineage"]["days"]] == [[day.isoformat(), 1, 130] for day in DAYS]
    assert {"duplicates", "missing_marks", "price_slips"} <= facts["cleaning"].keys()
    assert facts["cleaning"]["price_slips"]["dropped"] == 130 * 6 - sum(
        (facts["cleaning"][rule]["dropped"] for rule in facts["cleaning"] if rule != "price_slips"),
        len(matrices(store, prepared, "release")["train_y"]),
    )


def test_a_kept_transformer_gives_the_kept_matrices(made: tuple[Store, Ref, Ref]) -> None:
    """What is released transforms rows as those were on which it was tested."""
    store, _, prepared = made
    facts, rows = json.loads(read_file(store, prepared, "facts.json")), table(store, prepared, "rows.parquet")
    test = rows[rows["day"].isin(facts["split"]["test"])]
    found = loaded(store, prepared, "evaluation.joblib").transform(test[[column.name for column in DATASET.columns]])
    np.testing.assert_array_equal(found, matrices(store, prepared)["test_X"])


def test_the_same_window_is_found_again(made: tuple[Store, Ref, Ref], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read or fitted; another seed is another folder."""
    store, window, prepared = made
    assert prepare(store, window, seed=8).prefix != prepared.prefix
    monkeypatch.setattr(preprocess_module, "_learnable", lambda *arguments: pytest.fail("made twice"))
    assert prepare(store, window) == prepared


# --- too little


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ((300, 300), "2 sale days with 600 rows; at least 3 days and 200 rows"),
        ((66, 66, 67), "3 sale days with 199 rows"),
        ((2, 1, 300), "2 rows until 2026-03-02, before the days to test on; 100 are needed"),
        ((1, 1, 300), "rows until 2026-03-02"),
    ],
)
def test_too_little_to_learn_from_is_said_and_is_no_error(store: Store, sizes: tuple[int, ...], said: str) -> None:
    """The rest of the run is skipped; nothing is written."""
    parts = [keep(store, DATASET, day, sales(day, rows)) for day, rows in zip(DAYS, sizes, strict=False)]
    before = list(store.keys("prepared"))
    found = preprocess(DATASET, store, write_window(store, DATASET.name, parts), Options())
    assert (found.prefix, found.digest) == ("", "")
    assert found.message.startswith("too little to learn from yet: ")
    assert said in found.message
    assert list(store.keys("prepared")) == before


def test_a_day_that_is_cleaned_away_does_not_count(store: Store) -> None:
    """Three days were delivered, but one of them without the baseline."""

    def without_guide(day: date, rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(mmr=np.nan) if day == DAYS[1] else rows

    found = preprocess(DATASET, store, put_window(store, without_guide, DAYS[:3]), Options())
    assert "2 sale days with 260 clean rows" in found.message


def test_a_changed_partition_is_found(store: Store) -> None:
    """Its rows are no longer what the window's digest stands for."""
    window = put_window(store, days=DAYS[:3])
    key = f"partitions/car_auctions/{DAYS[0]}/v1/rows.parquet"
    store.replace(key, store.read(f"partitions/car_auctions/{DAYS[1]}/v1/rows.parquet").data, store.read(key).etag)
    with pytest.raises(DataInvalid, match="was changed after it was written"):
        preprocess(DATASET, store, window, Options())


# --- what may influence what


def evaluation_of(store: Store, prepared: Ref) -> tuple[bytes, dict[str, Any]]:
    return read_file(store, prepared, "evaluation.joblib"), matrices(store, prepared)


@pytest.mark.parametrize("part", ["calibration", "test"])
def test_the_prices_of_held_out_days_do_not_influence_the_evaluation(
    made: tuple[Store, Ref, Ref], store: Store, part: str
) -> None:
    """Other prices on those days: the same transformer, the same matrices, to the last bit."""
    ours, _, prepared = made
    days = json.loads(read_file(ours, prepared, "facts.json"))["split"][part]

    def dearer(day: date, rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(sellingprice=rows["sellingprice"] + 400) if day.isoformat() in days else rows

    changed = prepare(store, put_window(store, dearer))
    (before, arrays), (after, others) = evaluation_of(ours, prepared), evaluation_of(store, changed)
    assert before == after
    for name in arrays:
        assert np.array_equal(arrays[name], others[name], equal_nan=True) == (name != f"{part}_y")
    assert read_file(ours, prepared, "release.joblib") != read_file(store, changed, "release.joblib")


def test_the_prices_of_train_days_do(made: tuple[Store, Ref, Ref], store: Store) -> None:
    """Otherwise the test above would prove nothing."""
    ours, _, prepared = made

    def dearer(day: date, rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(sellingprice=rows["sellingprice"] + 400) if day == DAYS[0] else rows

    changed = prepare(store, put_window(store, dearer))
    assert evaluation_of(ours, prepared)[0] != evaluation_of(store, changed)[0]


def test_without_the_baseline_its_column_is_never_touched(store: Store) -> None:
    """Any guide prices: the same matrices, the same model."""

    def other_guide(day: date, rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(mmr=rows["mmr"] * 3 + 1)

    before, after = (prepare(store, put_window(store, c), with_baseline=False) for c in (lambda d, r: r, other_guide))
    assert before != after
    for name in ("evaluation", "release"):
        assert read_file(store, before, f"{name}.joblib") == read_file(store, after, f"{name}.joblib")
        assert read_file(store, before, f"{name}.npz") == read_file(store, after, f"{name}.npz")
    models = [read_file(store, fit(store, each), "model.joblib") for each in (before, after)]
    assert models[0] == models[1]
    assert "mmr" not in loaded(store, before, "release.joblib").get_feature_names_out()


def test_the_target_of_the_effects() -> None:
    """The ratio to the baseline; without one, or in a dataset that has none, the logarithm of the price."""
    rows = pd.DataFrame({"sellingprice": [9_000.0], "mmr": [10_000.0], "sale_price": [200_000.0]})
    assert relative_target(DATASET, Options(), rows).tolist() == [0.9]
    assert relative_target(DATASET, Options(with_baseline=False), rows).tolist() == [np.log(9_000)]
    assert relative_target(house_prices.DATASET, Options(), rows).tolist() == [np.log(200_000)]


def test_a_dataset_without_a_baseline_has_effects_on_the_logarithm() -> None:
    """The sum of the effects stands in for the baseline, so no other model may explain the price before them."""
    steps = build_transformer(house_prices.DATASET, Options()).steps
    effects = next(part for name, part, _ in steps[-1][1].transformers if name == "effects")
    assert isinstance(effects, GroupEffects)
    assert effects.first is None
    assert effects.clip == np.inf


def test_the_features_have_the_columns_names(made: tuple[Store, Ref, Ref]) -> None:
    """The price model finds the baseline by its name; texts come in by what they tell about the price."""
    store, _, prepared = made
    names = list(loaded(store, prepared, "evaluation.joblib").get_feature_names_out())
    assert names[:4] == ["year", "condition", "odometer", "mmr"]
    assert {"odometer_to_make_model_trim_year", "make_effect", "seller_make_model_effect", EFFECTS} <= set(names)
    assert not {"make", "seller"} & set(names)
    assert len(names) == len(set(names)) == matrices(store, prepared)["train_X"].shape[1]


# --- the same again, elsewhere

AGAIN = """
import sys
from pipeline.store import open_store
from tests.pipeline.small_window import fit, prepare, put_window
store = open_store(f"file:{sys.argv[1]}")
print(prepare(store, put_window(store)), fit(store, prepare(store, put_window(store))))
"""


def test_another_process_makes_the_same_bytes(made: tuple[Store, Ref, Ref], tmp_path: Path) -> None:
    """However its hashes are seeded: the same folders under the same digests, of preprocess and of train."""
    store, _, prepared = made
    environment = {**os.environ, "PYTHONHASHSEED": "4711", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", AGAIN, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    trained = fit(store, prepared)
    assert done.stdout.strip() == f"{prepared} {trained}"
    other = open_store(f"file:{tmp_path}")
    for ref in (prepared, trained):
        for key in store.keys(f"{ref.prefix}/"):
            assert sha256(store.read(key).data) == sha256(other.read(key).data), key
    assert f"{trained.prefix}/model.joblib" in store.keys("trained")
