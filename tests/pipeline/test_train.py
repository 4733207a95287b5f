"""Train: the better candidate, its interval, its figures, and the same model whatever happens on the way."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.dummy import DummyRegressor
from threadpoolctl import threadpool_limits

from pipeline import train as train_module
from pipeline.errors import DataInvalid
from pipeline.group_effects import EFFECTS
from pipeline.metrics import measure, of_guess, of_model
from pipeline.store import Store, open_store
from pipeline.train import METRICS, PREDICTIONS, ROWS, candidates, interval_model, quantile, train
from pipeline.workspace import Ref, code_digest, read_file
from tests.pipeline.auction_rows import DATASET
from tests.pipeline.small_window import fit, loaded, matrices, prepare, put_window, small_models, table

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Ref, Ref]:
    """The store, the prepared folder and what the step made of it, for the tests that only look."""
    store = open_store(f"file:{tmp_path_factory.mktemp('train')}/store")
    prepared = prepare(store, put_window(store))
    return store, prepared, fit(store, prepared)


def metrics_of(store: Store, trained: Ref) -> dict[str, Any]:
    return json.loads(read_file(store, trained, METRICS))


def test_the_same_folder_is_found_again(made: tuple[Store, Ref, Ref], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is fitted twice; the sentence about it is the same."""
    store, prepared, trained = made
    monkeypatch.setattr(train_module, "_files", lambda *arguments: pytest.fail("made twice"))
    again = train(DATASET, store, prepared)
    assert Ref(again.prefix, again.digest) == trained
    model = metrics_of(store, trained)["model"]
    assert f"mean absolute error {model['mae']:,.0f} USD beside" in again.message
    assert "of mmr, on 260 rows of 2026-03-06 to 2026-03-09" in again.message
    assert again.message.endswith(f"{model['coverage']:.1%} in the interval")


def test_the_metrics_have_what_gate_and_register_read(made: tuple[Store, Ref, Ref]) -> None:
    """The model beside baseline and reference, slices, candidates, the family, what cleaning did."""
    store, prepared, trained = made
    metrics = metrics_of(store, trained)
    facts = json.loads(read_file(store, prepared, "facts.json"))
    assert set(metrics) == {
        "rows", "test_days", "model", "baseline", "reference", "slices", "candidates", "family", "cleaning",
    }  # fmt: skip
    assert metrics["test_days"] == facts["split"]["test"]
    assert metrics["rows"] == {name: facts["rows"][name] for name in ("train", "calibration", "test")}
    assert metrics["cleaning"] == facts["cleaning"]
    assert set(metrics["slices"]) == {"make", "age", "price"}
    assert metrics["family"] in metrics["candidates"]
    known = table(store, trained, PREDICTIONS)
    assert metrics["model"] == of_model(known).to_dict()
    assert metrics["baseline"] == of_guess(known, "baseline").to_dict()
    assert metrics["reference"] == of_guess(known, "reference").to_dict()


def test_the_manifests_facts_are_those_of_the_window(made: tuple[Store, Ref, Ref]) -> None:
    """Fingerprint, data day, lineage: what export puts into the bundle; the fingerprint is the folder's own key."""
    store, prepared, trained = made
    facts = json.loads(read_file(store, trained, "manifest_facts.json"))
    assert facts["fingerprint"] == trained.prefix.rpartition("/")[2]
    assert facts["data_day"] == "2026-03-09"
    assert facts["with_baseline"] is True
    assert facts["metrics"] == metrics_of(store, trained)
    assert facts["lineage"]["code"] == code_digest()
    assert read_file(store, trained, ROWS) == read_file(store, prepared, ROWS)


def test_a_prediction_stands_beside_each_test_row(made: tuple[Store, Ref, Ref]) -> None:
    """Clean columns, actual price, price and interval of the evaluation's model, baseline and reference."""
    store, prepared, trained = made
    known, rows = table(store, trained, PREDICTIONS), table(store, prepared, "rows.parquet")
    test = rows[rows["day"].isin(metrics_of(store, trained)["test_days"])].reset_index(drop=True)
    assert known[list(rows.columns)].equals(test)
    assert known["actual"].equals(test["sellingprice"].rename("actual"))
    assert known["baseline"].equals(test["mmr"].rename("baseline"))
    assert ((known["low"] <= known["price"]) & (known["price"] <= known["high"])).all()


