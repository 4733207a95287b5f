"""The trained Pipeline to a bundle: converted to ONNX, proven against the Pipeline, with golden rows recorded.

Not here: the conversion (``pipeline/conversion.py``), the comparison (``pipeline/parity.py``), a version number
(``pipeline/register.py``).
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
from sklearn.pipeline import Pipeline

from pipeline import golden
from pipeline.contract import bundle as bundles
from pipeline.contract.bundle import Bundle
from pipeline.contract.schema import Schema
from pipeline.conversion import to_onnx
from pipeline.datasets.declaration import Dataset
from pipeline.errors import ModelRefused
from pipeline.hostile import hostile_rows, thresholds
from pipeline.parity import Parity, check
from pipeline.scoring import Scorer
from pipeline.seen_values import with_seen
from pipeline.store import Store
from pipeline.workspace import Ref, Workspace, code_digest, key_of, lock_digest, read_file

Floats = npt.NDArray[np.float64]

MODEL, ROWS, FACTS = "model.joblib", "rows.parquet", "manifest_facts.json"


@dataclass(frozen=True, slots=True)
class Exported:
    """Where the bundle is; ``rows`` are all that parity was proven on, ordinary and hostile."""

    prefix: str
    digest: str
    rows: int
    parity_max_rel: float
    model_bytes: int

    @property
    def message(self) -> str:
        proven = f"differs from sklearn by {self.parity_max_rel:.1e} at most on {self.rows:,} rows"
        return f"ONNX model of {self.model_bytes / 1e6:.1f} MB; {proven}"


def export(dataset: Dataset, store: Store, trained: Ref) -> Exported:
    """The bundle of a trained model; found again if it was made before.

    Raises:
        ModelRefused: the model cannot be converted, or its graph does not answer as the model does.
        DataInvalid: the trained folder was changed after it was written.
    """
    workspace = Workspace(store, f"bundles/{dataset.name}")
    # The key of what it was trained from, not its bytes: the same model is pickled in more than one way.
    key = key_of("export", trained.prefix, code_digest(), lock_digest())
    ref = workspace.find(key) or workspace.publish(key, _bundle(dataset, store, trained).files)
    bundle = bundles.read({name: read_file(store, ref, name) for name in bundles.FILES})
    parity = bundle.manifest.metrics["parity"]
    return Exported(ref.prefix, ref.digest, parity["rows"], parity["max_relative_difference"], len(bundle.model))


def prove(pipeline: Pipeline, scorer: Scorer, schema: Schema, rows: pd.DataFrame) -> tuple[Parity, Floats]:
    """The parity on ``rows``, and the ONNX answers float64 [n, outputs].

    Raises:
        ModelRefused: a row differs, or onnxruntime cannot answer the rows at all.
    """
    try:
        answers = scorer.predict(rows)
    except Exception as error:  # onnxruntime's errors share no base class
        raise ModelRefused(f"onnxruntime cannot answer with the converted model: {error}") from error
    expected = np.asarray(pipeline.predict(rows[[column.name for column in schema.inputs]]), np.float64)
    return check(schema, rows, expected, answers), answers


def _bundle(dataset: Dataset, store: Store, trained: Ref) -> Bundle:
    facts: dict[str, Any] = json.loads(read_file(store, trained, FACTS))
    # joblib runs whatever the file says. This one is our own: read_file has just held it against the digest
    # that the train step handed over.
    pipeline = joblib.load(io.BytesIO(read_file(store, trained, MODEL)))
    rows = pd.read_parquet(io.BytesIO(read_file(store, trained, ROWS)))
    schema = with_seen(dataset.schema(facts["with_baseline"]), pipeline, rows)
    model = to_onnx(pipeline, schema)
    scorer = _scorer(model, schema)
    hostile, _ = prove(pipeline, scorer, schema, hostile_rows(schema, thresholds(pipeline), rows))
    parity, answers = prove(pipeline, scorer, schema, rows)
    return bundles.build(
        model,
        golden.record(schema, scorer, rows, answers),
        model_name=dataset.model_name,
        data_day=facts["data_day"],
        fingerprint=facts["fingerprint"],
        schema=schema,
        metrics={**facts["metrics"], "parity": _both(parity, hostile)},
        lineage=facts["lineage"],
    )


def _scorer(model: bytes, schema: Schema) -> Scorer:
    try:
        return Scorer(model, schema)
    except Exception as error:  # onnxruntime's errors share no base class
        raise ModelRefused(f"onnxruntime cannot load the converted model: {error}") from error


def _both(ordinary: Parity, hostile: Parity) -> dict[str, Any]:
    largest = max(ordinary.max_relative_difference, hostile.max_relative_difference)
    return {"rows": ordinary.rows + hostile.rows, "max_relative_difference": largest}
