"""The export step: a trained folder to a bundle in the store."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pipeline import export as step
from pipeline.contract import bundle as bundles
from pipeline.errors import DataInvalid, ModelRefused
from pipeline.export import export
from pipeline.scoring import Scorer
from pipeline.seen_values import with_seen
from pipeline.workspace import INDEX, read_file
from tests.pipeline.fitted_model import DATASET, cars, fitted, one_thread, put  # noqa: F401  a fixture


@pytest.fixture(scope="module")
def rows():
    return cars(250)


@pytest.fixture(scope="module")
def pipeline(rows):
    return fitted(rows)


def read(store, exported):
    return bundles.read({name: read_file(store, exported, name) for name in bundles.FILES})


def test_the_bundle_holds_the_model_the_facts_and_the_parity(store, pipeline, rows):
    """What the train step said about the model is in the manifest, with the parity on every row added."""
    exported = export(DATASET, store, put(store, pipeline, rows))
    manifest = read(store, exported).manifest
    assert (manifest.model_name, manifest.data_day, manifest.fingerprint) == ("toy_price", "2015-06-10", "f1")
    assert manifest.schema == with_seen(DATASET.schema(True), pipeline, rows)
    assert all(column.known or column.usual_maximum for column in manifest.schema.inputs)
    assert manifest.metrics["mae"] == 1.5
    assert manifest.metrics["parity"]["rows"] == exported.rows > len(rows) + 100
    assert manifest.metrics["parity"]["max_relative_difference"] == exported.parity_max_rel < 1e-12
    assert manifest.lineage == {"rows": 250}
    assert exported.prefix.startswith("bundles/toy_cars/")
    assert f"{exported.rows:,} rows" in exported.message


def test_the_bundles_model_answers_as_the_pipeline_and_its_golden_rows_hold(store, pipeline, rows):
    """The model in the bundle is the one that was proven; what it answers to the golden rows is on record."""
    bundle = read(store, export(DATASET, store, put(store, pipeline, rows)))
    scorer = Scorer(bundle.model, bundle.manifest.schema)
    np.testing.assert_allclose(scorer.predict(rows), pipeline.predict(rows), rtol=1e-12)
    assert len(bundle.golden.rows) == 24
    assert bundle.golden.tolerance == 1e-6


def test_a_second_export_finds_the_first(store, pipeline, rows, monkeypatch: pytest.MonkeyPatch):
    """The same trained folder is not converted again."""
    trained = put(store, pipeline, rows)
    first = export(DATASET, store, trained)
    monkeypatch.setattr(step, "to_onnx", None)
    assert export(DATASET, store, trained) == first


def test_changed_code_makes_a_bundle_anew(store, pipeline, rows, monkeypatch: pytest.MonkeyPatch):
    """A bundle of older code is not taken for one of this code; the same content has the same digest."""
    trained = put(store, pipeline, rows)
    first = export(DATASET, store, trained)
    monkeypatch.setattr(step, "code_digest", lambda: "other")
    second = export(DATASET, store, trained)
    assert second.prefix != first.prefix
    assert second.digest == first.digest


def test_a_model_without_the_baseline_takes_no_baseline(store, rows):
    """The bundle's schema leaves the baseline column out."""
    trained = put(store, fitted(rows, baseline=False), rows, with_baseline=False)
    schema = read(store, export(DATASET, store, trained)).manifest.schema
    assert "guide" not in [column.name for column in schema.inputs]


@pytest.mark.parametrize("name", ["model.joblib", "rows.parquet", "manifest_facts.json", INDEX])
def test_a_changed_trained_folder_is_not_loaded(store, pipeline, rows, name):
    """A file that is not what the train step wrote is refused before it is opened."""
    trained = put(store, pipeline, rows)
    path = store.root / trained.prefix / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(DataInvalid, match="was changed"):
        export(DATASET, store, trained)


def test_a_graph_that_answers_otherwise_makes_no_bundle(store, pipeline, rows, monkeypatch: pytest.MonkeyPatch):
    """The refusal shows the worst rows, and nothing is in the store."""
    other = fitted(cars(250, seed=9))
    monkeypatch.setattr(step, "to_onnx", lambda _, schema, convert=step.to_onnx: convert(other, schema))
    trained = put(store, pipeline, rows)
    with pytest.raises(ModelRefused, match=r"worst rows:\n  row \d+ \(year="):
        export(DATASET, store, trained)
    assert list(store.keys("bundles/")) == []


def test_one_wrong_row_among_the_ordinary_ones_is_enough(store, pipeline, rows, monkeypatch: pytest.MonkeyPatch):
    """Every row of the window is proven: a pipeline that differs on the very last one is refused."""

    class OneRowOff(step.Scorer):
        def predict(self, frame):
            answers = super().predict(frame)
            if len(frame) == len(rows):
                answers[-1, 2] *= 1.00001
            return answers

    monkeypatch.setattr(step, "Scorer", OneRowOff)
    with pytest.raises(ModelRefused, match=f"row {len(rows) - 1} "):
        export(DATASET, store, put(store, pipeline, rows))


def test_one_wrong_hostile_row_is_enough(store, pipeline, rows, monkeypatch: pytest.MonkeyPatch):
    """A graph that is right on all ordinary rows and wrong where everything is missing is refused."""

    class MissingOff(step.Scorer):
        def predict(self, frame):
            answers = super().predict(frame)
            answers[(frame["make"] == "") & frame["year"].isna() & frame["guide"].isna()] = 1.0
            return answers

    monkeypatch.setattr(step, "Scorer", MissingOff)
    with pytest.raises(ModelRefused, match="guide=nan"):
        export(DATASET, store, put(store, pipeline, rows))


def test_a_graph_that_onnxruntime_cannot_load_is_refused(store, pipeline, rows, monkeypatch: pytest.MonkeyPatch):
    """The reason is onnxruntime's."""
    monkeypatch.setattr(step, "to_onnx", lambda *_: b"not a model")
    with pytest.raises(ModelRefused, match="cannot load"):
        export(DATASET, store, put(store, pipeline, rows))


def test_the_result_is_plain_json(store, pipeline, rows):
    """What tasks hand each other is JSON-able."""
    from dataclasses import asdict

    assert json.loads(json.dumps(asdict(export(DATASET, store, put(store, pipeline, rows)))))["digest"]
