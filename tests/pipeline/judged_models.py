"""Real small models of simulated sales, good and spoilt, and a champion beside them: what the gate is tried on."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import onnx
import pandas as pd
from onnx import helper, numpy_helper

from pipeline.contract import bundle as bundles
from pipeline.contract import channel as channels
from pipeline.contract.bundle import MANIFEST, Bundle, Golden
from pipeline.contract.channel import Channel, Release
from pipeline.export import export
from pipeline.gate import Terms
from pipeline.scoring import Scorer
from pipeline.store import Store
from pipeline.workspace import Ref, Workspace, read_file
from tests.pipeline.auction_rows import DATASET
from tests.pipeline.small_window import DAYS, fit, prepare, put_window

MODEL = DATASET.model_name
NOW = datetime(2026, 3, 10, tzinfo=UTC)
ENFORCE = Terms("enforce", 0.05, "", NOW)
Change = Callable[[date, pd.DataFrame], pd.DataFrame]


@dataclass(frozen=True)
class Made:
    """A bundle and its trained folder, as the steps before the gate leave them."""

    bundle: Ref
    trained: Ref


def make(store: Store, change: Change = lambda day, rows: rows, days: tuple[date, ...] = DAYS, **options: Any) -> Made:
    """Fetched, prepared, trained (with small trees) and exported."""
    trained = fit(store, prepare(store, put_window(store, change, days), **options))
    exported = export(DATASET, store, trained)
    return Made(Ref(exported.prefix, exported.digest), trained)


def make_live(store: Store, bundle: Bundle, version: int = 1) -> None:
    store.publish(channels.release_prefix(MODEL, version), bundle.files, last=MANIFEST)
    release = Release(version, bundle.digest, bundle.manifest.data_day)
    store.replace(channels.channel_key(MODEL), Channel(MODEL).with_champion(release).to_bytes(), None)


def read(store: Store, made: Made) -> Bundle:
    return bundles.read({name: read_file(store, made.bundle, name) for name in bundles.FILES})


def spoilt(store: Store, made: Made, graph: Callable[[onnx.ModelProto], None], answer: Callable[[Any], Any]) -> Made:
    """The same model with ``graph`` done to its graph and ``answer`` to its held-out answers: a mistake in both."""
    bundle = read(store, made)
    model = onnx.load_from_string(bundle.model)
    graph(model)
    onnx.checker.check_model(model)
    data, manifest = model.SerializeToString(), bundle.manifest
    frame = pd.DataFrame({name: values[:, 0] for name, values in manifest.schema.arrays(bundle.golden.rows).items()})
    answers = Scorer(data, manifest.schema).predict(frame).tolist()
    golden = Golden(bundle.golden.rows, tuple(dict(zip(manifest.schema.outputs, row, strict=True)) for row in answers))
    built = bundles.build(
        data, golden, model_name=MODEL, data_day=manifest.data_day, fingerprint=f"{manifest.fingerprint}-spoilt",
        schema=manifest.schema, metrics=manifest.metrics, lineage=manifest.lineage,
    )  # fmt: skip
    table = pd.read_parquet(io.BytesIO(read_file(store, made.trained, "predictions.parquet")))
    table[["price", "low", "high"]] = answer(table[["price", "low", "high"]])
    trained = {name: read_file(store, made.trained, name) for name in ("metrics.json", "rows.parquet")}
    folders = Workspace(store, "spoilt")
    predictions = table.to_parquet(index=False)
    kept = folders.publish(
        f"trained-{bundles.sha256(predictions)[:24]}", {**trained, "predictions.parquet": predictions}
    )
    return Made(folders.publish(f"bundle-{built.digest[:24]}", built.files), kept)


def scaled(factor: float, offset: float = 0.0) -> Callable[[onnx.ModelProto], None]:
    """Every answer times ``factor`` and plus ``offset``."""

    def change(model: onnx.ModelProto) -> None:
        graph = model.graph
        graph.initializer.append(numpy_helper.from_array(np.array([factor]), "spoilt_factor"))
        graph.initializer.append(numpy_helper.from_array(np.array([offset]), "spoilt_offset"))
        for output in graph.output:
            for node in graph.node:
                node.output[:] = [f"{name}_before" if name == output.name else name for name in node.output]
                node.input[:] = [f"{name}_before" if name == output.name else name for name in node.input]
            graph.node.append(helper.make_node("Mul", [f"{output.name}_before", "spoilt_factor"], [f"{output.name}_x"]))
            graph.node.append(helper.make_node("Add", [f"{output.name}_x", "spoilt_offset"], [output.name]))

    return change


def slowed(rounds: int) -> Callable[[onnx.ModelProto], None]:
    """The same answers, after ``rounds`` products of matrices that come to nothing."""

    def change(model: onnx.ModelProto) -> None:
        graph, width = model.graph, 256
        scaled(1.0)(model)
        graph.initializer.append(numpy_helper.from_array(np.zeros((1, width)), "slow_0"))
        graph.initializer.append(numpy_helper.from_array(np.zeros((width, width)), "slow_matrix"))
        graph.initializer.append(numpy_helper.from_array(np.array([1]), "slow_axis"))
        # The chain begins with an input, or onnxruntime would compute it once and for all when it loads the model.
        numbers = [i.name for i in graph.input if i.type.tensor_type.elem_type == onnx.TensorProto.DOUBLE]
        graph.node.append(helper.make_node("IsNaN", [numbers[0]], ["slow_nan"]))
        graph.node.append(helper.make_node("Cast", ["slow_nan"], ["slow_flag"], to=onnx.TensorProto.DOUBLE))
        graph.node.append(helper.make_node("Mul", ["slow_flag", "slow_0"], ["slow_begin"]))
        last = "slow_begin"
        for index in range(rounds):
            graph.node.append(helper.make_node("MatMul", [last, "slow_matrix"], [f"slow_{index + 1}"]))
            last = f"slow_{index + 1}"
        graph.node.append(helper.make_node("ReduceSum", [last, "slow_axis"], ["slow_end"], keepdims=1))
        for node in graph.node:
            node.output[:] = ["price_quick" if name == "price" else name for name in node.output]
        graph.node.append(helper.make_node("Add", ["price_quick", "slow_end"], ["price"]))

    return change
