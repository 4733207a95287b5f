"""What is written down of a version: names, tags, parameters, metrics, lineage, files. Plain values.

Not here: when and in which order it is written (``pipeline/register.py``), or where (``pipeline/registry.py``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline import frame_model
from pipeline.contract import bundle as bundles
from pipeline.contract.bundle import Bundle, sha256
from pipeline.contract.schema import Schema
from pipeline.datasets.declaration import Dataset
from pipeline.plots import draw
from pipeline.registry_entries import DataUse, ModelFolder, Version

EXAMPLE_ROWS = 5
SLICES_SHOWN = 25  # metrics of at most so many values of a slice, those with the most rows
LOADER = "gavel_frame_model"
TYPES = {"numeric": "double", "categorical": "string"}
REQUIREMENTS = ("mlflow", "onnx", "onnxruntime", "pandas")


@dataclass(frozen=True, slots=True)
class RunContext:
    """Who asks. ``run_key`` is one value per DAG run; ``trigger`` is scheduled, manual...; the rest may be empty."""

    run_key: str
    dag_id: str
    dag_run_id: str
    data_day: str
    trigger: str
    reason: str
    url: str


@dataclass(frozen=True, slots=True)
class Trained:
    """What the trained folder has: metrics.json, the predictions of the test rows, importance.json."""

    metrics: dict[str, Any]
    predictions: pd.DataFrame
    importance: dict[str, float]


def about(dataset: Dataset) -> str:
    """The description of the registered model and of its experiment."""
    target = dataset.target
    return (
        f"**{dataset.title}.** Predicts `{target.name}` ({target.description}, in {target.unit}) "
        "with an 80 % interval.\n\n"
        "One version per data window; `champion` is what ought to be live. A version's description is its model card."
    )


def run_name(packed: Bundle, run: RunContext) -> str:
    return f"{packed.manifest.data_day} · {family_of(packed)} · {run.trigger}"


def family_of(packed: Bundle) -> str:
    return str(packed.manifest.metrics.get("family", "model"))


def run_tags(packed: Bundle, run: RunContext) -> dict[str, str]:
    """Tags of the run: who asked, and the digests of what it is made of."""
    lineage = packed.manifest.lineage
    tags = {f"gavel.{name}": value for name, value in asdict(run).items() if name != "run_key" and value}
    digests = {"code": lineage.get("code"), "data": lineage.get("window_digest"), "lock": lineage.get("lock")}
    tags |= {f"gavel.{name}": str(digest) for name, digest in digests.items() if digest}
    tags |= {"gavel.family": family_of(packed), "gavel.fingerprint": packed.manifest.fingerprint}
    return tags | {
        "mlflow.source.name": run.dag_id or "pipeline.run",
        "mlflow.source.type": "JOB",
        "mlflow.user": "gavel",
    }


def version_tags(packed: Bundle, run: RunContext) -> dict[str, str]:
    return {
        "fingerprint": packed.manifest.fingerprint,
        "digest": packed.digest,
        "data_day": packed.manifest.data_day,
        "family": family_of(packed),
        "run_key": run.run_key,
    }


def result_tags(packed: Bundle, version: Version, run: RunContext, *, own: bool) -> dict[str, str]:
    """What came of a run, for programs and, as its description, for people. ``own``: this run made the version."""
    link = f"[{version.model} version {version.number}](#/models/{version.model}/versions/{version.number})"
    figures = flat_metrics(packed.manifest.metrics)
    lines = [f"Made {link}." if own else f"Found {link}: it was made of the same data, code and settings before."]
    if "mae" in figures:
        lines += [f"Mean error {figures['mae']:,.0f} {packed.manifest.schema.output_unit} on the newest days."]
    lines += [f"[The run that asked]({run.url})."] if run.url else []
    note = " ".join(lines)
    return {"gavel.version": str(version.number), "gavel.version_run": version.run_id, "mlflow.note.content": note}


def flat_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Numbers by flat name: ``mae`` of the model, ``baseline_mae``, ``mae_ratio``, ``mae_by_make/Ford``..."""
    flat: dict[str, float] = {}
    for part, prefix in (("model", ""), ("baseline", "baseline_"), ("reference", "reference_")):
        flat |= _numbers(metrics.get(part) or {}, prefix)
    for part, name in (("baseline", "mae_ratio"), ("reference", "reference_mae_ratio")):
        if flat.get(f"{part}_mae"):
            flat[name] = flat["mae"] / flat[f"{part}_mae"]
    flat |= _numbers(metrics.get("parity") or {}, "parity_")
    flat |= _numbers(metrics.get("rows") or {}, "rows_")
    for name, figures in (metrics.get("candidates") or {}).items():
        flat |= _numbers(figures, f"candidate_{name}_")
    return flat | dict(_slice_metrics(metrics.get("slices") or {}))


