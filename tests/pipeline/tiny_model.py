"""A tiny model, its bundle and its trained folder, built by hand: what the tests of register, gate and deploy work on."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pandas as pd
from onnx import TensorProto, helper

from pipeline.contract import bundle as bundles
from pipeline.contract.bundle import Bundle, Golden
from pipeline.contract.schema import Column, Schema
from pipeline.datasets import car_auctions
from pipeline.metrics import by_slice, of_guess, of_model
from pipeline.store import Store
from pipeline.workspace import Ref, Workspace

DATASET = car_auctions.DATASET
SCHEMA = Schema(
    (
        Column("year", "numeric", "model year", "year", 1900, 2100, example=2013),
        Column("make", "categorical", "maker", example="Ford"),
        Column("odometer", "numeric", "distance driven", "miles", 0, 1_000_000, example=48_000),
        Column("mmr", "numeric", "guide price", "USD", 1, 1_000_000, required=True, example=22_400),
    ),
    "USD",
)
DAYS = [f"2015-06-{day:02d}" for day in range(1, 11)]


def model_bytes(factor: float = 1.0) -> bytes:
    """price = factor * mmr + 500 for a Ford, +100 for a make not given, 0 for others; 10 % around it."""
    nodes = [
        helper.make_node(
            "LabelEncoder", ["make"], ["bonus"], domain="ai.onnx.ml",
            keys_strings=["ford", "Ford", ""], values_tensor=helper.make_tensor("v", TensorProto.DOUBLE, [3], [500.0, 500.0, 100.0]),
            default_tensor=helper.make_tensor("d", TensorProto.DOUBLE, [1], [0.0]),
        ),
        helper.make_node("Mul", ["mmr", "factor"], ["scaled"]),
        helper.make_node("IsNaN", ["odometer"], ["unknown"]),
        helper.make_node("Where", ["unknown", "zero", "odometer"], ["miles"]),
        helper.make_node("Mul", ["miles", "per_mile"], ["worn"]),
        helper.make_node("IsNaN", ["year"], ["no_year"]),
        helper.make_node("Where", ["no_year", "zero", "zero"], ["nothing"]),
        helper.make_node("Sum", ["scaled", "bonus", "worn", "nothing"], ["price"]),
        helper.make_node("Mul", ["price", "below"], ["low"]),
        helper.make_node("Mul", ["price", "above"], ["high"]),
    ]  # fmt: skip
    numbers = {"factor": factor, "zero": 0.0, "per_mile": -0.001, "below": 0.9, "above": 1.1}
    kinds = {"numeric": TensorProto.DOUBLE, "categorical": TensorProto.STRING}
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(column.name, kinds[column.kind], [None, 1]) for column in SCHEMA.inputs],
        [helper.make_tensor_value_info(name, TensorProto.DOUBLE, [None, 1]) for name in SCHEMA.outputs],
        [helper.make_tensor(name, TensorProto.DOUBLE, [1, 1], [value]) for name, value in numbers.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 4)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9, producer_name="tiny")
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def answer(model: bytes, rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """What onnxruntime answers for rows of JSON values: shape (n, 3)."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return np.hstack(session.run(list(SCHEMA.outputs), SCHEMA.arrays(rows)))


def raw_rows(count: int, seed: int = 1) -> pd.DataFrame:
    """Raw input columns as a parquet file has them: float64 numbers with NaN, text with None."""
    random = np.random.default_rng(seed)
    make = random.choice(np.array(["Ford", "BMW", "Kia", None], dtype=object), count)
    odometer = np.where(random.random(count) < 0.1, np.nan, random.integers(1_000, 150_000, count).astype(float))
    return pd.DataFrame(
        {
            "year": random.integers(2005, 2015, count).astype(float),
            "make": make,
            "odometer": odometer,
            "mmr": random.integers(2_000, 40_000, count).astype(float),
        }
    )


def json_rows(rows: pd.DataFrame) -> list[dict[str, Any]]:
    plain = rows.astype(object)
    return [
        dict(zip(map(str, plain.columns), row, strict=True))
        for row in plain.where(plain.notna(), None).to_numpy().tolist()
    ]


