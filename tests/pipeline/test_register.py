"""Register: what stands in MLflow afterwards, that it can be called, and that there is one version whatever happens."""

from __future__ import annotations

import dataclasses
import itertools
import os
import secrets
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline import version_record
from pipeline.contract.bundle import sha256
from pipeline.errors import ModelRefused
from pipeline.register import Registered, register
from pipeline.registry import Registry
from pipeline.store import Store
from tests.pipeline import register_child
from tests.pipeline.mlflow_server import Proxy
from tests.pipeline.register_child import context
from tests.pipeline.tiny_model import (
    DATASET,
    SCHEMA,
    Folders,
    answer,
    json_rows,
    make_bundle,
    predictions,
    put,
    raw_rows,
)

MODEL = DATASET.model_name
factors = itertools.count(1)


@pytest.fixture
def folders(store: Store) -> Folders:
    """A bundle of a fingerprint that no other test has."""
    return put(store, make_bundle(1 + next(factors) / 10_000), predictions())


@pytest.fixture
def registry(mlflow_url: str) -> Registry:
    return Registry(mlflow_url)


@pytest.fixture
def quick_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version_record, "draw", lambda *arguments: {"plot": b"PNG"})


def run(store: Store, registry: Registry, folders: Folders, key: str | None = None) -> Registered:
    key = key or f"dag/{secrets.token_hex(4)}"
    return register(DATASET, store, registry, folders.bundle_ref, folders.trained_ref, context(key))


def state(registry: Registry, folders: Folders, key: str) -> dict[str, Any]:
    """How many of everything there are for a bundle and a run key."""
    client, experiment = registry.client, registry.client.get_experiment_by_name(MODEL).experiment_id
    fingerprint = folders.bundle.manifest.fingerprint
    versions = client.search_model_versions(f"name = '{MODEL}' and tags.fingerprint = '{fingerprint}'")
    runs = client.search_runs([experiment], f"tags.`gavel.run_key` = '{key}'")
    models = client.search_logged_models([experiment], f"tags.fingerprint = '{fingerprint}'")
    return {
        "versions": len(versions),
        "runs": [found.info.status for found in runs],
        "models": [(str(found.status), found.model_id) for found in models],
        "made of": [found.source.rpartition("/")[2] for found in versions],
    }


def whole(registry: Registry, folders: Folders, key: str) -> bool:
    """One finished run, one version, and one ready model folder that the version is made of."""
    found = state(registry, folders, key)
    ready = [("READY", made) for made in found["made of"]]
    models = [(status.rpartition(".")[2], made) for status, made in found["models"]]
    return found["versions"] == 1 and found["runs"] == ["FINISHED"] and models == ready


@pytest.fixture(scope="module")
def everything(mlflow_url: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Registry, Folders, Registered]:
    """One version with all that belongs to it, for the tests that only look."""
    from pipeline.store import open_store

    store, registry = open_store(f"file:{tmp_path_factory.mktemp('store')}"), Registry(mlflow_url)
    folders = put(store, make_bundle(0.99), predictions(0.99))
    return registry, folders, run(store, registry, folders, "car_price_daily/looked at")


def test_the_version_says_what_it_is(everything: tuple[Registry, Folders, Registered]) -> None:
    """Tags to find it by, and the model card as its description."""
    registry, folders, done = everything
    version = registry.client.get_model_version(MODEL, str(done.version))
    assert version.tags == {
        "fingerprint": folders.bundle.manifest.fingerprint,
        "digest": folders.bundle.digest,
        "data_day": "2015-06-10",
        "family": "boosting",
        "run_key": "car_price_daily/looked at",
    }
    assert version.description.startswith("### Used-car auction prices")
    assert done.model_uri == f"models:/{MODEL}/{done.version}"
    assert "`sellingprice`" in registry.client.get_registered_model(MODEL).description


def test_the_run_says_who_asked_and_what_came_of_it(everything: tuple[Registry, Folders, Registered]) -> None:
    """Name, tags, parameters, flat metrics."""
    registry, folders, done = everything
    found = registry.client.get_run(done.run_id)
    assert found.info.run_name == "2015-06-10 · boosting · scheduled"
    assert found.info.status == "FINISHED"
    tags, lineage = found.data.tags, folders.bundle.manifest.lineage
    assert tags["gavel.dag_run_id"] == "car_price_daily/looked at"
    assert (tags["gavel.data"], tags["gavel.code"], tags["gavel.lock"]) == (lineage["window_digest"], "c0de", "10c4")
    assert tags["gavel.version"] == str(done.version)
    assert tags["mlflow.note.content"].startswith(f"Made [{MODEL} version {done.version}](#/models/{MODEL}/versions/")
    assert "(http://airflow/run)" in tags["mlflow.note.content"]
    assert found.data.params["rows"] == "1000"
    metrics = found.data.metrics
    assert metrics["mae_ratio"] == pytest.approx(metrics["mae"] / metrics["baseline_mae"])
    assert metrics["coverage"] == 0.81
    assert metrics["mae_by_make/ford"] > 0
    assert metrics["candidate_linear_mae"] > 0
    assert done.run_url.endswith(f"/runs/{done.run_id}")