def test_the_reference_is_the_median_of_the_group_on_the_train_days(made: tuple[Store, Ref, Ref]) -> None:
    """Of make, model and year; of all for a group that was not seen there."""
    store, prepared, trained = made
    rows, days = table(store, prepared, "rows.parquet"), json.loads(read_file(store, prepared, "facts.json"))["split"]
    known = rows[rows["day"].isin(days["train"])]
    seen: dict[tuple[Any, ...], list[float]] = {}
    for row in known.itertuples():
        seen.setdefault((row.make, row.model, row.year), []).append(row.sellingprice)
    medians = {group: float(np.median(prices)) for group, prices in seen.items()}
    found = table(store, trained, PREDICTIONS)
    everywhere = float(known["sellingprice"].median())
    wanted = [medians.get((row.make, row.model, row.year), everywhere) for row in found.itertuples()]
    assert found["reference"].tolist() == wanted
    assert everywhere in wanted
    assert len(set(wanted)) > 20


def test_the_released_model_has_the_interval_of_the_held_out_days(made: tuple[Store, Ref, Ref]) -> None:
    """It learned from all days; its offsets come from days that the evaluation's fit had not seen."""
    store, prepared, trained = made
    released = loaded(store, trained, "model.joblib")[-1]
    arrays, everything = matrices(store, prepared), matrices(store, prepared, "release")
    names = loaded(store, prepared, "evaluation.joblib").get_feature_names_out()
    with small_models(), threadpool_limits(1):
        point = train_module.candidates(7)[metrics_of(store, trained)["family"]]
        model = interval_model(DATASET, point, names, {"with_baseline": True, "seed": 7})
        model.fit(arrays["train_X"], arrays["train_y"])
        X, y = (np.concatenate([arrays[f"calibration_{each}"], arrays[f"test_{each}"]]) for each in "Xy")
        assert released.offsets_ == model.offsets_for(X, y) != (0, 0)
        evaluated = model.calibrate(arrays["calibration_X"], arrays["calibration_y"]).predict(arrays["test_X"])
        np.testing.assert_array_equal(table(store, trained, PREDICTIONS)[["price", "low", "high"]], evaluated)
        again = model.fit(everything["train_X"], everything["train_y"])
        np.testing.assert_array_equal(again.predict_point(X), released.predict_point(X))


def test_each_prepared_file_is_read_once(made: tuple[Store, Ref, Ref], monkeypatch: pytest.MonkeyPatch) -> None:
    """The matrices of real data are tens of megabytes each."""
    store, prepared, _ = made
    read: list[str] = []
    monkeypatch.setattr(train_module, "read_file", lambda *of: read.append(of[-1]) or read_file(*of))
    with small_models(), threadpool_limits(1):
        train_module._files(DATASET, store, prepared, "f")
    assert sorted(read) == sorted(set(read))


def test_every_feature_has_an_importance(made: tuple[Store, Ref, Ref]) -> None:
    """How much worse the price gets when the column is shuffled: the guide price matters most."""
    store, _, trained = made
    importance = json.loads(read_file(store, trained, "importance.json"))
    assert list(importance) == sorted(column.name for column in DATASET.columns)
    assert max(importance, key=importance.get) == "mmr"


def constants(**families: float) -> Any:
    """Candidates that answer a constant ratio to the baseline."""
    return lambda seed: {name: DummyRegressor(strategy="constant", constant=value) for name, value in families.items()}


