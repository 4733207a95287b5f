"""Matrices to a fitted price model: candidates compared, interval calibrated, measured on the newest days, refitted.

Not here: which rows and columns the matrices hold (``pipeline/preprocess.py``), ONNX (``pipeline/export.py``).
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor, VotingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.cleaning import DAY
from pipeline.contract.bundle import to_json
from pipeline.datasets.declaration import Dataset
from pipeline.group_effects import EFFECTS
from pipeline.metrics import ACTUAL, BASELINE, HIGH, LOW, PRICE, REFERENCE, by_slice, measure, of_guess, of_model
from pipeline.model import COVERAGE, IntervalRegressor
from pipeline.store import Store
from pipeline.workspace import Ref, Workspace, code_digest, key_of, lock_digest, read_file

Floats = npt.NDArray[np.float64]
Arrays = dict[str, Floats]

MODEL, ROWS, PREDICTIONS = "model.joblib", "rows.parquet", "predictions.parquet"
METRICS, IMPORTANCE, MANIFEST_FACTS = "metrics.json", "importance.json", "manifest_facts.json"
IMPORTANCE_ROWS = 1_000
BAG = 2


@dataclass(frozen=True, slots=True)
class Trained:
    """Where the fitted model is, and how it did on the newest days, in a sentence."""

    prefix: str
    digest: str
    message: str


def train(dataset: Dataset, store: Store, prepared: Ref) -> Trained:
    """The model of a prepared folder; found again if it was made before.

    Raises:
        DataInvalid: the prepared folder was changed after it was written.
    """
    workspace = Workspace(store, f"trained/{dataset.name}")
    key = key_of("train", prepared.digest, code_digest(), lock_digest())
    ref = workspace.find(key) or workspace.publish(key, _files(dataset, store, prepared, key))
    metrics = json.loads(read_file(store, ref, METRICS))
    return Trained(ref.prefix, ref.digest, _message(dataset, metrics))


def _message(dataset: Dataset, metrics: dict[str, Any]) -> str:
    unit, model, other = dataset.target.unit, metrics["model"], metrics["baseline"] or metrics["reference"]
    beside = dataset.baseline if metrics["baseline"] else f"median by {', '.join(dataset.reference)}"
    return (
        f"{metrics['family']}: mean absolute error {model['mae']:,.0f} {unit} beside {other['mae']:,.0f} {unit} of"
        f" {beside}, on {model['rows']:,} rows of {metrics['test_days'][0]} to {metrics['test_days'][-1]};"
        f" {model['coverage']:.1%} in the interval"
    )


def candidates(seed: int) -> dict[str, Any]:
    """The point models that are compared: unfitted, by family. The mean of a few is calmer than one."""
    boosting = VotingRegressor([(f"seed_{i}", _boosting(seed + i)) for i in range(BAG)])
    linear = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler(), Ridge())
    return {"boosting": boosting, "linear": linear}


def _boosting(seed: int) -> HistGradientBoostingRegressor:
    return HistGradientBoostingRegressor(
        loss="absolute_error",
        max_iter=300,
        learning_rate=0.07,
        max_leaf_nodes=127,
        min_samples_leaf=20,
        max_features=0.4,
        early_stopping=False,
        random_state=seed,
    )


def quantile(level: float, seed: int) -> HistGradientBoostingRegressor:
    """An unfitted model of a quantile."""
    return HistGradientBoostingRegressor(
        loss="quantile",
        quantile=level,
        max_iter=100,
        learning_rate=0.1,
        min_samples_leaf=20,
        early_stopping=False,
        random_state=seed,
    )


def interval_model(dataset: Dataset, point: Any, features: Any, options: dict[str, Any]) -> IntervalRegressor:
    """The unfitted price model around ``point`` for a matrix with the columns ``features``."""
    names = list(features)
    with_baseline = options["with_baseline"] and dataset.baseline
    index = names.index(dataset.baseline if with_baseline else EFFECTS)
    tail = (1 - COVERAGE) / 2
    return IntervalRegressor(
        point,
        quantile(tail, options["seed"]),
        quantile(1 - tail, options["seed"]),
        index,
        log_baseline=not with_baseline,
        minimum=dataset.target.minimum,
    )


def _files(dataset: Dataset, store: Store, prepared: Ref, fingerprint: str) -> dict[str, bytes]:
    facts = json.loads(read_file(store, prepared, "facts.json"))
    rows_bytes = read_file(store, prepared, ROWS)
    rows = pd.read_parquet(io.BytesIO(rows_bytes))
    transformer, arrays = _fit_of(store, prepared, "evaluation")
    family, model, compared = _evaluate(dataset, transformer, arrays, facts["options"])
    parts = {name: rows[rows[DAY].isin(days)].reset_index(drop=True) for name, days in facts["split"].items()}
    table = _predictions(dataset, parts["train"], parts["test"], model.predict(arrays["test_X"]))
    released = _release(dataset, store, prepared, family, _held_out_offsets(model, arrays), facts["options"])
    metrics = {
        "rows": {name: facts["rows"][name] for name in ("train", "calibration", "test")},
        "test_days": facts["split"]["test"],
        "model": of_model(table).to_dict(),
        "baseline": _guess(table, BASELINE),
        "reference": _guess(table, REFERENCE),
        "slices": by_slice(dataset, table),
        "candidates": compared,
        "family": family,
        "cleaning": facts["cleaning"],
    }
    importance = _importance(dataset, Pipeline([*transformer.steps, ("price", model)]), parts["test"], facts["options"])
    return {
        MODEL: _dump(released),
        ROWS: rows_bytes,
        PREDICTIONS: _parquet(table),
        METRICS: to_json(metrics),
        IMPORTANCE: to_json(importance),
        MANIFEST_FACTS: to_json(
            {
                "fingerprint": fingerprint,
                "data_day": facts["data_day"],
                "metrics": metrics,
                "lineage": facts["lineage"],
                "with_baseline": facts["options"]["with_baseline"],
            }
        ),
    }


def _fit_of(store: Store, prepared: Ref, name: str) -> tuple[Pipeline, Arrays]:
    """A transformer and its matrices, from a folder of our own that ``read_file`` holds against its digest."""
    transformer = joblib.load(io.BytesIO(read_file(store, prepared, f"{name}.joblib")))
    with np.load(io.BytesIO(read_file(store, prepared, f"{name}.npz"))) as arrays:
        return transformer, dict(arrays)


def _evaluate(
    dataset: Dataset, transformer: Pipeline, arrays: Arrays, options: dict[str, Any]
) -> tuple[str, IntervalRegressor, dict[str, Any]]:
    """The family that is best on the calibration days, its model fitted on the train part, and all compared."""
    X, y = arrays["train_X"], arrays["train_y"]
    names = transformer.get_feature_names_out()
    compared: dict[str, Any] = {}
    models: dict[str, IntervalRegressor] = {}
    for family, point in candidates(options["seed"]).items():
        models[family] = interval_model(dataset, point, names, options)
        models[family].fit_point(X, y)
        price = models[family].predict_point(arrays["calibration_X"])
        compared[family] = {"mae": measure(arrays["calibration_y"], price).mae}
    family = min(compared, key=lambda name: float(compared[name]["mae"]))
    model = models[family].fit_bounds(X, y).calibrate(arrays["calibration_X"], arrays["calibration_y"])
    return family, model, compared


def _held_out_offsets(model: IntervalRegressor, arrays: Arrays) -> tuple[float, float]:
    """The offsets that all days ask for which the evaluated model has not learned from, the newest among them."""
    X = np.vstack([arrays["calibration_X"], arrays["test_X"]])
    return model.offsets_for(X, np.concatenate([arrays["calibration_y"], arrays["test_y"]]))


def _release(
    dataset: Dataset, store: Store, prepared: Ref, family: str, offsets: tuple[float, float], options: dict[str, Any]
) -> Pipeline:
    """The same recipe fitted on all days, with the ``offsets`` of the evaluation's held-out days."""
    transformer, arrays = _fit_of(store, prepared, "release")
    point = candidates(options["seed"])[family]
    model = interval_model(dataset, point, transformer.get_feature_names_out(), options)
    model.fit_point(arrays["train_X"], arrays["train_y"]).fit_bounds(arrays["train_X"], arrays["train_y"])
    model.offsets_ = offsets
    return Pipeline([*transformer.steps, ("price", model)])


