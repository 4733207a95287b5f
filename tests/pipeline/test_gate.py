"""The gate: what it lets pass, what it refuses, and that it says why."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.contract import bundle as bundles
from pipeline.contract import channel as channels
from pipeline.contract.bundle import MANIFEST, Bundle
from pipeline.contract.channel import Channel, Release
from pipeline.errors import ModelRefused
from pipeline.gate import Verdict, gate
from pipeline.store import Store
from tests.pipeline.noted_registry import NotedRegistry
from tests.pipeline.tiny_model import DATASET, make_bundle, metrics_of, predictions, put

MODEL = DATASET.model_name


def make_live(store: Store, bundle: Bundle, version: int = 1) -> None:
    store.publish(channels.release_prefix(MODEL, version), bundle.files, last=MANIFEST)
    release = Release(version, bundle.digest, bundle.manifest.data_day)
    store.replace(channels.channel_key(MODEL), Channel(MODEL).with_champion(release).to_bytes(), None)


def judge(
    store: Store,
    bundle: Bundle,
    table: pd.DataFrame,
    metrics: dict[str, Any] | None = None,
    *,
    margin: float = 0.02,
    force_reason: str = "",
) -> tuple[Verdict, dict[str, str]]:
    folders, registry = put(store, bundle, table, metrics), NotedRegistry()
    verdict = gate(store, registry, folders.bundle_ref, folders.trained_ref, 7, margin, force_reason)
    return verdict, registry.tags[7]


def check(verdict: Verdict, name: str) -> Any:
    return next(check for check in verdict.checks if check.name == name)


def test_a_good_first_version_passes(store: Store) -> None:
    """All checks have a figure and a sentence; there is no champion to compare with."""
    verdict, tags = judge(store, make_bundle(), predictions())
    assert verdict.passed
    assert tags["gate"] == "passed"
    assert [found.name for found in verdict.checks] == ["parity", "baseline", "coverage", "champion"]
    assert "there is no champion yet" in verdict.reason
    assert verdict.message.startswith("passed: ONNX differs")


def test_a_verdict_is_json(store: Store) -> None:
    """The DAG hands it on."""
    verdict, _ = judge(store, make_bundle(), predictions())
    assert json.loads(json.dumps(asdict(verdict)))["passed"] is True


@pytest.mark.parametrize(("parity", "passed"), [(1e-6, True), (1.1e-6, False), (float("1e300"), False)])
def test_parity_is_held_to_its_limit(store: Store, parity: float, passed: bool) -> None:
    """A relative difference of one in a million is the most."""
    verdict, tags = judge(store, make_bundle(parity=parity), predictions())
    assert verdict.passed is passed
    assert tags["gate"] == ("passed" if passed else "refused")


def test_no_record_of_parity_is_a_refusal(store: Store) -> None:
    """A bundle that nobody compared does not pass."""
    made = make_bundle()
    manifest = dataclasses.replace(made.manifest, metrics={})
    bundle = bundles.build(
        made.model, made.golden, model_name=MODEL, data_day=manifest.data_day, fingerprint="f", schema=manifest.schema,
        metrics={}, lineage=manifest.lineage,
    )  # fmt: skip
    verdict, _ = judge(store, bundle, predictions())
    assert verdict.reason == "the bundle has no record of ONNX against sklearn"


def test_worse_than_the_baseline_is_refused_and_said(store: Store) -> None:
    """The reason names both errors; the version is tagged with it."""
    verdict, tags = judge(store, make_bundle(1.3), predictions(1.3))
    assert not verdict.passed
    assert "not below the baseline's" in verdict.reason
    assert tags == {"gate": "refused", "gate_reason": verdict.reason}


def test_without_the_baseline_the_naive_guess_is_to_beat(store: Store) -> None:
    """A model that was not given the professional estimate is not measured by it."""
    verdict, _ = judge(store, make_bundle(1.3, with_baseline=False), predictions(1.3))
    assert verdict.passed
    assert check(verdict, "reference").limit > check(verdict, "reference").figure


def test_a_dataset_without_a_baseline_is_measured_by_the_naive_guess(store: Store) -> None:
    """No baseline figures at all."""
    table = predictions().assign(baseline=np.nan)
    assert check(judge(store, make_bundle(), table)[0], "reference").passed


@pytest.mark.parametrize(("coverage", "passed"), [(0.69, False), (0.7, True), (0.9, True), (0.91, False)])
def test_an_interval_that_is_no_80_percent_interval_is_refused(store: Store, coverage: float, passed: bool) -> None:
    """Both too narrow and too wide."""
    table = predictions()
    metrics = metrics_of(table)
    metrics["model"]["coverage"] = coverage
    verdict, _ = judge(store, make_bundle(), table, metrics)
    assert check(verdict, "coverage").passed is passed


def test_few_rows_do_not_judge_an_interval(store: Store) -> None:
    """Under 200 rows the share says little."""
    table = predictions(count=199)
    metrics = metrics_of(table)
    metrics["model"]["coverage"] = 0.2
    assert check(judge(store, make_bundle(), table, metrics)[0], "coverage").passed


def test_worse_than_the_champion_is_refused(store: Store) -> None:
    """On the same rows, those that are newer than the champion."""
    make_live(store, make_bundle(1.0, "2015-06-07"))
    verdict, tags = judge(store, make_bundle(1.06), predictions(1.06))
    assert not verdict.passed
    found = check(verdict, "champion")
    assert found.figure > found.limit
    assert "the same 300 newest rows" in tags["gate_reason"]


def test_better_than_the_champion_passes(store: Store) -> None:
    """The champion is scored by its own graph on the raw columns."""
    make_live(store, make_bundle(1.06, "2015-06-07"))
    verdict, _ = judge(store, make_bundle(), predictions())
    assert check(verdict, "champion").figure < check(verdict, "champion").limit
    assert verdict.passed


def test_a_little_worse_is_within_the_margin(store: Store) -> None:
    """A wide margin lets pass what a narrow one refuses."""
    make_live(store, make_bundle(1.0, "2015-06-07"))
    assert not judge(store, make_bundle(1.05), predictions(1.05), margin=0.02)[0].passed
    assert judge(store, make_bundle(1.05), predictions(1.05), margin=0.6)[0].passed


def test_noise_is_no_reason_to_refuse(store: Store) -> None:
    """A difference under two standard errors of the paired difference says nothing."""
    make_live(store, make_bundle(1.0, "2015-06-06"))
    table = predictions(1.0)
    noise = np.random.default_rng(5).normal(1, 0.005, len(table))
    assert judge(store, make_bundle(1.001), table.assign(price=table["price"] * noise), margin=0.0)[0].passed


def test_too_few_newer_rows_are_said(store: Store) -> None:
    """Days that the champion has learned do not count."""
    make_live(store, make_bundle(1.0, "2015-06-10"))
    verdict, _ = judge(store, make_bundle(1.05), predictions(1.05))
    assert verdict.passed
    assert "0 test rows are newer" in check(verdict, "champion").text


def test_the_same_bundle_is_live_already(store: Store) -> None:
    """A repeated run does not compete with itself."""
    make_live(store, make_bundle(1.0))
    verdict, _ = judge(store, make_bundle(1.0), predictions())
    assert "is live already" in check(verdict, "champion").text


def test_a_champion_with_a_column_the_rows_lack_is_not_compared(store: Store) -> None:
    """It says which column."""
    make_live(store, make_bundle(1.0, "2015-06-07"))
    verdict, _ = judge(store, make_bundle(1.01), predictions(1.01).drop(columns="odometer"))
    assert "'odometer'" in check(verdict, "champion").text


def test_a_champion_that_cannot_be_read_is_no_obstacle(store: Store) -> None:
    """A broken champion can only be replaced; the check says so."""
    bundle = make_bundle(1.0, "2015-06-07")
    make_live(store, bundle)
    key = f"{channels.release_prefix(MODEL, 1)}/golden.json"
    store.replace(key, b"{}", store.read(key).etag)
    verdict, _ = judge(store, make_bundle(1.05), predictions(1.05))
    assert "cannot be read" in check(verdict, "champion").text


def test_a_channel_that_cannot_be_read_stops_the_gate(store: Store) -> None:
    """Nobody knows what is live: a person must look."""
    store.create(channels.channel_key(MODEL), b"{")
    with pytest.raises(ModelRefused, match="channel document cannot be read"):
        judge(store, make_bundle(), predictions())


def test_force_passes_and_keeps_the_reason(store: Store) -> None:
    """The failed checks stay failed; who forced it is said."""
    verdict, tags = judge(store, make_bundle(1.3), predictions(1.3), force_reason="auction house asked")
    assert verdict.passed
    assert tags["gate"] == "forced: auction house asked"
    assert "although" in verdict.reason
    assert not check(verdict, "baseline").passed


def test_force_that_was_not_needed_is_not_noted(store: Store) -> None:
    """A good model has passed, whatever was ticked."""
    assert judge(store, make_bundle(), predictions(), force_reason="just in case")[1]["gate"] == "passed"
