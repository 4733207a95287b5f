"""The steps as the DAG and the command line call them: settings and plain JSON values in, plain JSON values out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_limits

from pipeline import steps, version_record
from pipeline.errors import SettingsInvalid
from pipeline.settings import Settings
from pipeline.workspace import Ref
from tests.pipeline.auction_rows import as_parquet, sales
from tests.pipeline.small_window import DAYS, NEWEST, small_models

ROOT = Path(__file__).parents[2]
CONTEXT = {
    "run_key": "r",
    "dag_id": "d",
    "dag_run_id": "r",
    "data_day": "",
    "trigger": "manual",
    "reason": "",
    "url": "",
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    feed = tmp_path / "feed"
    feed.mkdir()
    for day in DAYS:
        (feed / f"{day}.parquet").write_bytes(as_parquet(sales(day, 130)))
    return Settings(
        source=f"folder:{feed}", store=f"file:{tmp_path}/store", mlflow_uri=f"sqlite:///{tmp_path}/mlflow.db",
        serving_urls=(), window_days=14,
    )  # fmt: skip


def through_json(value: Any) -> Any:
    """As one task hands it to the next."""
    return json.loads(json.dumps(value))


def test_a_day_goes_from_step_to_step_as_plain_values(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each result survives JSON, has a sentence for people, and is what the next step takes."""
    monkeypatch.setattr(version_record, "draw", lambda *arguments: {"plot": b"PNG"})
    with threadpool_limits(1), small_models():
        fetched = through_json(steps.fetch(settings, NEWEST.isoformat(), "2026-04-01"))
        scored = through_json(steps.score(settings, fetched["partition"]))
        prepared = through_json(steps.preprocess(settings, fetched["window"]))
        trained = through_json(steps.train(settings, prepared))
        bundle = through_json(steps.export(settings, trained))
        registered = through_json(steps.register(settings, bundle, trained, CONTEXT | {"data_day": fetched["day"]}))
        verdict = through_json(steps.gate(settings, bundle, trained, registered["version"], "tried by hand"))
        deployed = through_json(steps.deploy(settings, verdict, registered["version"], CONTEXT))
    assert (fetched["rows"], len(fetched["new_days"]), scored["version"]) == (130, 6, None)
    assert verdict["passed"]
    assert (deployed["live"], deployed["version"]) == (True, 1)
    for result in (fetched, prepared, trained, bundle, registered, verdict, deployed):
        assert result["message"]
        assert "\n" not in result["message"]


def test_the_settings_decide_about_baseline_and_seed(settings: Settings) -> None:
    """They are part of what is made, so other settings make another folder."""
    window = through_json(steps.fetch(settings, NEWEST.isoformat(), "2026-04-01"))["window"]
    changes: list[dict[str, Any]] = [{}, {"with_baseline": False}, {"seed": 8}]
    with threadpool_limits(1):
        made = {steps.preprocess(settings.model_copy(update=each), window)["prefix"] for each in changes}
    assert len(made) == 3


def test_a_reference_may_have_more_beside_it() -> None:
    """A result with its message is a reference too."""
    assert steps._ref({"prefix": "a/b", "digest": "c", "message": "x", "rows": 1}) == Ref("a/b", "c")


@pytest.mark.parametrize("day", ["", "yesterday", "2026-13-01", "01.03.2026"])
def test_what_is_no_day_is_refused_in_a_sentence(settings: Settings, day: str) -> None:
    """It says how a day is written."""
    with pytest.raises(SettingsInvalid, match="is not a day; write it as 2015-06-01"):
        steps.fetch(settings, day, "2026-04-01")


def test_importing_the_steps_loads_nothing_heavy() -> None:
    """Airflow parses the DAG with them."""
    heavy = ("pandas", "sklearn", "mlflow", "pyarrow", "onnxruntime", "boto3", "matplotlib")
    code = f"import sys, pipeline.steps; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