def _predictions(dataset: Dataset, known: pd.DataFrame, test: pd.DataFrame, answers: Floats) -> pd.DataFrame:
    """The test rows with the actual price and every prediction beside it."""
    columns: dict[str, Any] = {name: answers[:, i] for i, name in enumerate((PRICE, LOW, HIGH))}
    columns[ACTUAL] = test[dataset.target.name]
    columns[BASELINE] = test[dataset.baseline] if dataset.baseline else np.nan
    columns[REFERENCE] = _reference(dataset, known, test)
    return test.assign(**columns)


def _reference(dataset: Dataset, known: pd.DataFrame, test: pd.DataFrame) -> Floats:
    """The median price of a row's group among the rows ``known``, or that of all for a group that was not seen."""
    groups = list(dataset.reference)
    median = known.groupby(groups)[dataset.target.name].median().rename("median").reset_index()
    found = test[groups].merge(median, on=groups, how="left")["median"]
    return found.fillna(known[dataset.target.name].median()).to_numpy(np.float64)


def _guess(table: pd.DataFrame, name: str) -> dict[str, Any] | None:
    found = of_guess(table, name)
    return None if found is None else found.to_dict()


def _importance(dataset: Dataset, pipeline: Pipeline, test: pd.DataFrame, options: dict[str, Any]) -> dict[str, float]:
    """How much the mean absolute error grows when a column is shuffled (Breiman, Machine Learning 45, 2001)."""
    columns = [column.name for column in dataset.features(options["with_baseline"])]
    rows = test.sample(min(IMPORTANCE_ROWS, len(test)), random_state=options["seed"]).reset_index(drop=True)
    actual = rows[dataset.target.name].to_numpy(np.float64)
    order = np.random.default_rng(options["seed"]).permutation(len(rows))
    shuffled = [rows[columns].assign(**{name: rows[name].to_numpy()[order]}) for name in columns]
    everything = pd.concat([rows[columns], *shuffled], ignore_index=True)
    price = pipeline[-1].predict_point(pipeline[:-1].transform(everything)).reshape(len(columns) + 1, -1)
    errors = np.abs(price - actual).mean(axis=1)
    return {name: float(error - errors[0]) for name, error in zip(columns, errors[1:], strict=True)}


def _dump(model: Pipeline) -> bytes:
    data = io.BytesIO()
    joblib.dump(model, data)
    return data.getvalue()


def _parquet(table: pd.DataFrame) -> bytes:
    data = io.BytesIO()
    table.to_parquet(data, index=False, compression="zstd")
    return data.getvalue()
