"""Write a bundle down in the model registry: one MLflow run per DAG run, one version per fingerprint.

The same fingerprint again, by whichever run, finds the version that is there. Not here: how MLflow is
spoken to (``pipeline/registry.py``), whether the version is any good (``pipeline/gate.py``).
"""

from __future__ import annotations

import io
import json
import secrets
from dataclasses import dataclass

import pandas as pd

from pipeline.contract import bundle as bundles
from pipeline.contract.bundle import Bundle
from pipeline.datasets.declaration import Dataset
from pipeline.errors import GiveUp, ModelRefused
from pipeline.model_card import model_card
from pipeline.registry import Registry
from pipeline.registry_entries import Run, Version
from pipeline.registry_limits import RegistryRefused
from pipeline.store import Store
from pipeline.version_record import (
    RunContext,
    Trained,
    about,
    data_use,
    flat_metrics,
    folder,
    params,
    result_tags,
    run_files,
    run_name,
    run_tags,
    version_tags,
)
from pipeline.workspace import Ref, read_file


@dataclass(frozen=True, slots=True)
class Registered:
    """A model version and the MLflow run of this call; ``run_url`` is empty when MLflow has no server."""

    version: int
    run_id: str
    fingerprint: str
    model_uri: str
    run_url: str
    message: str


def register(
    dataset: Dataset,
    store: Store,
    registry: Registry,
    bundle: Ref,
    trained: Ref,
    run: RunContext,
    serving_url: str = "http://127.0.0.1:8000",
) -> Registered:
    """Register a bundle with its metrics, plots, lineage and model card.

    ``serving_url`` is the address in the model card's example. Killed at any point and called again it ends
    the same: one run per ``run.run_key`` and fingerprint, one version per fingerprint.

    Raises:
        ModelRefused: a version of this fingerprint exists with other content.
        RegistryUnavailable: MLflow does not answer; try again.
    """
    packed = bundles.read({name: read_file(store, bundle, name) for name in bundles.FILES})
    manifest = packed.manifest
    started = registry.start_run(
        manifest.model_name,
        about(dataset),
        key=run.run_key,
        fingerprint=manifest.fingerprint,
        name=run_name(packed, run),
        tags=run_tags(packed, run),
        attempt=secrets.token_hex(8),
    )
    try:
        version = registry.find_version(manifest.model_name, manifest.fingerprint)
        found = version is not None
        if version is None:
            version = _make(
                dataset, registry, started, packed, _read(store, trained), context=run, serving_url=serving_url
            )
        _check_same(version, packed)
        registry.remove_other_models(started, keep=version.logged_model)
    except GiveUp:
        registry.finish_run(started, {}, failed=True)
        raise
    registry.finish_run(started, result_tags(packed, version, run, own=version.run_id == started.id))
    return _registered(version, started, manifest.fingerprint, found=found)


def _make(
    dataset: Dataset,
    registry: Registry,
    run: Run,
    packed: Bundle,
    trained: Trained,
    *,
    context: RunContext,
    serving_url: str,
) -> Version:
    """All that a new version needs, the version itself last: once it is there, everything is."""
    manifest = packed.manifest
    card = model_card(dataset, manifest, trained.metrics, trained.importance, serving_url)
    tags = version_tags(packed, context)
    try:
        model = registry.add_model(
            run, manifest.model_name, tags, params(packed), folder(packed, trained.predictions, card)
        )
        numbers = flat_metrics(manifest.metrics)
        registry.write_down(run, model, params(packed), numbers, data_use(dataset, packed))
        registry.upload(run, run_files(dataset, packed, trained, card))
        return registry.add_version(
            manifest.model_name, about(dataset), run=run, logged_model=model, tags=tags, card=card
        )
    except RegistryRefused:
        # Another call for the same run was faster and has cleaned up after us.
        version = registry.find_version(manifest.model_name, manifest.fingerprint)
        if version is None:
            raise
        return version


def _registered(version: Version, run: Run, fingerprint: str, *, found: bool) -> Registered:
    verb = "found again" if found else "registered"
    return Registered(
        version=version.number,
        run_id=run.id,
        fingerprint=fingerprint,
        model_uri=f"models:/{version.model}/{version.number}",
        run_url=run.url,
        message=f"{version.model} version {version.number} {verb}",
    )


def _check_same(version: Version, packed: Bundle) -> None:
    known = version.tags.get("digest")
    if known != packed.digest:
        raise ModelRefused(
            f"version {version.number} was made of the same data, code and settings but is another bundle "
            f"({known} against {packed.digest}): a step does not repeat itself exactly"
        )


def _read(store: Store, trained: Ref) -> Trained:
    return Trained(
        metrics=json.loads(read_file(store, trained, "metrics.json")),
        predictions=pd.read_parquet(io.BytesIO(read_file(store, trained, "predictions.parquet"))),
        importance=json.loads(read_file(store, trained, "importance.json")),
    )