def _numbers(figures: Mapping[str, Any], prefix: str) -> dict[str, float]:
    return {f"{prefix}{name}": float(value) for name, value in figures.items() if isinstance(value, int | float)}


def _slice_metrics(slices: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[tuple[str, float]]:
    for name, values in slices.items():
        largest = sorted(values.items(), key=lambda item: (-item[1]["rows"], item[0]))[:SLICES_SHOWN]
        for label, figures in largest:
            # MLflow allows letters, digits and a few signs in a metric's name.
            plain = "".join(sign if sign.isalnum() or sign in "_-. " else "_" for sign in label).strip()
            yield f"mae_by_{name}/{plain or 'not known'}", float(figures["mae"])


def params(packed: Bundle) -> dict[str, Any]:
    lineage, schema = packed.manifest.lineage, packed.manifest.schema
    days = lineage["days"]
    return {
        "dataset": lineage["dataset"],
        "data_day": packed.manifest.data_day,
        "first_day": days[0][0],
        "days": len(days),
        "rows": lineage["rows"],
        "seed": lineage["seed"],
        "with_baseline": lineage["with_baseline"],
        "family": family_of(packed),
        "columns": len(schema.inputs),
    }


def data_use(dataset: Dataset, packed: Bundle) -> DataUse:
    """What the model learned from, by name and digest: MLflow gets no copy of the rows."""
    lineage = packed.manifest.lineage
    days = lineage["days"]
    return DataUse(
        name=lineage["dataset"],
        digest=lineage["window_digest"],
        source={"uri": lineage["source"], "first_day": days[0][0], "last_day": days[-1][0], "days": len(days)},
        columns=[(column.name, TYPES[column.kind]) for column in packed.manifest.schema.inputs]
        + [(dataset.target.name, "double")],
        profile={
            "num_rows": lineage["rows"],
            "num_days": len(days),
            "days": [dict(zip(("day", "version", "rows", "sha256"), day, strict=True)) for day in days],
        },
    )


def folder(packed: Bundle, predictions: pd.DataFrame, card: str) -> ModelFolder:
    schema = packed.manifest.schema
    loader = Path(frame_model.__file__).read_bytes()
    return ModelFolder(
        files={**packed.files, "model_card.md": card.encode(), f"code/{LOADER}.py": loader},
        inputs=[(column.name, TYPES[column.kind], column.required) for column in schema.inputs],
        outputs=schema.outputs,
        example=example(schema, predictions),
        requirements=[f"{name}=={installed(name)}" for name in REQUIREMENTS],
        loader=LOADER,
        sha256=sha256(packed.model),
    )


def example(schema: Schema, predictions: pd.DataFrame) -> pd.DataFrame:
    """A few real rows to call the model with, whole ones first: float64 and text columns, as the signature says."""
    wanted = [column for column in schema.inputs if column.name in predictions]
    rows = predictions[[column.name for column in wanted]]
    gaps = rows.isna() | (rows == "")
    rows = rows.loc[gaps.sum(axis=1).sort_values(kind="stable").index[:EXAMPLE_ROWS]].reset_index(drop=True)
    columns = {}
    for column in wanted:
        values = rows[column.name]
        numeric = column.kind == "numeric"
        columns[column.name] = values.astype("float64") if numeric else values.astype(object).where(values.notna(), "")
    return pd.DataFrame(columns)


def run_files(dataset: Dataset, packed: Bundle, trained: Trained, card: str) -> dict[str, bytes]:
    """What the run's page shows: plots, model card, lineage and metrics in full, the bundle's small files."""
    pictures = draw(trained.predictions, trained.metrics, trained.importance, dataset.target.unit)
    return {
        **{f"plots/{name}.png": data for name, data in pictures.items()},
        "model_card.md": card.encode(),
        "metrics.json": bundles.to_json(trained.metrics),
        "importance.json": bundles.to_json(trained.importance),
        "lineage.json": bundles.to_json(dict(packed.manifest.lineage)),
        f"bundle/{bundles.MANIFEST}": packed.files[bundles.MANIFEST],
        f"bundle/{bundles.GOLDEN}": packed.files[bundles.GOLDEN],
    }
