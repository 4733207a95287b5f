"""Makes what everybody serves: a release learned from a source, versions of it to reload, and rows to ask about.

    PYTHONPATH=. .venv/bin/python -m benchmarks.serving.model SOURCE DAY WINDOW_DAYS FOLDER

The price is always learned by trees: where the linear candidate wins, as on simulated sales, the model says little
about what serving costs. Not here: who reads the folder (``material.py``).
"""

import io
import json
import random
import sys
import warnings
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

import mlflow  # noqa: TID251  a peer is given the model in MLflow's own form
import numpy as np
import onnx
import pandas as pd
from mlflow.models import ModelSignature  # noqa: TID251
from onnx import helper, numpy_helper

from benchmarks.serving.material import FACTS, MARK, MLFLOW, RELEASE, ROWS, SHIFTED
from pipeline import frame_model, steps, train
from pipeline.cleaning import DAY
from pipeline.contract import bundle as bundles
from pipeline.contract.bundle import Bundle
from pipeline.contract.schema import RowsInvalid, Schema
from pipeline.settings import Settings
from pipeline.store import open_store
from pipeline.workspace import Ref, read_file

COUNT = 4_000
ONE_THREAD = Path(__file__).with_name("peers") / "one_thread.py"
compared = train.candidates


def main(source: str, day: str, window_days: int, folder: Path) -> None:
    train.candidates = lambda seed: {"boosting": compared(seed)["boosting"]}
    settings = Settings(source=source, window_days=window_days, store=f"file:{folder}/store")
    bundle, sales = learn(settings, day)
    write(folder / RELEASE, bundle.files)
    write(folder, {SHIFTED: shifted(bundle.model)})
    save_for_mlflow(bundle, folder)
    rows = different(bundle.manifest.schema, sales)
    facts = {"source": source, "day": day, "window_days": window_days, "trees": trees(bundle.model)}
    write(folder, {FACTS: json.dumps(facts).encode(), ROWS: json.dumps(rows).encode()})


def learn(settings: Settings, day: str) -> tuple[Bundle, pd.DataFrame]:
    """The bundle, and the clean sales that it was made of."""
    tomorrow = date.fromisoformat(day) + timedelta(days=1)
    fetched = steps.fetch(settings, day, tomorrow.isoformat())
    if fetched["window"] is None:
        raise SystemExit(f"there were no sales on {day}; choose another day with BENCH_DAY=...")
    prepared = steps.preprocess(settings, fetched["window"])
    if not prepared["prefix"]:
        raise SystemExit(prepared["message"])
    trained = steps.train(settings, prepared)
    exported = steps.export(settings, trained)
    store = open_store(settings.store)
    at = Ref(exported["prefix"], exported["digest"])
    bundle = bundles.read({name: read_file(store, at, name) for name in bundles.FILES})
    parquet = read_file(store, Ref(trained["prefix"], trained["digest"]), "rows.parquet")
    return bundle, pd.read_parquet(io.BytesIO(parquet))


def different(schema: Schema, sales: pd.DataFrame) -> list[dict[str, object]]:
    """Rows of the newest days that a request may hold, no two the same, in no order."""
    newest = sales.sort_values(DAY, ascending=False, kind="stable")[[column.name for column in schema.inputs]]
    found: dict[str, dict[str, object]] = {}
    for row in newest.drop_duplicates().to_dict("records"):
        values = {str(name): None if pd.isna(value) or value == "" else value for name, value in row.items()}
        if len(found) < COUNT and allowed(schema, values):
            found[json.dumps(values)] = values
    rows = list(found.values())
    random.Random(7).shuffle(rows)  # noqa: S311
    return rows


def allowed(schema: Schema, row: dict[str, object]) -> bool:
    try:
        schema.arrays([row])
    except RowsInvalid:
        return False
    return True


def shifted(data: bytes) -> bytes:
    """The model with ``MARK`` added to each answer: whoever replaces those eight bytes has another version."""
    model = onnx.load_from_string(data)
    model.graph.initializer.append(numpy_helper.from_array(np.array([MARK]), "shift"))
    for output in model.graph.output:
        for node in model.graph.node:
            node.output[:] = [f"{name}_unshifted" if name == output.name else name for name in node.output]
            node.input[:] = [f"{name}_unshifted" if name == output.name else name for name in node.input]
        model.graph.node.append(helper.make_node("Add", [f"{output.name}_unshifted", "shift"], [output.name]))
    return bytes(model.SerializeToString())


def trees(data: bytes) -> int:
    attributes = [a for node in onnx.load_from_string(data).graph.node for a in node.attribute]
    return sum(len(a.ints) for a in attributes if a.name == "tree_roots")


def save_for_mlflow(bundle: Bundle, folder: Path) -> None:
    """The model as the project logs it, its own loader and the columns as signature, but with one thread."""
    kinds = {"numeric": "double", "categorical": "string"}
    schema = bundle.manifest.schema
    inputs = [{"name": c.name, "type": kinds[c.kind], "required": c.required} for c in schema.inputs]
    outputs = [{"name": name, "type": "double", "required": True} for name in schema.outputs]
    warnings.filterwarnings("ignore", message=".*input example was not provided")
    mlflow.pyfunc.save_model(
        str(folder / MLFLOW),
        loader_module=ONE_THREAD.stem,
        code_paths=[frame_model.__file__, str(ONE_THREAD)],
        data_path=str(folder / RELEASE / bundles.MODEL),
        signature=ModelSignature.from_dict({"inputs": json.dumps(inputs), "outputs": json.dumps(outputs)}),
        pip_requirements=["onnxruntime", "pandas"],
    )


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]).absolute())