def make_bundle(factor: float = 1.0, data_day: str = "2015-06-10", parity: float = 1e-9, **lineage: Any) -> Bundle:
    """The bundle of the tiny model; another ``factor`` or ``data_day`` is another fingerprint."""
    model = model_bytes(factor)
    rows = json_rows(raw_rows(8, seed=9))
    golden = [dict(zip(SCHEMA.outputs, map(float, row), strict=True)) for row in answer(model, rows)]
    days = [[day, 1, 100, bundles.sha256(day.encode())] for day in DAYS]
    return bundles.build(
        model,
        Golden(tuple(rows), tuple(golden)),
        model_name=DATASET.model_name,
        data_day=data_day,
        fingerprint=bundles.sha256(f"{factor} {data_day} {sorted(lineage.items())}".encode()),
        schema=SCHEMA,
        metrics={"parity": {"rows": 100, "max_relative_difference": parity}, **metrics_of(predictions(factor))},
        lineage={
            "dataset": DATASET.name, "source": "folder:/data/cars.parquet", "days": days, "rows": 1000,
            "window_digest": bundles.sha256(b"window"), "code": "c0de", "lock": "10c4", "seed": 7, "with_baseline": True,
        } | lineage,
    )  # fmt: skip


def predictions(factor: float = 1.0, count: int = 400, noise: float = 0.05, seed: int = 3) -> pd.DataFrame:
    """Test rows of the last four days whose actual price is what factor 1 says, give or take ``noise``."""
    rows = raw_rows(count, seed)
    actual = answer(model_bytes(1.0), json_rows(rows))[:, 0] * np.random.default_rng(seed).normal(1, noise, count)
    predicted = answer(model_bytes(factor), json_rows(rows))
    days = np.array(DAYS[-4:])[np.arange(count) * 4 // count]
    return rows.assign(  # clean rows: a text that is not known is empty
        make=rows["make"].fillna(""), day=days, sellingprice=actual, actual=actual, price=predicted[:, 0], low=actual * 0.9, high=np.where(np.arange(count) % 5 == 0, actual * 0.95, predicted[:, 2]),
        baseline=rows["mmr"] * 1.1, reference=15_000.0,
    )  # fmt: skip


def metrics_of(table: pd.DataFrame) -> dict[str, Any]:
    """metrics.json of a predictions table."""
    baseline, reference = of_guess(table, "baseline"), of_guess(table, "reference")
    model = of_model(table).to_dict() | {"coverage": 0.81}
    return {
        "rows": {"train": 600, "calibration": 200, "test": len(table)},
        "test_days": sorted(table["day"].unique().tolist()),
        "model": model,
        "baseline": baseline.to_dict() if baseline else None,
        "reference": reference.to_dict() if reference else None,
        "slices": by_slice(DATASET, table),
        "candidates": {"boosting": {"mae": model["mae"]}, "linear": {"mae": 1.5 * model["mae"]}},
        "family": "boosting",
        "cleaning": {"price_slips": {"dropped": 3, "mended": 0}, "condition_scale": {"dropped": 0, "mended": 120}},
    }


def _window(table: pd.DataFrame) -> pd.DataFrame:
    """The clean rows of the window: like those of ``table`` on the days before, and those themselves."""
    older = table.assign(day=np.array(DAYS[:6])[np.arange(len(table)) * 6 // len(table)])
    return pd.concat([older, table], ignore_index=True)


@dataclass(frozen=True)
class Folders:
    """A bundle in a store with its trained folder."""

    bundle: Bundle
    bundle_ref: Ref
    trained_ref: Ref


def put(store: Store, bundle: Bundle, table: pd.DataFrame, metrics: Mapping[str, Any] | None = None) -> Folders:
    """Write a bundle folder and a trained folder, as export and train do."""
    parquet = io.BytesIO()
    table.to_parquet(parquet)
    workspace = Workspace(store, "work")
    trained = {
        "metrics.json": json.dumps(metrics or metrics_of(table)).encode(),
        "predictions.parquet": parquet.getvalue(),
        "rows.parquet": _window(table).to_parquet(),
        "importance.json": json.dumps({"mmr": 4200.0, "make": 310.5, "odometer": 90.0, "year": 2.5}).encode(),
    }
    bundle_ref = workspace.publish(f"bundle-{bundle.digest[:24]}", bundle.files)
    content = bundles.sha256(b"".join(trained.values()))[:24]
    return Folders(bundle, bundle_ref, workspace.publish(f"trained-{content}", trained))