@pytest.mark.parametrize("order", [("near", "far"), ("far", "near")])
def test_the_candidate_with_the_least_calibration_error_is_kept(
    made: tuple[Store, Ref, Ref], store: Store, order: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever their order, and whatever they would do on the test days."""
    ours, prepared, _ = made
    for key in list(ours.keys(f"{prepared.prefix}/")):
        store.create(key, ours.read(key).data)
    ratio = {"near": 0.97, "far": 1.3}
    monkeypatch.setattr(train_module, "candidates", constants(**{name: ratio[name] for name in order}))
    monkeypatch.setattr(
        train_module, "quantile", lambda level, seed: DummyRegressor(strategy="quantile", quantile=level)
    )
    trained = train(DATASET, store, prepared)
    ref = Ref(trained.prefix, trained.digest)
    metrics = metrics_of(store, ref)
    assert metrics["family"] == "near"
    arrays = matrices(ours, prepared)
    mmr = arrays["calibration_X"][:, 3]
    for name, value in ratio.items():
        assert metrics["candidates"][name]["mae"] == pytest.approx(measure(arrays["calibration_y"], value * mmr).mae)
    assert loaded(store, ref, "model.joblib")[-1].point_.constant_.item() == 0.97


def test_the_interval_model_is_built_around_the_baseline_or_the_effects() -> None:
    """Of the ratio to the baseline where there is one, otherwise of the price over what its groups say."""
    names = ["year", "mmr", EFFECTS]
    ratio = interval_model(DATASET, None, names, {"with_baseline": True, "seed": 1})
    assert (ratio.baseline_index, ratio.log_baseline, ratio.minimum) == (1, False, 1)
    plain = interval_model(DATASET, None, names, {"with_baseline": False, "seed": 1})
    assert (plain.baseline_index, plain.log_baseline) == (2, True)
    assert (ratio.lower.quantile, ratio.upper.quantile) == (pytest.approx(0.1), pytest.approx(0.9))


def test_the_recipes_are_seeded_and_stop_at_a_fixed_length() -> None:
    """Early stopping would set rows aside by chance."""
    bag = [model for _, model in candidates(3)["boosting"].estimators]
    assert [model.random_state for model in bag] == [3, 4]
    assert quantile(0.1, 3).random_state == 3
    assert not any(model.early_stopping for model in (*bag, quantile(0.1, 3)))


def test_a_changed_folder_is_found(store: Store) -> None:
    """Before anything is fitted on it or unpickled from it."""
    prepared = prepare(store, put_window(store))
    key = f"{prepared.prefix}/evaluation.joblib"
    store.replace(key, b"import os", store.read(key).etag)
    with pytest.raises(DataInvalid, match="was changed after it was written"):
        fit(store, prepared)


KILL_EVERYWHERE = """
import sys
from pipeline import preprocess as preprocessing, train as training
from pipeline.store import open_store
from tests.kill_points import killed_at
from tests.pipeline.small_window import fit, prepare, put_window

def once(module, name):
    # What a step makes is made once; killed and repeated is what it does with the store.
    make, made = getattr(module, name), []
    setattr(module, name, lambda *arguments: made[0] if made else made.append(make(*arguments)) or made[0])

def opened(folder):
    store = open_store(f"file:{sys.argv[1]}/{folder}")
    return store, put_window(store)

def steps(store, window):
    prepared = prepare(store, window)
    return prepared, fit(store, prepared)

def objects(store, prefix=""):
    return {key: store.read(key).data for key in store.keys(prefix)}

for module, name in ((preprocessing, "_learnable"), (preprocessing, "_files"), (training, "_files")):
    once(module, name)
whole = opened("whole")
refs, wanted, point = steps(*whole), objects(whole[0]), 0
while True:
    store, window = opened(point)
    if not killed_at(point, lambda: steps(store, window)):
        break
    for ref in refs:
        left = objects(store, ref.prefix)
        assert left in ({}, objects(whole[0], ref.prefix)), (point, sorted(left))
    store = open_store(store.uri)
    assert (steps(store, window), objects(store)) == (refs, wanted), point
    assert not list((store.root / ".tmp").iterdir()), point
    point += int(sys.argv[2])
print(point)
"""


def test_killed_at_any_point_the_steps_leave_nothing_half_and_end_the_same_when_run_again(tmp_path: Path) -> None:
    """SIGKILL before every fourth touch of the file system by preprocess and train."""
    done = subprocess.run(
        [sys.executable, "-c", KILL_EVERYWHERE, str(tmp_path), "4"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout) >= 20