def test_the_data_is_named_and_not_copied(everything: tuple[Registry, Folders, Registered]) -> None:
    """Days, rows and digest of the window; no artifact holds the rows."""
    registry, _, done = everything
    (used,) = registry.client.get_run(done.run_id).inputs.dataset_inputs
    assert used.dataset.name == "car_auctions"
    assert sha256(b"window").startswith(used.dataset.digest)
    assert '"num_rows": 1000' in used.dataset.profile
    assert used.dataset.profile.count('"sha256"') == 10


def test_the_pages_have_their_pictures_and_files(everything: tuple[Registry, Folders, Registered]) -> None:
    """Plots, card, lineage and the bundle's small files with the run; the whole bundle with the model."""
    registry, _, done = everything
    client = registry.client
    plots = {found.path for found in client.list_artifacts(done.run_id, "plots")}
    wanted = {
        "predicted_against_actual",
        "residuals",
        "interval_calibration",
        "permutation_importance",
        "error_by_make",
    }
    assert {f"plots/{name}.png" for name in wanted} <= plots
    files = {found.path for found in client.list_artifacts(done.run_id)}
    assert {"bundle", "model_card.md", "metrics.json", "lineage.json"} <= files


def test_the_model_is_the_bundles_very_bytes(
    everything: tuple[Registry, Folders, Registered], tmp_path: Path, mlflow_url: str
) -> None:
    """Downloaded again, model, manifest and golden rows are what was exported; only the CPU is asked for."""
    import mlflow
    from mlflow.models import Model

    _, folders, done = everything
    mlflow.set_tracking_uri(mlflow_url)
    path = Path(mlflow.artifacts.download_artifacts(done.model_uri, dst_path=str(tmp_path)))
    for name, data in folders.bundle.files.items():
        assert (path / name).read_bytes() == data
    assert Model.load(str(path)).flavors["onnx"]["providers"] == ["CPUExecutionProvider"]
    requirements = (path / "requirements.txt").read_text().splitlines()
    assert sorted(line.partition("==")[0] for line in requirements) == ["mlflow", "onnx", "onnxruntime", "pandas"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("as_objects", [False, True])
def test_a_loaded_model_answers_like_onnxruntime(
    everything: tuple[Registry, Folders, Registered], mlflow_url: str, as_objects: bool
) -> None:
    """With missing numbers and texts, as pandas text or as plain objects, whatever the frame's index."""
    import mlflow

    _, folders, done = everything
    mlflow.set_tracking_uri(mlflow_url)
    rows = raw_rows(50, seed=4).iloc[10:]
    rows["make"] = rows["make"].astype(object) if as_objects else rows["make"].astype("str")
    assert rows["make"].isna().any()
    given = mlflow.pyfunc.load_model(done.model_uri).predict(rows)
    wanted = answer(folders.bundle.model, json_rows(rows))
    assert given.index.equals(rows.index)
    np.testing.assert_allclose(given[["price", "low", "high"]].to_numpy(), wanted, rtol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_the_signature_is_in_the_schemas_words(
    everything: tuple[Registry, Folders, Registered], mlflow_url: str
) -> None:
    """Real names, double and string, what is required; a column that is not need not be there, a required one must."""
    import mlflow

    _, folders, done = everything
    mlflow.set_tracking_uri(mlflow_url)
    model = mlflow.pyfunc.load_model(done.model_uri)
    inputs = {spec.name: (spec.type.name, spec.required) for spec in model.metadata.signature.inputs}
    kinds = {"numeric": "double", "categorical": "string"}
    assert inputs == {column.name: (kinds[column.kind], column.required) for column in SCHEMA.inputs}
    assert [spec.name for spec in model.metadata.signature.outputs] == ["price", "low", "high"]
    alone = model.predict(pd.DataFrame({"mmr": [10_000.0]}))
    np.testing.assert_allclose(alone.to_numpy(), answer(folders.bundle.model, [{"mmr": 10_000}]))
    with pytest.raises(mlflow.MlflowException, match="mmr"):
        model.predict(pd.DataFrame({"make": ["Ford"]}))


@pytest.mark.filterwarnings("ignore")
def test_the_input_example_runs(everything: tuple[Registry, Folders, Registered], mlflow_url: str) -> None:
    """Five real rows, as a frame and as the JSON that MLflow's own server takes."""
    import mlflow
    from mlflow.models import validate_serving_input
    from mlflow.models.utils import load_serving_example

    _, _, done = everything
    mlflow.set_tracking_uri(mlflow_url)
    model = mlflow.pyfunc.load_model(done.model_uri)
    assert model.input_example.shape == (5, 4)
    assert (model.predict(model.input_example)["price"] > 0).all()
    assert len(validate_serving_input(done.model_uri, load_serving_example(done.model_uri))) == 5


def test_a_repetition_changes_nothing(store: Store, registry: Registry, folders: Folders, quick_plots: None) -> None:
    """The same run again: same run, same version, the same metric points."""
    first = run(store, registry, folders, "dag/again")
    assert dataclasses.replace(run(store, registry, folders, "dag/again"), message=first.message) == first
    assert whole(registry, folders, "dag/again")
    assert len(registry.client.get_metric_history(first.run_id, "mae")) == 1


def test_another_run_with_the_same_fingerprint_finds_the_version(
    store: Store, registry: Registry, folders: Folders, quick_plots: None
) -> None:
    """It is a light run that points to the version: no second version, no second upload."""
    first, second = run(store, registry, folders, "dag/one"), run(store, registry, folders, "dag/two")
    assert second.version == first.version
    assert second.message == f"car_price version {first.version} found again"
    found = registry.client.get_run(second.run_id)
    assert found.data.tags["gavel.version_run"] == first.run_id
    assert found.data.tags["mlflow.note.content"].startswith("Found [")
    assert not registry.client.list_artifacts(second.run_id)
    assert whole(registry, folders, "dag/one")


def test_the_same_run_with_new_data_is_another_run_and_version(
    store: Store, registry: Registry, quick_plots: None
) -> None:
    """A DAG run that is cleared after its data or code changed does not overwrite what it wrote before."""
    before = put(store, make_bundle(1.5), predictions())
    after = put(store, make_bundle(1.6), predictions())
    first, second = run(store, registry, before, "dag/cleared"), run(store, registry, after, "dag/cleared")
    assert second.version > first.version
    assert second.run_id != first.run_id
    assert len(state(registry, before, "dag/cleared")["models"]) == 1


def test_a_fingerprint_with_other_content_is_refused(
    store: Store, registry: Registry, folders: Folders, quick_plots: None
) -> None:
    """A step that does not repeat itself exactly must not put other bytes under a known version."""
    run(store, registry, folders)
    manifest = folders.bundle.manifest
    other = make_bundle(2.5, lock="another")
    from pipeline.contract import bundle as bundles

    fake = bundles.build(
        other.model, other.golden, model_name=MODEL, data_day=manifest.data_day, fingerprint=manifest.fingerprint,
        schema=SCHEMA, metrics=manifest.metrics, lineage=manifest.lineage,
    )  # fmt: skip
    with pytest.raises(ModelRefused, match="does not repeat itself exactly"):
        run(store, registry, put(store, fake, predictions()), "dag/other bytes")
    assert state(registry, folders, "dag/other bytes")["runs"] == ["FAILED"]


def test_without_a_server_too(store: Store, folders: Folders, tmp_path: Path, quick_plots: None) -> None:
    """``pipeline.run`` registers in a plain SQLite file."""
    registry = Registry(f"sqlite:///{tmp_path}/mlflow.db")
    done = run(store, registry, folders, "run/day")
    assert (done.version, done.run_url) == (1, "")
    assert whole(registry, folders, "run/day")
    assert list(tmp_path.glob(f"mlflow-artifacts/{MODEL}/models/m-*/artifacts/model.onnx"))


KILL_POINTS = {
    "the run is made": ("POST", "/runs/create"),
    "the model folder is begun": ("POST", "/mlflow/logged-models"),
    "a file of the model is there": ("PUT", "/artifacts/manifest.json"),
    "the model folder is whole": ("PATCH", "/logged-models/"),
    "the metrics are written": ("POST", "/runs/log-batch"),
    "a file of the run is there": ("PUT", "/bundle/golden.json"),
    "the version is made": ("POST", "/model-versions/create"),
    "the run is finished": ("POST", "/runs/update"),
}


@pytest.mark.usefixtures("quick_plots")
@pytest.mark.parametrize("point", KILL_POINTS)
def test_killed_anywhere_the_next_run_leaves_one_of_everything(
    store: Store, registry: Registry, proxy: Proxy, folders: Folders, point: str
) -> None:
    """SIGKILL while MLflow takes the request: the repetition ends with one run, one version, one model folder."""
    wanted, ending = KILL_POINTS[point]
    killed: list[str] = []

    def kill(method: str, path: str) -> str:
        if not killed and method == wanted and ending in path and child.pid is not None:
            killed.append(path)
            os.kill(child.pid, signal.SIGKILL)
        return ""

    proxy.spoil = kill
    key = f"dag/killed when {point}"
    child = register_child.start(proxy.url, store.uri, folders, key)
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    run(store, registry, folders, key)
    assert whole(registry, folders, key)


def test_four_at_once_make_one_version(store: Store, registry: Registry, mlflow_url: str, folders: Folders) -> None:
    """Two DAG runs, each with a zombie of itself: whoever comes late takes the version of the first."""
    keys = ["dag/a", "dag/a", "dag/b", "dag/b"]
    children = [register_child.start(mlflow_url, store.uri, folders, key) for key in keys]
    for child in children:
        child.join(60)
    for key in set(keys):
        run(store, registry, folders, key)
    found = state(registry, folders, "dag/a")
    assert found["versions"] == 1
    assert [made for _, made in found["models"]] == found["made of"]
    assert [child.exitcode for child in children].count(0) >= 2
